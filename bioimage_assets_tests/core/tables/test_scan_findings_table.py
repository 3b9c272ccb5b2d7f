"""Findings become rows that remember when they were first seen."""

from __future__ import annotations

from datetime import UTC, datetime

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.tables.findings import build_scan_findings
from bioimage_assets.core.tables.schemas import SCAN_FINDINGS

MONDAY, TUESDAY = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)
LEVEL = Finding("missing-level", "error", "A/1/0/1", "gone", "/x.zarr")
UNIT = Finding("unknown-unit", "info", "A/1/0", "no unit", "/x.zarr")


def test_a_finding_that_stays_keeps_its_first_day_and_equal_ones_are_one_row() -> None:
    first = build_scan_findings([LEVEL, LEVEL], plate_key="d/p", dataset_id="d", seen=MONDAY)
    second = build_scan_findings([UNIT, LEVEL], plate_key="d/p", dataset_id="d", seen=TUESDAY, earlier=first)
    assert first.schema == second.schema == SCAN_FINDINGS
    assert first.num_rows == 1
    seen = [(row["code"], row["first_seen"], row["last_seen"]) for row in second.to_pylist()]
    assert seen == [("unknown-unit", TUESDAY, TUESDAY), ("missing-level", MONDAY, TUESDAY)]
