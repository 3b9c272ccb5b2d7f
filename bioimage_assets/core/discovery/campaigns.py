"""The campaigns of the watched roots: what the ``campaign.toml`` at the top of each of them says.

https://toml.io/en/v1.0.0
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bioimage_assets.core.discovery.dataset_file import read_settings_text
from bioimage_assets.core.errors import BioimageError, IdentityError, SettingsError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.identity import build_campaign_key, campaign_name, dataset_of
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.near_names import suggest_name
from bioimage_assets.core.settings.campaign import CAMPAIGN_FILE, CampaignSettings, take_over_settings
from bioimage_assets.core.settings.campaign_keys import CAMPAIGN_KEYS
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.settings.toml_keys import parse_toml, read_keys

_TABLE = "campaigns"


@dataclass(frozen=True, slots=True)
class FoundCampaigns:
    """Campaigns by partition key, sorted; ``findings`` say which are not taken, and why."""

    campaigns: Mapping[str, CampaignSettings]
    findings: tuple[Finding, ...] = ()


def read_campaigns(
    root_uris: Iterable[str], *, storage_options: Mapping[str, object] | None = None
) -> FoundCampaigns:
    """Read ``campaign.toml`` of every watched root; one small file each, whose absence is no finding.

    What cannot be used is a finding that names file and campaign, and hides no other campaign. A campaign that two files
    define is that of the first root.
    """
    taken: dict[str, CampaignSettings] = {}
    findings: list[Finding] = []
    for root_uri in root_uris:
        location = f"{root_uri.rstrip('/')}/{CAMPAIGN_FILE}"
        try:
            text = read_settings_text(root_uri, CAMPAIGN_FILE, storage_options=storage_options)
            read = () if text is None else tuple(parse_campaigns(text, location))
        except BioimageError as error:  # that a root cannot be looked at is said by the look for plates, too
            findings.append(Finding("campaign-file-refused", "error", CAMPAIGN_FILE, str(error), location))
            continue
        for found in read:
            if isinstance(found, Finding):
                findings.append(found)
            elif (first := taken.setdefault(found.key, found)) is not found:
                findings.append(_refuse_second(first, found))
    return FoundCampaigns({key: taken[key] for key in sorted(taken)}, tuple(findings))


def parse_campaigns(text: str, location: str = CAMPAIGN_FILE) -> Iterator[CampaignSettings | Finding]:
    """Give each campaign of the text of a ``campaign.toml``, or the finding that says why it cannot be used.

    Raises
    ------
    SettingsError
        The text is not TOML, or holds something else than campaigns.
    """
    document = parse_toml(text, location)
    for name in document:
        if name != _TABLE:
            raise SettingsError(
                f"{location}: unknown key {name!r}.{suggest_name(name, [_TABLE])} A campaign is a table "
                "[campaigns.<name>] with the key datasets."
            )
    campaigns = document.get(_TABLE, {})
    if not isinstance(campaigns, dict):
        raise SettingsError(
            f"{location}: campaigns: expected tables [campaigns.<name>], found {campaigns!r}."
        )
    for name, content in campaigns.items():
        try:
            yield _parse_campaign(name, content, location)
        except (SettingsError, IdentityError) as error:
            yield Finding("campaign-refused", "error", name, str(error), location)


def _parse_campaign(name: str, content: object, location: str) -> CampaignSettings:
    place = f"{location}: [{_TABLE}.{name}]"
    if not isinstance(content, dict):
        raise SettingsError(f"{place}: expected a table with the key datasets, found {content!r}.")
    try:
        build_campaign_key(name)
    except IdentityError as error:
        raise SettingsError(f"{place}: {error}") from error
    values = {key.field: value for key, value in read_keys(content, CAMPAIGN_KEYS, place)}
    if "datasets" not in values:
        raise SettingsError(f'{place}: datasets is missing; write datasets = ["<folder>", …].')
    campaign = CampaignSettings(**values, name=name, file_uri=location, stated=frozenset(values))  # type: ignore[arg-type]
    for field, words in (("batch", campaign.batches), ("source", campaign.dataset_sources)):
        for dataset in words:
            if dataset not in campaign.datasets:
                raise SettingsError(
                    f"{place}: {field}: {dataset!r} is none of the campaign's datasets."
                    f"{suggest_name(dataset, campaign.datasets)}"
                )
    return campaign


def _refuse_second(first: CampaignSettings, second: CampaignSettings) -> Finding:
    text = (
        f"Campaign {second.name!r} is defined in {first.file_uri} and in {second.file_uri}; the first is taken. Rename one of "
        "them, or put all of its datasets into one."
    )
    return Finding("campaign-defined-twice", "error", second.name, text, second.file_uri)


def find_missing_datasets(
    campaign: CampaignSettings, known: Collection[str], others: Sequence[str] = ()
) -> tuple[Finding, ...]:
    """One finding per dataset of a campaign of which no plate is in the watched roots.

    ``known`` are the campaign's datasets with plates, ``others`` the datasets that it does not name: one may be meant.
    """
    return tuple(
        Finding(
            "campaign-dataset-missing",
            "error",
            dataset,
            f"{campaign.file_uri}: campaign {campaign.name!r} names dataset {dataset!r}, of which no plate is in the watched "
            f"roots; the campaign is made without it.{suggest_name(dataset, others)} Correct the name, or bring its plates "
            "there.",
            campaign.file_uri,
        )
        for dataset in campaign.datasets
        if dataset not in known
    )


@dataclass(frozen=True, slots=True)
class CampaignPlates:
    """A campaign with the plates of its datasets and the settings that hold over them; ``findings`` are about both."""

    settings: CampaignSettings
    sources: tuple[PlateSource, ...]
    findings: tuple[Finding, ...] = ()


def gather_campaign(
    campaign: CampaignSettings,
    sources: Iterable[PlateSource],
    read_settings: Callable[[str], DatasetSettings],
) -> CampaignPlates:
    """Choose the plates of a campaign out of those of the watched roots, and ask their datasets for their settings.

    ``read_settings`` is called with the URI of each dataset once, and its SettingsError goes through.
    """
    named = {name: position for position, name in enumerate(campaign.datasets)}
    sources = list(sources)
    chosen = [source for source in sources if dataset_of(source.plate_key) in named]
    others = sorted({dataset_of(source.plate_key) for source in sources} - named.keys())
    chosen.sort(key=lambda source: (named[dataset_of(source.plate_key)], source.plate_key))
    uris: dict[str, str] = {}
    for source in chosen:
        uris.setdefault(dataset_of(source.plate_key), source.dataset_uri)
    settings = take_over_settings(campaign, {name: read_settings(uri) for name, uri in uris.items()})
    findings = (*find_missing_datasets(campaign, uris.keys(), others), *settings.findings())
    return CampaignPlates(settings, tuple(chosen), findings)


def require_campaign_named(found: FoundCampaigns, partition: str) -> CampaignSettings:
    """The campaign of a partition key.

    Raises
    ------
    SettingsError
        No ``campaign.toml`` of a watched root defines it, or what does cannot be used.
    """
    campaign = found.campaigns.get(partition)
    if campaign is not None:
        return campaign
    name = campaign_name(partition)
    known = [campaign.name for campaign in found.campaigns.values()]
    reasons = " ".join(finding.message for finding in found.findings)
    raise SettingsError(
        f"No campaign {name!r} is defined in the {CAMPAIGN_FILE} of a watched root; found: {', '.join(known) or 'none'}."
        f"{suggest_name(name, known)}{' ' if reasons else ''}{reasons}"
    )
