"""Stored rows about the features of all treatments turned into the few that changed most in some of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

COLUMNS = ("treatment", "feature", "effect_size", "q_value", "is_changed")


def find_strongest(hits: pa.Table, count: int) -> list[str]:
    """Active treatments of the first ranks of a table of hits, the strongest first."""
    ranked = hits.select(["treatment", "rank"]).filter(pc.fill_null(hits["is_active"], False)).sort_by("rank")
    return [str(label) for label in ranked["treatment"].slice(0, count).to_pylist()]


def read_features_of(batches: Iterable[pa.RecordBatch], treatments: Sequence[str]) -> pa.Table:
    """Rows of some treatments (``COLUMNS``) from a stream of those of all; in memory are these and one batch."""
    wanted = pa.array(treatments, pa.string())
    schema = pa.schema(
        [
            ("treatment", pa.string()),
            ("feature", pa.string()),
            ("effect_size", pa.float64()),
            ("q_value", pa.float64()),
            ("is_changed", pa.bool_()),
        ]
    )
    kept = []
    for batch in batches:
        found = batch.select(list(COLUMNS)).filter(pc.is_in(batch["treatment"], value_set=wanted))
        kept.append(pa.Table.from_batches([found]).cast(schema))
    return pa.concat_tables(kept) if kept else schema.empty_table()


def list_top_features(
    features: pa.Table, treatments: Sequence[str], count: int
) -> list[tuple[str, int, str | None, float | None, float | None]]:
    """Treatment, number of its changed features, and of ``count`` of these name, effect size and q value; largest effects first.

    A treatment without a changed feature has one row without feature; one that has no rows at all has none.
    """
    frame = features.to_pandas()
    rows: list[tuple[str, int, str | None, float | None, float | None]] = []
    by_treatment = dict(iter(frame.groupby("treatment", sort=False)))
    for label in treatments:
        if label not in by_treatment:
            continue
        own = by_treatment[label]
        changed = own[own["is_changed"].eq(True)]  # a null is not changed
        order = changed["effect_size"].abs().sort_values(ascending=False, kind="stable").index[:count]
        shown = changed.loc[order]
        numbers = zip(shown["feature"], shown["effect_size"], shown["q_value"], strict=True)
        rows += [
            (label, len(changed), str(name), None if effect != effect else float(effect), float(q))
            for name, effect, q in numbers
        ] or [(label, 0, None, None, None)]
    return rows
