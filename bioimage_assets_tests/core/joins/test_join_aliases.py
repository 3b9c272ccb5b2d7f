"""Aliases: which profile column stands for which key."""

from __future__ import annotations

import pytest

from bioimage_assets.core.errors import SettingsError
from bioimage_assets.core.joins.aliases import load_profile_column_aliases, resolve_profile_columns


@pytest.mark.parametrize(
    ("column", "key"),
    [
        ("Metadata_dataset_id", "dataset_id"),
        ("Metadata_DatasetID", "dataset_id"),
        ("Metadata_Source", "dataset_id"),
        ("Metadata_ImageID", "image_id"),
        ("Metadata_Plate", "plate_id"),
        ("Image_Metadata_Plate", "plate_id"),
        ("Image_Metadata_Well_x", "well_id"),
        ("Metadata_FOV", "site_id"),
        ("Image_Metadata_Site", "site_id"),
        ("Metadata_Acquisition", "acquisition_id"),
    ],
)
def test_a_built_in_alias_stands_for_its_key(column: str, key: str) -> None:
    assert resolve_profile_columns(["Cells_Area", column]).columns == {key: column}


def test_the_exact_name_wins_then_the_declared_alias_then_the_built_in_one() -> None:
    columns = ["Metadata_Well", "WellName", "well_id"]
    resolved = resolve_profile_columns(columns, {"well_id": ["WellName"]})
    assert resolved.columns["well_id"] == "well_id"
    assert resolved.shadowed["well_id"] == ("WellName", "Metadata_Well")
    assert resolve_profile_columns(columns[:2], {"well_id": ["WellName"]}).columns["well_id"] == "WellName"


def test_several_columns_for_one_key_are_a_finding_that_names_them() -> None:
    (finding,) = resolve_profile_columns(["Metadata_Plate", "Image_Metadata_Plate"]).findings
    assert finding.code == "several-alias-columns"
    assert "Metadata_Plate, Image_Metadata_Plate" in finding.message


def test_the_laboratory_column_never_stands_for_a_dataset_that_the_caller_named() -> None:
    assert resolve_profile_columns(["Metadata_Source"], profile_dataset_id="screen").get("dataset_id") is None
    weak = resolve_profile_columns(["Metadata_Source"])
    assert weak.get("dataset_id") == "Metadata_Source"
    assert weak.is_dataset_weak
    declared = resolve_profile_columns(["Metadata_Source"], {"dataset_id": ["Metadata_Source"]}, "screen")
    assert declared.get("dataset_id") == "Metadata_Source"
    assert not declared.is_dataset_weak


def test_aliases_are_read_from_toml(tmp_path) -> None:
    path = tmp_path / "aliases.toml"
    path.write_text('[microscopy.aliases]\ndataset_id = ["ProjectID"]\nimage_id = "ImageKey"\n')
    assert load_profile_column_aliases(path) == {"dataset_id": ("ProjectID",), "image_id": ("ImageKey",)}
    path.write_text("[other]\nx = 1\n")
    assert load_profile_column_aliases(str(path)) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[microscopy.aliases]\nwel_id = ["W"]\n', "unknown key 'wel_id'"),
        ("[microscopy.aliases]\nwell_id = [1]\n", "expected a column name"),
        ("[microscopy\n", "not valid TOML"),
        ("microscopy = 3\n", "must be a table"),
    ],
)
def test_a_malformed_alias_file_is_refused_with_the_reason(tmp_path, text: str, expected: str) -> None:
    path = tmp_path / "aliases.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=expected):
        load_profile_column_aliases(path)


def test_a_missing_alias_file_is_refused(tmp_path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_profile_column_aliases(tmp_path / "none.toml")
