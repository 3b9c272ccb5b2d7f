"""Stored tables about hits as the records that pages are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from bioimage_assets.core.hits.hit_rows import DIFFERENT, REPLICATES
from bioimage_assets.core.profiling.replicates import ReplicateReport, TreatmentReplicates


def read_replicate_report(hits: pa.Table, pairs: pa.Table | None) -> ReplicateReport:
    """What was measured of the treatments of a dataset, the strongest first; pairs stand in the middle of their interval."""
    rows = hits.to_pylist()
    treatments = tuple(_read_row(row) for row in rows)
    replicate_pairs, _ = _read_pairs(pairs, REPLICATES)
    null_pairs, limit = _read_pairs(pairs, DIFFERENT)
    first: Mapping[str, object] = rows[0] if rows else {}
    correlation, count = first.get("control_correlation"), first.get("control_well_count")
    return ReplicateReport(
        treatments=treatments,
        percent_replicating=_percent([row["is_replicating"] for row in rows]),
        percent_active=_percent([row["is_active"] for row in rows]),
        control_correlation=correlation if isinstance(correlation, float) else None,
        control_well_count=count if isinstance(count, int) else 0,
        replicate_pairs=replicate_pairs,
        null_pairs=null_pairs,
        null_pair_limit=limit,
    )


def _read_row(row: Mapping[str, object]) -> TreatmentReplicates:
    same = {name: row[name] for name in TreatmentReplicates.__slots__}
    same |= {name: bool(row[name]) for name in ("is_replicating", "is_active")}
    return TreatmentReplicates(**same)  # type: ignore[arg-type]  # the table's schema has these types


def _read_pairs(pairs: pa.Table | None, kind: str) -> tuple[tuple[float, ...], float | None]:
    rows = [] if pairs is None else [row for row in pairs.to_pylist() if row["pairs"] == kind]
    middles = np.asarray([(row["low"] + row["high"]) / 2 for row in rows], dtype=np.float64)
    counts = np.asarray([row["pair_count"] for row in rows], dtype=np.int64)
    limit = rows[0]["percentile_95"] if rows else None
    return tuple(np.repeat(middles, counts).tolist()), limit


def _percent(flags: Sequence[bool | None]) -> float | None:
    known = [flag for flag in flags if flag is not None]
    return 100.0 * sum(known) / len(known) if known else None
