"""dataset.toml: every key is read, every mistake names file and key, the template says what was found."""

from __future__ import annotations

import gzip
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bioimage_assets.core.discovery.dataset_file import (
    parse_dataset_settings,
    read_dataset_settings,
    write_dataset_template,
)
from bioimage_assets.core.discovery.dataset_template import DatasetSurvey, build_dataset_template
from bioimage_assets.core.errors import SettingsError, StoreAccessError
from bioimage_assets.core.settings.dataset import DATASET_FILE, DatasetSettings
from bioimage_assets.core.settings.dataset_keys import DATASET_KEYS

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "dataset-toml.md"

FULL = r"""
[microscopy.aliases]
dataset_id = ["ProjectID"]
plate_id = "Barcode"
well_id = ["WellName", "Pos"]
site_id = ["F"]
image_id = ["ImageKey"]
[images]
file_pattern = '(?P<plate>.+)_(?P<well>\w+)_(?P<site>\d+)\.tif'
[join]
profile_site_offset = -1
ignore_profile_plate = true
path_rewrites = [["/home/a/", "s3://b/"], ["C:\\x", ""]]
match_md5 = true
[measurements]
engine = "cytotable"
compartments = ["Cells", "Nuclei"]
[platemaps]
dir = "metadata/platemaps"
well_column = "well"
[controls]
column = "Metadata_pert_type"
values = ["DMSO", "EMPTY"]
min_count = 8
[treatments]
columns = ["Metadata_broad_sample"]
[qc]
max_fail_fraction = 0.5
[qc.thresholds.large_nuclei]
Nuclei_AreaShape_Area = 2
Nuclei_AreaShape_FormFactor = -2.5
[profiles]
normalization = "mad_robustize"
min_cells_per_well = 20
"""


def test_every_key_reaches_its_setting() -> None:
    settings = parse_dataset_settings(FULL)
    assert settings == DatasetSettings(
        aliases={
            "dataset_id": ("ProjectID",), "plate_id": ("Barcode",), "well_id": ("WellName", "Pos"), "site_id": ("F",),
            "image_id": ("ImageKey",),
        },
        file_pattern=r"(?P<plate>.+)_(?P<well>\w+)_(?P<site>\d+)\.tif",
        profile_site_offset=-1,
        ignore_profile_plate=True,
        path_rewrites=(("/home/a/", "s3://b/"), ("C:\\x", "")),
        match_md5=True,
        measurement_engine="cytotable",
        compartments=("Cells", "Nuclei"),
        platemap_dir="metadata/platemaps",
        platemap_well_column="well",
        control_column="Metadata_pert_type",
        control_values=("DMSO", "EMPTY"),
        min_controls=8,
        treatment_columns=("Metadata_broad_sample",),
        qc_max_fail_fraction=0.5,
        qc_thresholds={"large_nuclei": {"Nuclei_AreaShape_Area": 2.0, "Nuclei_AreaShape_FormFactor": -2.5}},
        normalization_method="mad_robustize",
        min_cells_per_well=20,
    )  # fmt: skip


def test_every_setting_has_exactly_one_key() -> None:
    fields = [key.field for key in DATASET_KEYS if key.field != "aliases"]
    assert sorted({*fields, "aliases"}) == sorted(DatasetSettings.__dataclass_fields__)
    assert len(fields) == len(set(fields))


def test_every_key_stands_in_the_document_below_its_table() -> None:
    sections = DOCUMENT.read_text(encoding="utf-8").split("\n## ")
    for key in DATASET_KEYS:
        section = next(text for text in sections if text.startswith(f"`[{key.table}]`"))
        assert f"| `{key.name}` |" in section, key.path


