"""The drift board names the plates that differ from their batch, and no other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from bioimage_assets.core.image_quality.drift import build_drift_board, list_drift_findings
from bioimage_assets.core.tables.schemas import IMAGE_QUALITY


def _plate(number: int, *, source: str = "pixels", fields: int = 24, **factors: float) -> pa.Table:
    """Fields of a plate that differ by a tenth; ``factors`` are those of its measures."""
    rng = np.random.default_rng(number)
    usual = {
        "detail_ratio": 0.35,
        "background": 0.01,
        "snr": 60.0,
        "power_log_log_slope": -1.5,
        "median_intensity": 0.02,
    }
    rows = [
        {
            "plate_key": f"s/P{number}", "dataset_id": "s", "channel": channel, "source": source, "flag_blank": False,
            "percent_maximal": factors.get("percent_maximal", 0.002),
            **{name: value * factors.get(name, 1.0) * rng.lognormal(0, 0.1) for name, value in usual.items()},
        }
        for channel in ("DNA", "RNA")
        for _ in range(fields)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=IMAGE_QUALITY)


def _drifting(plates: list[pa.Table], batches: dict[str, str] | None = None) -> dict[str, set[str]]:
    levels = build_drift_board(plates, batches or {f"s/P{number}": "day" for number in range(99)}, 3.0)
    found: dict[str, set[str]] = {}
    for level in levels:
        if level.is_drifting:
            found.setdefault(level.plate_key, set()).add(level.measure)
    return found


def test_plates_that_are_alike_do_not_drift():
    assert _drifting([_plate(number) for number in range(12)]) == {}


@pytest.mark.parametrize(
    ("measure", "factor"),
    [("detail_ratio", 0.6), ("background", 2.0), ("snr", 0.5), ("percent_maximal", 0.5)],
)
def test_a_plate_with_another_level_is_named_with_its_measure(measure, factor):
    plates = [_plate(number) for number in range(6)] + [_plate(6, **{measure: factor})]
    assert _drifting(plates) == {"s/P6": {measure}}


def test_a_batch_is_compared_with_itself_only():
    """Another day has another lamp: that is what batches are for."""
    plates = [_plate(number) for number in range(4)] + [
        _plate(number, background=4.0) for number in range(4, 8)
    ]
    batches = {f"s/P{number}": "day 1" if number < 4 else "day 2" for number in range(8)}
    assert _drifting(plates, batches) == {}
    assert set(_drifting(plates)) == {f"s/P{number}" for number in range(8)}


def test_of_two_plates_none_is_called_the_one_that_drifts():
    levels = build_drift_board([_plate(0), _plate(1, background=3.0)], {}, 3.0)
    assert {level.distance for level in levels} == {None}


def test_blank_fields_and_fields_that_were_not_read_have_no_part():
    plates = [_plate(number) for number in range(4)]
    odd = _plate(4, background=9.0, fields=24)
    for name, value in (("flag_blank", True), ("source", "not_read")):
        column = pa.array([value] * odd.num_rows, IMAGE_QUALITY.field(name).type)
        changed = odd.set_column(IMAGE_QUALITY.get_field_index(name), IMAGE_QUALITY.field(name), column)
        assert _drifting([*plates, pa.concat_tables([_plate(4), changed])]) == {}


def test_what_cellprofiler_measured_is_compared_by_its_own_measures():
    plates = [_plate(number, source="measured") for number in range(5)]
    assert _drifting([*plates, _plate(5, source="measured", power_log_log_slope=2.0)]) == {
        "s/P5": {"power_log_log_slope"}
    }


def test_a_finding_names_plate_channels_and_measures():
    plates = [_plate(number) for number in range(6)] + [_plate(6, background=2.0)]
    (finding,) = list_drift_findings(build_drift_board(plates, {}, 3.0))
    assert (finding.code, finding.severity, finding.location) == ("plate-drifts", "warning", "s/P6")
    assert "background of DNA (+" in finding.message
    assert "background of RNA (+" in finding.message
