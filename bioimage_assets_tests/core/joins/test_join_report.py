"""The report: outcomes that add up, findings that say what to do, and rows in = rows out."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from bioimage_assets.core.errors import ContractError, UsageError
from bioimage_assets.core.joins.join import JoinOptions, join_plate, join_profiles
from bioimage_assets.core.tables.schemas import JOIN_REPORT
from bioimage_assets_tests.core.joins.join_builders import image_row, image_table, plate_images

PROFILES = pa.table(
    {
        "Metadata_Well": ["A1", "A1", "B2", "C3", None],
        "Metadata_Site": ["0", "0", None, "0", "0"],
        "Cells_Area": [1.0, 2.0, 3.0, 4.0, 5.0],
    }
)


def test_row_outcomes_add_up_to_the_profile_rows() -> None:
    report = join_plate(plate_images(), PROFILES, plate_key="ds/P1", dataset_id="ds").report
    counts = {name: report.count(name) for name in ("matched", "ambiguous", "profiles-without-image")}
    assert counts == {"matched": 2, "ambiguous": 1, "profiles-without-image": 2}
    assert report.profile_rows == report.joined_rows == 5
    assert report.matched_fraction == 0.4
    assert report.count("image-without-profiles") == 3
    assert report.image_count == 4


def test_the_report_is_a_table_of_the_projects_schema() -> None:
    table = join_plate(plate_images(), PROFILES, plate_key="ds/P1", dataset_id="ds").report.to_table()
    assert table.schema.equals(JOIN_REPORT)
    assert set(table["plate_key"].to_pylist()) == {"ds/P1"}
    matched = [row for row in table.to_pylist() if row["outcome"] == "matched"]
    assert matched[0]["sample_keys"] == ["well_id=A01 site_id=0"]
    assert (matched[0]["join_rule"], matched[0]["row_count"]) == ("plate_well_site", 2)


def test_the_report_is_json() -> None:
    report = join_plate(plate_images(), PROFILES, plate_key="ds/P1", dataset_id="ds").report
    assert json.loads(report.to_json())["matched_rows"] == 2


def test_an_inner_join_drops_unlinked_rows_and_counts_them() -> None:
    result = join_plate(plate_images(), PROFILES, how="inner", plate_key="ds/P1", dataset_id="ds")
    assert result.table()["Cells_Area"].to_pylist() == [1.0, 2.0]
    assert result.report.count("dropped") == 3
    assert result.report.joined_rows == 2


def test_sites_that_no_offset_explains_are_a_warning() -> None:
    profiles = pa.table({"Metadata_Well": ["A01", "A01"], "Metadata_Site": ["0", "M10"]})
    (finding,) = join_plate(plate_images(), profiles, plate_key="ds/P1").report.findings
    assert (finding.code, finding.severity) == ("site-mismatch", "warning")
    assert "profiles 0, M10, images 0, 1" in finding.message


def test_alias_columns_that_disagree_are_a_warning_with_the_values() -> None:
    keys = {
        "Metadata_Well": ["A01", "A1"],
        "Image_Metadata_Well": ["B02", "a-1"],
        "Metadata_Site": ["0", "0"],
    }
    findings = join_plate(plate_images(), pa.table(keys), plate_key="ds/P1").report.findings
    conflict = next(f for f in findings if f.code == "alias-conflict")
    assert conflict.message.startswith("1 row(s)")
    assert "'A01' against 'B02'" in conflict.message


def test_a_key_column_of_an_unusable_type_is_a_finding() -> None:
    keys = {"Metadata_Well": [["A01"]], "Metadata_Plate": [True], "image_id": pa.nulls(1)}
    result = join_plate(plate_images(), pa.table(keys), plate_key="ds/P1")
    assert {(f.code, f.location) for f in result.report.findings} == {
        ("unusable-key-type", "Metadata_Well"),
        ("unusable-key-type", "Metadata_Plate"),
        ("rows-without-key", ""),
        ("nothing-linked", ""),
    }
    assert result.table().num_rows == 1


def test_a_stream_can_be_joined_once_and_reports_at_its_end() -> None:
    reader = pa.RecordBatchReader.from_batches(PROFILES.schema, PROFILES.to_batches(max_chunksize=2))
    result = join_plate(plate_images(), reader, plate_key="ds/P1", dataset_id="ds")
    with pytest.raises(UsageError, match="only after"):
        _ = result.report
    assert result.table().num_rows == 5
    assert result.report.matched_rows == 2
    with pytest.raises(UsageError, match="once only"):
        result.table()
    again = join_plate(plate_images(), PROFILES, plate_key="ds/P1", dataset_id="ds")
    assert again.report == result.report


def test_reading_a_join_twice_gives_the_same_rows_and_the_same_report() -> None:
    result = join_plate(plate_images(), PROFILES, plate_key="ds/P1", dataset_id="ds")
    first, report = result.table(), result.report
    assert result.table().equals(first)
    assert result.report == report


@pytest.mark.parametrize("images", [image_table(), plate_images()])
def test_empty_sides_join_to_the_full_schema(images: pa.Table) -> None:
    empty = join_plate(images, PROFILES.slice(0, 0), plate_key="ds/P1", dataset_id="ds").table()
    assert empty.num_rows == 0
    assert {"image_id", "uri", "join_rule", "Cells_Area"} <= set(empty.column_names)
    no_images = join_plate(image_table(), PROFILES, plate_key="ds/P1", dataset_id="ds")
    assert no_images.table().num_rows == 5
    assert no_images.report.matched_rows == 0


def test_a_table_without_image_id_is_no_image_table() -> None:
    with pytest.raises(ContractError, match="no image_id column"):
        join_profiles(pa.table({"uri": ["x"]}), PROFILES)


@pytest.mark.parametrize("options", [JoinOptions(how="outer"), JoinOptions(join_keys=("chunk_key",))])  # type: ignore[arg-type]
def test_unknown_options_are_refused(options: JoinOptions) -> None:
    with pytest.raises(UsageError):
        join_profiles(plate_images(), PROFILES, options)


def test_an_image_with_two_copies_of_its_id_is_ambiguous_and_multiplies_nothing() -> None:
    images = image_table(image_row("P1:x"), image_row("P1:x"))
    result = join_profiles(images, pa.table({"dataset_id": ["ds"], "image_id": ["P1:x"]}))
    assert result.table().num_rows == 1
    assert result.report.count("ambiguous", "image_id") == 1


def test_a_dataset_that_no_image_belongs_to_is_a_warning_that_names_both() -> None:
    options = JoinOptions(dataset_id="dss")
    report = join_profiles(plate_images(), pa.table({"image_id": ["P1:A01:0"] * 2}), options).report
    assert report.matched_rows == 0
    finding, nothing = report.findings
    assert (nothing.code, nothing.severity) == ("nothing-linked", "error")
    assert (finding.code, finding.severity) == ("unknown-dataset", "error")
    assert "2 row(s) name dataset(s) 'dss'; the images are of 'ds'" in finding.message
