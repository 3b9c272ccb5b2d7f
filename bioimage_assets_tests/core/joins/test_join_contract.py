"""The join contract: the seeds' verdict, their warnings, and what the ladder adds."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.joins.contract import (
    validate_microscopy_profile_columns,
    validate_microscopy_profile_table,
)


def test_required_keys_may_stand_under_aliases() -> None:
    result = validate_microscopy_profile_columns(
        ["Metadata_dataset_id", "Metadata_ImageID", "Metadata_Plate"]
    )
    assert result.is_valid
    assert result.missing_recommended_columns == ["well_id", "site_id"]
    assert result.warnings[0] == (
        "Microscopy join keys will require alias normalization: dataset_id<-Metadata_dataset_id, "
        "image_id<-Metadata_ImageID, plate_id<-Metadata_Plate"
    )
    assert result.warnings[1] == "Recommended microscopy join keys are missing: well_id, site_id"


def test_a_table_without_ids_is_invalid_but_says_how_it_can_be_linked() -> None:
    columns = [
        "Image_Metadata_Well",
        "Image_Metadata_Site",
        "Image_FileName_DNA",
        "Image_PathName_DNA",
        "Image_MD5Digest_DNA",
    ]
    result = validate_microscopy_profile_columns(columns)
    assert not result.is_valid
    assert result.missing_required_columns == ["dataset_id", "image_id"]
    assert result.linking_rules == ("plate_well_site", "md5", "path", "file_name")
    assert not validate_microscopy_profile_columns(["Cells_Area"]).is_linkable


def test_profile_dataset_id_stands_in_for_the_dataset() -> None:
    assert validate_microscopy_profile_columns(["image_id"], profile_dataset_id="ds").is_valid


def test_custom_aliases_count() -> None:
    result = validate_microscopy_profile_columns(
        ["P", "I"], alias_map={"dataset_id": ["P"], "image_id": ["I"]}
    )
    assert result.is_valid


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_tables_on_disk_are_checked_by_their_header(tmp_path, suffix: str) -> None:
    table = pa.table({"dataset_id": ["a"], "Metadata_ImageID": ["b"]})
    path = tmp_path / f"cells.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        path.write_text("dataset_id,Metadata_ImageID\na,b\n")
    assert validate_microscopy_profile_table(path).is_valid
    assert validate_microscopy_profile_table(str(path)).target == str(path)
    assert validate_microscopy_profile_table(table).is_valid


@pytest.mark.parametrize("name", ["absent.parquet", "broken.parquet"])
def test_an_unreadable_table_is_invalid_with_the_reason(tmp_path, name: str) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"nonsense")
    result = validate_microscopy_profile_table(tmp_path / name)
    assert not result.is_valid
    assert name in result.warnings[0]


def test_the_result_is_json() -> None:
    plain = json.loads(validate_microscopy_profile_columns(["image_id"], target="t").to_json(indent=1))
    assert plain["target"] == "t"
    assert plain["missing_required_columns"] == ["dataset_id"]
    assert plain["is_valid"] is False
