"""DeepProfiler files: one row per cell of each field, positions from the metadata, nothing run from a pickle."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pycytominer.cyto_utils import load_npz_features

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.measurements.deepprofiler import name_prefix
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.measurement_plates import write_npz
from bioimage_assets_tests.core.measurements.conftest import Reader


def metadata(well: str = "A01", site: object = 5, plate: str = "P1") -> dict[str, object]:
    return {
        "Metadata_Plate": plate,
        "Metadata_Well": well,
        "Metadata_Site": site,
        "DNA": "P1/r01c01f05p01-ch5.png",
        "Compound": np.str_("dmso"),
    }


def test_each_cell_has_its_embedding_position_and_images(tmp_path: Path, read_plate: Reader) -> None:
    write_npz(tmp_path / "P1" / "A01_5.npz", cells=3, metadata=metadata(), seed=1)
    write_npz(tmp_path / "P1" / "A02_1.npz", cells=2, metadata=metadata("A02", np.int64(1)), seed=2)
    plate = read_plate(tmp_path / "P1")
    assert plate.result.kind == "deepprofiler"
    assert plate.table["Metadata_ObjectID"].to_pylist() == [
        "screen/P1/A01_5/1", "screen/P1/A01_5/2", "screen/P1/A01_5/3", "screen/P1/A02_1/1", "screen/P1/A02_1/2",
    ]  # fmt: skip
    row = plate.table.to_pylist()[1]
    assert [row[f"DeepProfiler_{i}"] for i in range(4)] == [1010.0, 1011.0, 1012.0, 1013.0]
    assert (row["Nuclei_Location_Center_X"], row["Nuclei_Location_Center_Y"]) == (11.0, 21.0)
    assert (row["Metadata_Well"], row["Metadata_Site"], row["Metadata_Compound"]) == ("A01", "5", "dmso")
    assert (row["Image_PathName_DNA"], row["Image_FileName_DNA"]) == ("P1", "r01c01f05p01-ch5.png")
    assert plate.result.image_table["Image_Count_Nuclei"].to_pylist() == [3, 2]


def test_a_field_without_cells_is_an_image_without_rows(tmp_path: Path, read_plate: Reader) -> None:
    write_npz(tmp_path / "P1" / "A01_1.npz", cells=0, metadata=metadata())
    write_npz(tmp_path / "P1" / "A01_2.npz", cells=2, metadata=metadata(site=2))
    plate = read_plate(tmp_path / "P1")
    assert plate.table.num_rows == 2
    assert plate.result.image_table["Image_Count_Nuclei"].to_pylist() == [0, 2]


def test_a_site_written_s1_is_the_number_and_that_is_said(tmp_path: Path, read_plate: Reader) -> None:
    write_npz(tmp_path / "P1" / "A01_1.npz", cells=1, metadata=metadata(site="s1"))
    plate = read_plate(tmp_path / "P1")
    assert plate.table["Metadata_Site"].to_pylist() == ["1"]
    assert "site-prefix" in plate.codes("info")


def test_without_metadata_the_file_name_gives_well_and_site(tmp_path: Path, read_plate: Reader) -> None:
    write_npz(tmp_path / "P1" / "B03_7.npz", cells=1)
    row = read_plate(tmp_path / "P1").table.to_pylist()[0]
    assert (row["Metadata_Plate"], row["Metadata_Well"], row["Metadata_Site"]) == ("P1", "B03", "7")


def test_a_broken_file_is_a_finding_and_the_others_are_read(tmp_path: Path, read_plate: Reader) -> None:
    write_npz(tmp_path / "P1" / "A01_1.npz", cells=2, metadata=metadata())
    whole = write_npz(tmp_path / "P1" / "A01_2.npz", cells=2, metadata=metadata(site=2))
    whole.write_bytes(whole.read_bytes()[:200])
    write_npz(tmp_path / "P1" / "A01_3.npz", cells=2, dimensions=9, metadata=metadata(site=3))
    plate = read_plate(tmp_path / "P1")
    assert plate.table.num_rows == 2
    assert plate.finding("unreadable-file").location == "A01_2.npz"
    assert plate.finding("different-dimensions").location == "A01_3.npz"
    assert plate.table.schema.field("DeepProfiler_0").type == pa.float64()


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, read_plate: Reader) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'owned'}",)

    path = write_npz(tmp_path / "P1" / "A01_1.npz", cells=1)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["metadata.npy"] = members["metadata.npy"][:128] + pickle.dumps(Evil())
    with zipfile.ZipFile(path, "w") as archive:
        for name, payload in members.items():
            archive.writestr(name, payload)
    with pytest.raises(MeasurementError, match="refused to build"):
        read_plate(tmp_path / "P1")
    assert not (tmp_path / "owned").exists()


def test_features_are_called_after_the_model_that_the_files_name(tmp_path: Path, read_plate: Reader) -> None:
    named = {**metadata(), "Metadata_Model": "efficientnet"}
    path = write_npz(tmp_path / "P1" / "A01_5.npz", cells=3, metadata=named, seed=1)
    plate = read_plate(tmp_path / "P1")
    library = load_npz_features(str(path))
    features = [name for name in library if name.startswith("efficientnet_")]
    assert plate.table.column_names[-4:] == features
    for name in features:
        assert plate.table[name].to_pylist() == library[name].to_list()
    assert plate.table["Metadata_Model"].to_pylist() == library["Metadata_Model"].to_list()


@pytest.mark.parametrize(
    ("model", "prefix"),
    [
        (None, "DeepProfiler_"),
        ("efficientnet", "efficientnet_"),
        ("plugins/my net v2", "plugins_my_net_v2_"),
        ("Cells_cnn", "DeepProfiler_Cells_cnn_"),
        ("Metadata_x", "DeepProfiler_Metadata_x_"),
        ("//", "DeepProfiler_"),
    ],
)
def test_no_name_of_a_model_makes_features_something_else(model: str | None, prefix: str) -> None:
    assert name_prefix(model) == prefix


def test_files_of_another_model_are_left_out_and_named(tmp_path: Path, read_plate: Reader) -> None:
    for number, model in enumerate(("efficientnet", "efficientnet", "resnet"), 1):
        named = {**metadata(site=number), "Metadata_Model": model}
        write_npz(tmp_path / "P1" / f"A01_{number}.npz", cells=2, metadata=named)
    plate = read_plate(tmp_path / "P1")
    assert plate.table.num_rows == 4
    finding = plate.finding("several-models")
    assert (finding.severity, finding.location) == ("error", "A01_3.npz")
    assert "resnet" in finding.message


def test_well_folders_give_the_position_where_no_metadata_do(tmp_path: Path, read_plate: Reader) -> None:
    write_npz(tmp_path / "features" / "P1" / "B03" / "7.npz", cells=2)
    plate = read_plate(tmp_path / "features" / "P1")
    row = plate.table.to_pylist()[1]
    assert (row["Metadata_Plate"], row["Metadata_Well"], row["Metadata_Site"]) == ("P1", "B03", "7")
    assert row["Metadata_ObjectID"] == "screen/P1/B03/7/2"


def test_a_file_that_changes_after_its_header_was_read_is_an_error(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "P1" / "A01_1.npz", cells=2, metadata=metadata())
    result = read_measurements(
        [str(tmp_path / "P1")], plate_key="s/P1", dataset_id="s", plate_name="P1", settings=DatasetSettings()
    )
    write_npz(path, cells=2, dimensions=3, metadata=metadata())
    with pytest.raises(MeasurementError, match="expected 2 × 4 features"):
        result.reader.read_all()
