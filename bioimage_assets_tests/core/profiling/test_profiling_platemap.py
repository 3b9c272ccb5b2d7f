"""Platemap files of the field's variants are read as one table per plate, or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.profiling.platemap import read_platemap
from bioimage_assets.core.settings.dataset import DatasetSettings

SETTINGS = DatasetSettings()


def write(folder: Path, name: str, text: str, encoding: str = "utf-8") -> None:
    path = folder / "platemaps" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding=encoding)


def write_screen(folder: Path, wells: str = "well_position\tcompound\nA1\tDMSO\nB02\tdrug\n") -> None:
    write(folder, "barcode_platemap.csv", "Assay_Plate_Barcode,Plate_Map_Name\nP1,layout\n001,layout\n")
    write(folder, "platemap/layout.txt", wells)


def test_a_dataset_without_platemap_folder_has_none(tmp_path: Path) -> None:
    assert read_platemap(tmp_path, "P1", SETTINGS) is None


def test_wells_are_normalised_and_columns_prefixed(tmp_path: Path) -> None:
    write_screen(tmp_path, "well_position\tcompound\tconcentration_um\nA1\tDMSO\t\nb - 2\tdrug\t0.3\n")
    platemap = read_platemap(tmp_path, "P1", SETTINGS)
    assert platemap is not None
    assert platemap.table.to_pydict() == {
        "Metadata_Well": ["A01", "B02"],
        "Metadata_compound": ["DMSO", "drug"],
        "Metadata_concentration_um": [None, 0.3],
    }
    assert platemap.name == "layout"
    assert platemap.findings == ()


def test_the_other_barcode_columns_and_comma_files_are_read_too(tmp_path: Path) -> None:
    write(
        tmp_path,
        "barcode_platemap.csv",
        "plate_barcode,platemap_file\r\nP1,layout.csv\r\n",
        encoding="utf-8-sig",
    )
    write(tmp_path, "layout.csv", "Well,treatment\nC6,x\n", encoding="utf-8-sig")
    platemap = read_platemap(tmp_path, "P1", SETTINGS)
    assert platemap is not None
    assert platemap.table.to_pydict() == {"Metadata_Well": ["C06"], "Metadata_treatment": ["x"]}


def test_leading_zeros_of_a_plate_name_count(tmp_path: Path) -> None:
    write_screen(tmp_path)
    known, unknown = read_platemap(tmp_path, "001", SETTINGS), read_platemap(tmp_path, "1", SETTINGS)
    assert known is not None
    assert known.wells == ("A01", "B02")
    assert unknown is not None
    assert unknown.wells == ()
    assert [finding.code for finding in unknown.findings] == ["plate-not-in-barcodes"]
    assert "It lists '001'" in unknown.findings[0].message


def test_a_well_described_twice_is_refused_because_its_cells_would_double(tmp_path: Path) -> None:
    write_screen(tmp_path, "well_position\tcompound\nA1\tDMSO\nA01\tdrug\n")
    with pytest.raises(ProfilingError, match=r"A01.*more than once"):
        read_platemap(tmp_path, "P1", SETTINGS)


def test_a_platemap_that_is_named_but_absent_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "barcode_platemap.csv", "Assay_Plate_Barcode,Plate_Map_Name\nP1,gone\n")
    with pytest.raises(ProfilingError, match="no such file"):
        read_platemap(tmp_path, "P1", SETTINGS)


def test_two_platemaps_for_one_plate_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "barcode_platemap.csv", "Assay_Plate_Barcode,Plate_Map_Name\nP1,a\nP1,b\n")
    with pytest.raises(ProfilingError, match="several platemaps"):
        read_platemap(tmp_path, "P1", SETTINGS)


def test_a_ragged_row_is_refused_with_its_number(tmp_path: Path) -> None:
    write_screen(tmp_path, "well_position\tcompound\nA1\tDMSO\textra\n")
    with pytest.raises(ProfilingError, match="row 2"):
        read_platemap(tmp_path, "P1", SETTINGS)


def test_a_lone_platemap_is_taken_and_that_is_said(tmp_path: Path) -> None:
    write(tmp_path, "platemap/only.tsv", "well\tcompound\nA1\tx\n")
    platemap = read_platemap(tmp_path, "P1", SETTINGS)
    assert platemap is not None
    assert platemap.wells == ("A01",)
    assert [finding.code for finding in platemap.findings] == ["platemap-assumed"]


def test_the_platemap_named_like_the_plate_wins_without_barcodes(tmp_path: Path) -> None:
    write(tmp_path, "platemap/P1.txt", "well\tcompound\nA1\tfirst\n")
    write(tmp_path, "platemap/P2.txt", "well\tcompound\nA1\tsecond\n")
    platemap = read_platemap(tmp_path, "P2", SETTINGS)
    assert platemap is not None
    assert platemap.table["Metadata_compound"].to_pylist() == ["second"]


def test_compounds_get_their_external_metadata(tmp_path: Path) -> None:
    write_screen(tmp_path, "well_position\tbroad_sample\nA1\tBRD-1\nA2\tBRD-2\nA3\t\n")
    write(
        tmp_path,
        "external_metadata/compounds.tsv",
        "broad_sample\tpert_iname\nBRD-2\ttwo\nBRD-1\tone\nBRD-9\tnine\n",
    )
    platemap = read_platemap(tmp_path, "P1", SETTINGS)
    assert platemap is not None
    assert platemap.table["Metadata_pert_iname"].to_pylist() == ["one", "two", None]
    assert platemap.table.num_rows == 3


def test_external_metadata_that_would_double_wells_is_refused(tmp_path: Path) -> None:
    write_screen(tmp_path, "well_position\tbroad_sample\nA1\tBRD-1\n")
    write(tmp_path, "external_metadata/compounds.tsv", "broad_sample\tname\nBRD-1\tone\nBRD-1\tuno\n")
    with pytest.raises(ProfilingError, match="doubled"):
        read_platemap(tmp_path, "P1", SETTINGS)


def test_ids_made_of_digits_stay_text_and_doses_are_numbers(tmp_path: Path) -> None:
    write_screen(tmp_path, "well_position\tcompound\tdose\nA1\t007\t3\nA2\t12\t0.1\n")
    platemap = read_platemap(tmp_path, "P1", SETTINGS)
    assert platemap is not None
    assert platemap.table["Metadata_compound"].to_pylist() == ["007", "12"]
    assert platemap.table["Metadata_dose"].to_pylist() == [3.0, 0.1]


@pytest.mark.parametrize(
    "text",
    [
        "WELL_POSITION\tCompound\tConcentration_uM\tControl_Type\nA1\tDMSO\t1.5\tnegcon\n",
        "well;compound;concentration_um;control_type\r\na01;DMSO;1,5;negcon\r\n",
        "Row\tColumn\tcompound\tconcentration_um\tcontrol_type\n1\t01\tDMSO\t1.5\tnegcon\n",
        "Well_Row,Well_Col,compound,concentration_um,control_type\nA,1,DMSO,1.5,negcon\n",
        "well|compound|concentration_um|control_type\na01|DMSO|1.5|negcon\n",
    ],
    ids=["another case", "decimal comma", "row and column numbers", "row letters", "pipes"],
)
def test_platemaps_of_every_dialect_are_read_alike(tmp_path: Path, text: str) -> None:
    write_screen(tmp_path, text)
    platemap = read_platemap(tmp_path, "P1", SETTINGS)
    assert platemap is not None
    wanted = ["Metadata_Well", "Metadata_compound", "Metadata_concentration_um", "Metadata_control_type"]
    assert platemap.table.select(wanted).to_pylist() == [
        dict(zip(wanted, ("A01", "DMSO", 1.5, "negcon"), strict=True))
    ]
    assert platemap.findings == ()


def test_rows_that_name_no_well_are_left_out_and_counted(tmp_path: Path) -> None:
    write_screen(tmp_path, "well_position\tcompound\nA1\tx\nblank\ty\n")
    platemap = read_platemap(tmp_path, "P1", SETTINGS)
    assert platemap is not None
    assert platemap.wells == ("A01",)
    assert [finding.code for finding in platemap.findings] == ["platemap-well-unreadable"]


def test_a_remote_dataset_folder_is_read_alike() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe(
        "/screen-m/platemaps/barcode_platemap.csv", b"Assay_Plate_Barcode,Plate_Map_Name\nP1,layout\n"
    )
    memory.pipe("/screen-m/platemaps/platemap/layout.txt", b"well_position\tcompound\nA1\tx\n")
    platemap = read_platemap("memory://screen-m", "P1", SETTINGS)
    assert platemap is not None
    assert platemap.wells == ("A01",)


SECRET = "root:x:0:0:root:/root:/bin/bash\nwell_position,hunter2\n"


@pytest.mark.parametrize("settings", [SETTINGS, DatasetSettings(platemap_dir="../elsewhere")])
def test_a_platemap_folder_that_leads_out_of_the_dataset_is_not_opened(tmp_path, settings) -> None:
    dataset, elsewhere = tmp_path / "screen", tmp_path / "elsewhere"
    dataset.mkdir()
    elsewhere.mkdir()
    (elsewhere / "P1.csv").write_text(SECRET)
    (dataset / "platemaps").symlink_to(elsewhere)
    with pytest.raises(ProfilingError, match="leads out of the dataset") as caught:
        read_platemap(dataset, "P1", settings)
    assert "hunter2" not in str(caught.value)
    assert "root:x" not in str(caught.value)


@pytest.mark.parametrize("name", ["P1.csv", "barcode_platemap.csv"])
def test_a_platemap_behind_a_link_out_of_the_dataset_is_named_and_not_read(tmp_path, name) -> None:
    dataset = tmp_path / "screen"
    (dataset / "platemaps").mkdir(parents=True)
    (tmp_path / "passwd").write_text(SECRET)
    (dataset / "platemaps" / name).symlink_to(tmp_path / "passwd")
    platemap = read_platemap(dataset, "P1", SETTINGS)
    assert platemap is not None
    assert platemap.table.num_rows == 0
    assert ("platemap-link-refused", name) in [(f.code, f.location) for f in platemap.findings]
    assert "hunter2" not in str(platemap.findings)


def test_links_out_of_the_dataset_are_told_in_the_order_of_their_names(tmp_path) -> None:
    dataset = tmp_path / "screen"
    (dataset / "platemaps").mkdir(parents=True)
    (tmp_path / "passwd").write_text(SECRET)
    names = [f"{letter}.csv" for letter in "hcaegbdf"]
    for name in names:
        (dataset / "platemaps" / name).symlink_to(tmp_path / "passwd")
    platemap = read_platemap(dataset, "P1", SETTINGS)
    assert platemap is not None
    told = [f.location for f in platemap.findings if f.code == "platemap-link-refused"]
    assert told == sorted(names)


def test_a_barcode_table_names_no_file_outside_of_its_folder(tmp_path) -> None:
    (tmp_path / "passwd.csv").write_text(SECRET)
    dataset = tmp_path / "screen"
    write(
        dataset,
        "barcode_platemap.csv",
        f"Assay_Plate_Barcode,Plate_Map_Name\nP1,../../passwd\nP2,{tmp_path}/passwd\n",
    )
    for plate in ("P1", "P2"):
        with pytest.raises(ProfilingError, match="there is no such file") as caught:
            read_platemap(dataset, plate, SETTINGS)
        assert "hunter2" not in str(caught.value)


def test_links_inside_the_platemap_folder_are_followed(tmp_path) -> None:
    write_screen(tmp_path)
    (tmp_path / "platemaps/platemap/layout.txt").rename(tmp_path / "platemaps/platemap/old.txt")
    (tmp_path / "platemaps/platemap/layout.txt").symlink_to("old.txt")
    platemap = read_platemap(tmp_path, "P1", SETTINGS)
    assert platemap is not None
    assert platemap.table.num_rows == 2


def test_wells_of_a_row_and_a_column_number_are_read_unless_a_well_column_says_them(tmp_path: Path) -> None:
    write_screen(tmp_path, "Row\tColumn\tcompound\n1\t1\tDMSO\n2\t3\tdrug\n")
    two = read_platemap(tmp_path, "P1", SETTINGS)
    assert two is not None
    assert two.wells == ("A01", "B03")
    write_screen(tmp_path, "Row\tColumn\tWELL\tcompound\n1\t1\tC01\tDMSO\n2\t3\tC02\tdrug\n")
    one = read_platemap(tmp_path, "P1", SETTINGS)
    assert one is not None
    assert one.wells == ("C01", "C02")


def test_a_key_of_external_metadata_that_is_there_twice_is_named_and_no_other(tmp_path: Path) -> None:
    write_screen(tmp_path)
    write(tmp_path, "external_metadata/compounds.csv", "compound,target\nDMSO,none\ndrug,kinase\ndrug,pump\n")
    with pytest.raises(ProfilingError, match=r"describes Metadata_compound \['drug'\] more than once"):
        read_platemap(tmp_path, "P1", SETTINGS)


def test_of_external_columns_only_those_that_the_platemap_lacks_are_taken(tmp_path: Path) -> None:
    write_screen(tmp_path, "well_position\tcompound\tremark\nA1\tDMSO\tlow\nB02\tdrug\thigh\n")
    text = "well,remark,compound,target,moa\nX,other,drug,kinase,inhibitor\nY,other,DMSO,none,vehicle\n"
    write(tmp_path, "external_metadata/compounds.csv", text.replace("remark", "source"))
    platemap = read_platemap(tmp_path, "P1", SETTINGS)
    assert platemap is not None
    table = platemap.table.to_pydict()
    assert table["Metadata_target"] == ["none", "kinase"]
    assert table["Metadata_moa"] == ["vehicle", "inhibitor"]
    write(tmp_path, "external_metadata/compounds.csv", "compound,remark,target\ndrug,other,kinase\n")
    kept = read_platemap(tmp_path, "P1", SETTINGS)
    assert kept is not None
    assert kept.table.to_pydict()["Metadata_remark"] == ["low", "high"]
    assert kept.table.to_pydict()["Metadata_target"] == [None, "kinase"]
    assert [finding.code for finding in kept.findings] == ["external-metadata-column"]


def test_an_external_table_that_shares_only_the_wells_is_not_used(tmp_path: Path) -> None:
    write_screen(tmp_path)
    write(tmp_path, "external_metadata/wells.csv", "Metadata_Well,target\nA01,kinase\n")
    platemap = read_platemap(tmp_path, "P1", SETTINGS)
    assert platemap is not None
    assert "Metadata_target" not in platemap.table.column_names
    assert [finding.code for finding in platemap.findings] == ["external-metadata-unused"]


@pytest.mark.parametrize("below", ["", "platemap/", "external_metadata/"])
def test_a_file_that_is_no_table_of_text_is_named_with_what_is_taken(tmp_path: Path, below: str) -> None:
    write_screen(tmp_path)
    for name in ("layout.xlsx", "README.md", "layout.txt.sha256"):
        write(tmp_path, f"{below}{name}", "x")
    platemap = read_platemap(tmp_path, "P1", SETTINGS)
    assert platemap is not None
    (finding,) = platemap.findings
    assert (finding.code, finding.severity) == ("platemap-not-read", "warning")
    assert finding.location == f"{below}layout.xlsx"
    assert ".txt, .tsv, .csv" in finding.message
    assert "Save spreadsheets as .csv" in finding.message
    assert platemap.wells == ("A01", "B02")


@pytest.mark.parametrize("packing", ["gzip", "bz2", "zstd"])
def test_a_packed_platemap_is_the_same_platemap(tmp_path: Path, packing: str) -> None:
    write_screen(tmp_path)
    plain = read_platemap(tmp_path, "P1", SETTINGS)
    path = tmp_path / "platemaps/platemap/layout.txt"
    suffix = {"gzip": ".gz", "bz2": ".bz2", "zstd": ".zst"}[packing]
    with pa.output_stream(f"{path}{suffix}", compression=packing) as stream:
        stream.write(path.read_bytes())
    path.unlink()
    packed = read_platemap(tmp_path, "P1", SETTINGS)
    assert packed is not None
    assert plain is not None
    assert packed.name == plain.name == "layout"
    assert packed.table.equals(plain.table)
    cut = Path(f"{path}{suffix}")
    cut.write_bytes(cut.read_bytes()[:-4])
    with pytest.raises(ProfilingError, match="Copy it again"):
        read_platemap(tmp_path, "P1", SETTINGS)
