"""Settings of one campaign, as ``campaign.toml`` beside the datasets states them, and what the datasets themselves say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.identity import build_campaign_key, dataset_of
from bioimage_assets.core.settings.dataset import DatasetSettings

CAMPAIGN_FILE = "campaign.toml"

CellAggregate = Literal["median", "mean"]

# What the campaign uses itself: left open in its file, it is what the datasets say.
TAKEN_OVER = (
    "treatment_columns",
    "control_column",
    "control_values",
    "min_controls",
    "mix_references",
    "profile_group_by",
    "hits_average_precision",
    "hits_explained_variance",
    "hits_null_size",
    "hits_significance",
)
# What the numbers of the datasets' wells were made with, which the campaign cannot change any more.
MADE_WITH = (
    "normalization_method",
    "normalization_samples",
    "mad_epsilon",
    "normal_quantiles",
    "spherize_method",
    "spherize_epsilon",
    "center_controls",
    "qc_thresholds",
    "feature_include",
    "feature_exclude",
    "feature_compartments",
)


@dataclass(frozen=True, slots=True)
class CampaignSettings(DatasetSettings):
    """Everything about a campaign: which datasets it is made of, and the settings of a dataset that hold over all of them.

    Parameters
    ----------
    name
        As in the file; its partition key is ``campaign:<name>``.
    file_uri
        The ``campaign.toml`` that defines it.
    datasets
        Dataset parts of the plates' keys, in the order of the file.
    batches, dataset_sources
        Batch and source of each dataset; the dataset itself where the file says nothing.
    correlation_limit, outlier_limit
        Limits of feature selection: pycytominer's ``corr_threshold`` and ``outlier_cutoff``.
    cell_aggregate
        How the cells of a well become a row of ``campaign_cell_profiles``; None: no such table is made.
    stated
        Fields that the file itself sets.
    disagreements
        Sentences about settings in which the datasets differ; a part of what the tables are made of.
    of_datasets
        Settings of the datasets themselves, where they were asked for.
    """

    name: str = ""
    file_uri: str = ""
    datasets: tuple[str, ...] = ()
    batches: Mapping[str, str] = field(default_factory=dict)
    dataset_sources: Mapping[str, str] = field(default_factory=dict)
    correlation_limit: float = 0.9
    outlier_limit: float = 500.0
    cell_aggregate: CellAggregate | None = None
    stated: frozenset[str] = frozenset()
    disagreements: tuple[str, ...] = ()
    of_datasets: Mapping[str, DatasetSettings] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Partition key."""
        return build_campaign_key(self.name)

    def batch_of(self, partition: str) -> str:
        """Batch of a dataset or of one of its plates."""
        dataset = dataset_of(partition)
        return self.batches.get(dataset, dataset)

    def source_of(self, partition: str) -> str:
        """Source (laboratory, site) of a dataset or of one of its plates; the same for all where the file names none."""
        return self.dataset_sources.get(dataset_of(partition), "")

    def findings(self) -> tuple[Finding, ...]:
        """What is odd about the settings of its datasets."""
        return tuple(
            Finding("campaign-settings-differ", "warning", self.name, text, self.file_uri)
            for text in self.disagreements
        )


def take_over_settings(
    campaign: CampaignSettings, datasets: Mapping[str, DatasetSettings]
) -> CampaignSettings:
    """Fill what the campaign leaves open with what its datasets say, those of the first where they differ, and say so."""
    if not datasets:
        return campaign
    taken = {
        name: getattr(next(iter(datasets.values())), name)
        for name in TAKEN_OVER
        if name not in campaign.stated
    }
    merged = replace(campaign, **taken, of_datasets=datasets)
    return replace(merged, disagreements=tuple(_find_disagreements(merged, datasets)))


def _find_disagreements(campaign: CampaignSettings, datasets: Mapping[str, DatasetSettings]) -> Iterator[str]:
    for name in TAKEN_OVER:
        if name not in campaign.stated and (said := _list_values(name, datasets)):
            yield (
                f"The datasets of campaign {campaign.name!r} do not agree on {name}: {said}. What the first says is used for "
                f"all of them; write it into [campaigns.{campaign.name}] of campaign.toml, or the same into every "
                "dataset.toml."
            )
    for name in ("control_column", "control_values"):
        own = getattr(campaign, name)
        others = [dataset for dataset, settings in datasets.items() if getattr(settings, name) != own]
        if name in campaign.stated and others:
            yield (
                f"Campaign {campaign.name!r} says {name} = {_write(own)}, the dataset.toml of {', '.join(others)} "
                f"{_write(getattr(datasets[others[0]], name))}: the wells there are relative to other controls than those of "
                "the campaign. Write the same in both."
            )
    for name in MADE_WITH:
        if said := _list_values(name, datasets):
            yield (
                f"The well profiles of campaign {campaign.name!r} were made with different {name}: {said}. Their numbers "
                "are not the same quantity; write the same into every dataset.toml and build the plates again."
            )


def _list_values(name: str, datasets: Mapping[str, DatasetSettings]) -> str:
    """Values of a setting with the datasets that have them, empty where there is one value only."""
    by_value: dict[str, list[str]] = {}
    for dataset, settings in datasets.items():
        by_value.setdefault(_write(getattr(settings, name)), []).append(dataset)
    if len(by_value) < 2:
        return ""
    return "; ".join(f"{value} ({_shorten(found)})" for value, found in by_value.items())


def _shorten(names: Sequence[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def _write(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=dict)
