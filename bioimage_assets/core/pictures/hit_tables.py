"""Stored tables about hits turned into those of a page: treatments by strength, and what changes in the strongest."""

from __future__ import annotations

import pyarrow as pa

from bioimage_assets.core.hits.top_features import find_strongest, list_top_features
from bioimage_assets.core.pictures.page_parts import ReportTable
from bioimage_assets.core.pictures.table_html import MAX_TABLE_ROWS

STRONGEST = 20  # active treatments whose features a page shows
TOP_FEATURES = 5  # of each of them

_ACTIVITY = {
    "treatment": "treatment", "replicate_count": "wells", "strength": "strength", "is_active": "active",
    "mean_average_precision": "mAP", "q_value": "q", "distance": "distance", "distance_null_limit": "distance null 95 %",
    "distance_q_value": "distance q",
}  # fmt: skip
_REPLICATES = {
    "replicate_correlation": "replicate correlation",
    "null_limit": "null 95 %",
    "is_replicating": "replicates",
}


def build_treatment_table(hits: pa.Table) -> ReportTable | None:
    """All treatments of a dataset, the strongest first."""
    return _build_table(hits, _ACTIVITY | _REPLICATES, hits.num_rows)


def build_campaign_table(hits: pa.Table) -> ReportTable | None:
    """The strongest treatments of a campaign, as many as a page shows of a table; how well replicates agree is a table of its own there."""
    return _build_table(hits, _ACTIVITY, MAX_TABLE_ROWS)


def _build_table(hits: pa.Table, columns: dict[str, str], limit: int) -> ReportTable | None:
    if not hits.num_rows:
        return None
    shown = hits.select(list(columns)).slice(0, limit)
    rows = tuple(tuple(row[name] for name in columns) for row in shown.to_pylist())
    more = f", the strongest {len(rows)} of {hits.num_rows}" if len(rows) < hits.num_rows else ""
    return ReportTable(f"Treatments{more}", tuple(columns.values()), rows)


def build_feature_table(hits: pa.Table | None, features: pa.Table | None) -> ReportTable | None:
    """A few features of each of the strongest active treatments, those with the largest effects first; folded."""
    if hits is None or features is None:
        return None
    found = list_top_features(features, find_strongest(hits, STRONGEST), TOP_FEATURES)
    if not found:
        return None
    rows = tuple((label, count, name or "none", effect, q) for label, count, name, effect, q in found)
    treatments = len({row[0] for row in rows})
    title = f"What changes in the strongest active treatments ({treatments}, at most {TOP_FEATURES} features of each)"
    header = ("treatment", "features changed", "feature", "effect size", "feature q")
    return ReportTable(title, header, rows, is_folded=True)
