"""What a page was made of, for its end: stores and measurement files, settings that are not the default, versions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from importlib import metadata

from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.step_spec import StepSpec
from bioimage_assets.core.model.table_specs import TABLES
from bioimage_assets.core.pictures.page_parts import ReportTable
from bioimage_assets.core.settings.campaign import CampaignSettings
from bioimage_assets.core.settings.campaign_keys import CAMPAIGN_KEYS
from bioimage_assets.core.settings.dataset import DATASET_FILE, DatasetSettings
from bioimage_assets.core.settings.dataset_keys import DATASET_KEYS

_MAX_CHARACTERS = 600  # of one setting: thresholds of many conditions, or hundreds of patterns


def build_made_of(
    step: StepSpec,
    sources: Sequence[PlateSource],
    settings: DatasetSettings,
    library_versions: Mapping[str, Sequence[str]],
) -> tuple[ReportTable, ...]:
    """Tables of sources, settings and versions of one page; ``settings`` are asked for those that ``step`` declares."""
    is_campaign = isinstance(settings, CampaignSettings)
    return (
        _list_datasets(sources) if is_campaign else _list_sources(sources),
        _list_settings(step, settings, sources[0].dataset_uri if sources else ""),
        _list_versions(step, library_versions),
    )


def _list_sources(sources: Sequence[PlateSource]) -> ReportTable:
    rows = [
        (source.plate_name, kind, uri)
        for source in sources
        for kind, uris in (("store", source.store_uris), ("measurements", source.measurement_uris))
        for uri in uris or (("none",) if kind == "store" else ("none found",))
    ]
    return ReportTable("Stores and measurements", ("plate", "kind", "where"), tuple(rows), is_folded=True)


def _list_datasets(sources: Sequence[PlateSource]) -> ReportTable:
    counts = Counter((source.dataset_name, source.dataset_uri) for source in sources)
    rows = tuple((name, count, uri) for (name, uri), count in counts.items())
    return ReportTable("Datasets and their plates", ("dataset", "plates", "where"), rows, is_folded=True)


def _list_settings(step: StepSpec, settings: DatasetSettings, dataset_uri: str) -> ReportTable:
    defaults = {field.name: _default(field.default, field.default_factory) for field in fields(settings)}
    paths: dict[str, str] = {}
    is_campaign = isinstance(settings, CampaignSettings)
    for key in CAMPAIGN_KEYS if is_campaign else DATASET_KEYS:
        paths.setdefault(key.field, key.table if key.field == "aliases" else key.path)
    changed = [
        (paths.get(name, name), _shorten(getattr(settings, name)))
        for name in sorted(set(step.settings) & paths.keys() if is_campaign else set(step.settings))
        if getattr(settings, name) != defaults[name]
    ]
    file = (
        settings.file_uri
        if isinstance(settings, CampaignSettings)
        else f"{dataset_uri.rstrip('/')}/{DATASET_FILE}"
    )
    title = f"Settings of {file} that are not the default: {len(changed) or 'none'}"
    return ReportTable(title, ("setting", "value"), tuple(changed), is_folded=True)


def _default(value: object, factory: object) -> object:
    return factory() if value is MISSING and callable(factory) else value


def _shorten(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=dict)  # as TOML writes it, but for tables
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"


def _list_versions(step: StepSpec, library_versions: Mapping[str, Sequence[str]]) -> ReportTable:
    rows = [("bioimage_assets", metadata.version("bioimage_assets"))]
    rows += [(package, ", ".join(versions)) for package, versions in library_versions.items()]
    rows += [(f"table {name}", str(TABLES[name].version)) for name in (*step.inputs, *step.of_plates)]
    rows += [(f"page {table.name}", str(table.version)) for table in step.tables]
    return ReportTable("Versions", ("what", "version"), tuple(rows), is_folded=True)
