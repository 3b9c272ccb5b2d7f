"""The tables of a dataset with those about its treatments, as the step ``hits`` makes them of the selected features."""

from __future__ import annotations

from dataclasses import replace

from bioimage_assets.assets.hits import build_hit_tables
from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.pictures.dataset_report import DatasetTables
from bioimage_assets.core.profiling.dataset_wells import as_stored


def with_hits(tables: DatasetTables) -> DatasetTables:
    """The same tables, with hits where the wells allow it; their findings are those of the dataset's steps, too."""
    if tables.selected is None:
        return tables
    settings = replace(tables.settings, hits_null_size=200)
    try:
        made = build_hit_tables(as_stored(tables.selected), settings, tables.dataset_id)
    except ProfilingError:
        return tables
    findings = made["hits"].findings
    assert findings is not None
    assert not callable(findings)
    data = {name: made[name].data for name in ("hits", "pair_correlations", "dose_responses")}
    return replace(tables, findings=(*tables.findings, *findings), **data)
