"""A page answers which condition the failed cells of a well have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bioimage_assets.core.pictures.drawing import NotDrawn
from bioimage_assets.core.pictures.page_parts import ReportTable
from bioimage_assets.core.pictures.qc_conditions import (
    build_well_flags_table,
    count_flags,
    draw_qc_conditions,
)
from bioimage_assets.core.pictures.style import Picture
from bioimage_assets.core.profiling.cosmicqc import QcCondition, QcReport

WELLS = ["A01"] * 4 + ["C02"] * 5 + [None]
BLURRY = [False] * 4 + [True, True, True, False, False] + [True]
SATURATED = [True] + [False] * 3 + [True, False, False, True, False] + [None]


def build_qc(**extra: list[bool]) -> tuple[pa.Table, QcReport]:
    flags = {"blurry": BLURRY, "saturated": SATURATED, **extra}
    failed = [any(bool(flags[name][row]) for name in flags) for row in range(len(WELLS))]
    qc = pa.table(
        {"Metadata_Well": WELLS, "Metadata_cqc_failed": failed}
        | {f"Metadata_cqc_{name}_is_outlier": values for name, values in flags.items()}
    )
    conditions = tuple(
        QcCondition(name, (), len(WELLS), sum(map(bool, values))) for name, values in flags.items()
    )
    return qc, QcReport(len(WELLS), sum(failed), 0, conditions, ())


def test_flags_are_counted_per_well_and_condition() -> None:
    table = build_well_flags_table(*build_qc())
    assert isinstance(table, ReportTable)
    assert table.header == ("well", "cells", "failed", "share", "blurry", "saturated")
    assert table.rows == (
        ("no well", 1, 1, "100%", 1, 0),
        ("C02", 5, 4, "80%", 3, 2),
        ("A01", 4, 1, "25%", 0, 1),
    )


def test_counts_are_those_of_pandas() -> None:
    random = np.random.default_rng(0)
    wells = random.choice(["A01", "B07", "H12"], 500)
    flags = random.random(500) < 0.3
    counted = count_flags(pa.table({"well_id": wells, "flag": flags}), {"odd": "flag"})
    expected = pd.Series(flags).groupby(wells).agg(["sum", "size"])
    assert dict(zip(counted.wells, counted.flagged["odd"], strict=True)) == expected["sum"].to_dict()
    assert dict(zip(counted.wells, counted.cells, strict=True)) == expected["size"].to_dict()


@pytest.mark.slow
def test_there_is_one_map_per_condition_and_their_number_is_bounded() -> None:
    some = draw_qc_conditions(*build_qc(), "Conditions")
    assert isinstance(some, Picture)
    assert "left out" not in some.caption
    extra = {f"odd_{number}": [number > row for row in range(10)] for number in range(1, 15)}
    many = draw_qc_conditions(*build_qc(**extra), "Conditions")
    assert isinstance(many, Picture)
    assert "7 conditions with fewer cells left out" in many.caption
    table = build_well_flags_table(*build_qc(**extra))
    assert table is not None
    assert len(table.header) == 4 + 12
    assert table.header[4] == "odd_10"


def test_without_conditions_or_wells_there_is_no_map() -> None:
    qc, report = build_qc()
    none = QcReport(10, 0, 0, (), ())
    assert build_well_flags_table(qc, none) is None
    assert isinstance(draw_qc_conditions(qc, none, "Conditions"), NotDrawn)
    missing = draw_qc_conditions(qc.drop_columns(["Metadata_Well"]), report, "Conditions")
    assert isinstance(missing, NotDrawn)
