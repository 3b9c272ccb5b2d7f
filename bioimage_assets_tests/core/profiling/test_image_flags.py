"""Cells of flagged fields fail quality control where that is asked for, and are counted; else no number changes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.cosmicqc import (
    FAILED,
    build_cosmicqc_profiles,
    describe_cosmicqc_profiles,
)
from bioimage_assets.core.profiling.image_flags import judge_cells
from bioimage_assets.core.profiling.library_calls import list_qc_calls
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.profiling.plates import make_cells, plan_plate

SETTINGS = DatasetSettings()
FLAG = "Metadata_cqc_image_flags_is_outlier"


@pytest.fixture(scope="module")
def cells() -> pa.Table:
    return make_cells(plan_plate(control_count=8))


def _verdicts(cells: pa.Table, flagged: object, unknown: object = None) -> pa.Table:
    """Fields of the plate in two channels: the flagged one is bad in one of them, the unknown one was not read."""
    images = sorted(set(cells["image_id"].to_pylist()))
    rows = [
        {
            "image_id": image, "well_id": None, "site_id": None,
            "is_flagged": None if image == unknown else image == flagged and channel == "RNA",
        }
        for image in images
        for channel in ("DNA", "RNA")
    ]  # fmt: skip
    schema = pa.schema(
        [
            ("image_id", pa.string()),
            ("well_id", pa.string()),
            ("site_id", pa.string()),
            ("is_flagged", pa.bool_()),
        ]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def test_cells_of_a_field_that_is_flagged_in_one_channel_fail_and_are_counted(cells):
    images = np.array(cells["image_id"].to_pylist())
    bad = images[0]
    plain, before = build_cosmicqc_profiles(cells, SETTINGS)
    table, report = build_cosmicqc_profiles(cells, SETTINGS, _verdicts(cells, bad))
    assert table[FLAG].to_pylist() == (images == bad).tolist()
    assert table[FAILED].to_pylist() == (np.array(plain[FAILED].to_pylist()) | (images == bad)).tolist()
    condition = report.conditions[-1]
    assert (condition.name, condition.flagged_count, condition.evaluated_count, condition.thresholds) == (
        "image_flags", int((images == bad).sum()), cells.num_rows, (),
    )  # fmt: skip
    assert report.failed_count > before.failed_count
    # Everything else is as it was, to the last bit.
    assert table.drop_columns([FLAG, FAILED]).equals(plain.drop_columns([FAILED]))


def test_the_report_of_stored_flags_counts_them_and_no_library_was_called_for_them(cells):
    table, report = build_cosmicqc_profiles(cells, SETTINGS, _verdicts(cells, cells["image_id"][0].as_py()))
    again = describe_cosmicqc_profiles(table, cells, SETTINGS)
    assert again.conditions == report.conditions
    assert "image_flags" not in [call.arguments["condition_name"] for call in list_qc_calls(report)]


def test_without_flags_of_fields_there_is_no_such_column(cells):
    table, _ = build_cosmicqc_profiles(cells, SETTINGS)
    assert FLAG not in table.column_names


def test_cells_of_fields_without_a_verdict_pass_and_are_counted(cells):
    image = cells["image_id"][0].as_py()
    count = cells["image_id"].to_pylist().count(image)
    table, report = build_cosmicqc_profiles(cells, SETTINGS, _verdicts(cells, None, unknown=image))
    assert not any(table[FLAG].to_pylist())
    (finding,) = (one for one in report.findings if one.code == "qc-field-not-judged")
    assert finding.message.startswith(f"{count} of {cells.num_rows} cells are on fields")


def test_a_condition_of_that_name_is_refused_where_flags_are_asked_for(cells):
    settings = DatasetSettings(
        image_flags=True, qc_thresholds={"image_flags": {"Nuclei_AreaShape_Area": 2.0}}
    )
    with pytest.raises(ProfilingError, match="give yours another name"):
        build_cosmicqc_profiles(cells, settings, _verdicts(cells, None))


def test_cells_without_an_image_are_judged_by_well_and_site():
    cells = pa.table({
        "image_id": pa.nulls(3, pa.string()), "Metadata_Well": ["a1", "A01", "B2"], "Metadata_Site": ["1", "02", "1"],
    })  # fmt: skip
    fields = pa.table({
        "image_id": pa.nulls(2, pa.string()), "well_id": ["A01", "A01"], "site_id": ["1", "2"], "is_flagged": [False, True],
    })  # fmt: skip
    verdicts = judge_cells(cells, fields)
    assert verdicts.is_flagged.tolist() == [False, True, False]
    assert verdicts.is_judged.tolist() == [True, True, False]