def test_the_defaults_of_the_document_are_those_of_the_settings() -> None:
    defaults, compared = DatasetSettings(), 0
    for section in DOCUMENT.read_text(encoding="utf-8").split("\n## ")[1:]:
        table = section.partition("`[")[2].partition("]`")[0]
        for name, written in re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section, re.MULTILINE):
            (key,) = [key for key in DATASET_KEYS if (key.table, key.name) == (table, name)]
            stated = key.parse(tomllib.loads(f"value = {written}")["value"]) if written != "[]" else ()
            default = getattr(defaults, key.field)
            assert (list(stated) if isinstance(stated, tuple) else stated) == (
                list(default) if isinstance(default, tuple) else default
            ), key.path
            compared += 1
    assert compared > 60


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[join]\nsite_offset = 1", ["join.site_offset", "join.profile_site_offset"]),
        ("[joins]\nmatch_md5 = true", ["joins"]),
        ("engine = 'duckdb'", ["engine", "measurements.engine"]),
        ("[measurements]\nengine = 'spark'", ["measurements.engine", "duckdb, cytotable", "spark"]),
        ("[qc]\nmax_fail_fraction = 20", ["qc.max_fail_fraction", "0 to 1"]),
        ("[qc]\nmax_fail_fraction = true", ["qc.max_fail_fraction"]),
        ("[qc.thresholds]\nlarge = 2", ["qc.thresholds", "large"]),
        ("[qc.thresholds.large]\nArea = 'big'", ["large", "Area", "big"]),
        ("[join]\nmatch_md5 = 'yes'", ["join.match_md5", "true or false"]),
        ("[join]\nprofile_site_offset = 1.5", ["join.profile_site_offset", "whole number"]),
        ("[join]\npath_rewrites = [['a']]", ["join.path_rewrites", "pair"]),
        ("[controls]\nvalues = []", ["controls.values", "at least one"]),
        ("[controls]\nmin_count = -1", ["controls.min_count", "0 or more"]),
        ("[images]\nfile_pattern = '(?P<well'", ["images.file_pattern", "regular expression"]),
        ("[images]\nfile_pattern = '(?P<feld>x)'", ["images.file_pattern", "feld", "site"]),
        ("[microscopy.aliases]\nplate = ['P']", ["microscopy.aliases.plate", "microscopy.aliases.plate_id"]),
        ("[microscopy]\nfoo = 1", ["microscopy.foo"]),
        ("join = 3", ["join"]),
        ("[profiles]\nnormalization = 'zscore'", ["profiles.normalization", "inverse_normal, spherize", "zscore"]),
        ("[normalization]\nsamples = 'dataset'", ["normalization.samples", "controls, plate", "dataset"]),
        ("[normalization]\nmad_epsilon = -1", ["normalization.mad_epsilon", "0 or more"]),
        ("[normalization]\nmad_epsilon = inf", ["normalization.mad_epsilon", "0 or more"]),
        ("[normalization]\nquantiles = 1", ["normalization.quantiles", "2 to 10000"]),
        ("[normalization]\nspherize_method = 'PCA'", ["normalization.spherize_method", "ZCA-cor, ZCA"]),
        ("[normalization]\nspherize_epsilon = 0", ["normalization.spherize_epsilon", "above 0"]),
        ("x = ", ["TOML"]),
    ],
)  # fmt: skip
def test_a_mistake_names_the_file_the_key_and_what_was_expected(text: str, names: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_dataset_settings(text, "data/screen/dataset.toml")
    for name in ["data/screen/dataset.toml", *names]:
        assert name in str(caught.value)


@pytest.mark.parametrize(
    "folder",
    ["..", "../other", "/etc", "a/../../b", "s3://bucket/maps", "file:///etc", "a\\..\\b", "../../../../etc"],
)
def test_a_platemap_folder_outside_of_the_dataset_is_refused(folder: str) -> None:
    with pytest.raises(SettingsError, match=r"platemaps\.dir: expected a folder below the dataset"):
        parse_dataset_settings(f"[platemaps]\ndir = '{folder}'")


@pytest.mark.parametrize(
    ("folder", "path"),
    [("maps/", "maps"), ("./maps", "maps"), ("meta/maps", "meta/maps"), (".", "."), ("a/../b", "b")],
)
def test_a_platemap_folder_below_the_dataset_is_taken_in_any_spelling(folder: str, path: str) -> None:
    assert parse_dataset_settings(f"[platemaps]\ndir = '{folder}'").platemap_dir == path


def test_settings_behind_a_link_out_of_the_dataset_are_not_read(tmp_path: Path) -> None:
    """The words of another file stand in no message."""
    secret = tmp_path / "secret.toml"
    secret.write_text("password = 'hunter2'")
    (tmp_path / "screen").mkdir()
    (tmp_path / "screen" / DATASET_FILE).symlink_to(secret)
    with pytest.raises(StoreAccessError, match="leads out") as caught:
        read_dataset_settings(str(tmp_path / "screen"))
    assert "password" not in str(caught.value)


def test_a_dataset_without_the_file_has_the_defaults(tmp_path: Path) -> None:
    assert read_dataset_settings(str(tmp_path)) == DatasetSettings()
    assert read_dataset_settings(str(tmp_path / "nowhere")) == DatasetSettings()


def test_the_file_is_read_from_its_folder_with_or_without_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_bytes(b"\xef\xbb\xbf" + FULL.encode())
    assert read_dataset_settings(str(tmp_path)) == parse_dataset_settings(FULL)
    assert read_dataset_settings(tmp_path.as_uri()) == parse_dataset_settings(FULL)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_bytes(b"\xff\xfe\x00x")
    with pytest.raises(SettingsError, match=r"dataset\.toml"):
        read_dataset_settings(str(tmp_path))


def test_the_template_of_an_empty_dataset_gives_the_defaults(tmp_path: Path) -> None:
    write_dataset_template(str(tmp_path))
    assert read_dataset_settings(str(tmp_path)) == DatasetSettings()


def test_the_examples_in_the_template_are_valid_once_uncommented(tmp_path: Path) -> None:
    text = write_dataset_template(str(tmp_path))
    names = {key.name for key in DATASET_KEYS}
    lines = [
        line.removeprefix("# ") if line.removeprefix("# ").split(" = ")[0] in names else line
        for line in text.splitlines()
    ]
    settings = parse_dataset_settings("\n".join(lines))
    assert settings.aliases["plate_id"] == ("MyPlateId",)
    assert settings.path_rewrites == (("/home/lab/", "s3://bucket/"),)
    assert settings.qc_thresholds == {"large_nuclei": {"Nuclei_AreaShape_Area": 2.0}}


def test_the_template_sets_what_the_platemaps_show(tmp_path: Path) -> None:
    maps = tmp_path / "metadata" / "platemaps"
    (maps / "platemap").mkdir(parents=True)
    (maps / "barcode_platemap.csv").write_text("Assay_Plate_Barcode,Plate_Map_Name\nP1,m\n")
    (maps / "platemap" / "m.txt").write_text(
        "well\tpert_type\tbroad_sample\tdose\nA01\ttrt\tBRD-1\t3\nA02\tDMSO\t\t\n"
    )
    (tmp_path / "P1.ome.zarr").mkdir()
    (tmp_path / "measurements").mkdir()
    (tmp_path / "measurements" / "P1.csv").write_text("a\n")
    text = write_dataset_template(str(tmp_path))
    settings = read_dataset_settings(str(tmp_path))
    assert settings.platemap_dir == "metadata/platemaps"
    assert settings.platemap_well_column == "well"
    assert (settings.control_column, settings.control_values) == ("Metadata_pert_type", ("DMSO",))
    assert settings.treatment_columns == ("Metadata_broad_sample", "Metadata_dose")
    assert "Plates or stores found: P1.ome.zarr." in text
    assert "Measurements found: P1.csv." in text


@pytest.mark.parametrize("has_barcodes", [True, False])
@pytest.mark.parametrize("delimiter", [";", ",", "|", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_template_knows_every_platemap_that_profiles_know(
    tmp_path: Path, delimiter: str, encoding: str, has_barcodes: bool
) -> None:
    maps = tmp_path / "platemaps"
    (maps / "external_metadata").mkdir(parents=True)
    (maps / "external_metadata" / "a.csv").write_text("compound,smiles\n")
    if has_barcodes:
        (maps / "Barcode_Platemap.csv").write_text("Assay_Plate_Barcode,Plate_Map_Name\nP1,m\n")
    rows = [["Well", "compound", "pert_type"], ["A01", "x", "trt"], ["A02", "#N/A", "DMSO"]]
    text = "".join(delimiter.join(row) + "\n" for row in rows)
    with gzip.open(maps / "m.csv.gz", "wb") as packed:
        packed.write(text.encode(encoding))
    (tmp_path / "measurements").mkdir()
    for name in ("P1.pq", "P2.tsv.bz2", "notes.docx"):
        (tmp_path / "measurements" / name).write_text("a\n")
    written = write_dataset_template(str(tmp_path))
    settings = read_dataset_settings(str(tmp_path))
    assert settings.platemap_well_column == "Well"
    assert (settings.control_column, settings.control_values) == ("Metadata_pert_type", ("DMSO",))
    assert settings.treatment_columns == ("Metadata_compound",)
    assert settings.missing_words == ()
    assert "#N/A" not in written
    assert "Measurements found: P1.pq, P2.tsv.bz2." in written


def test_a_file_that_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text("[qc]\nmax_fail_fraction = 0.1\n")
    with pytest.raises(SettingsError, match="not touched"):
        write_dataset_template(str(tmp_path))
    assert read_dataset_settings(str(tmp_path)).qc_max_fail_fraction == 0.1
    with pytest.raises(SettingsError, match="no such folder"):
        write_dataset_template(str(tmp_path / "nowhere"))


@pytest.mark.slow
@given(st.lists(st.text(min_size=1, max_size=20), max_size=4))
def test_a_template_is_valid_toml_whatever_things_are_called(names: list[str]) -> None:
    survey = DatasetSurvey(tuple(names), tuple(names), tuple(names), {"control_values": names or ["x"]})
    text = build_dataset_template(survey, names[0] if names else "x")
    assert tomllib.loads(text)["controls"]["values"] == (names or ["x"])
