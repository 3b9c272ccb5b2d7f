"""CytoTable: its files are read, it is an engine, and it is the oracle of the built-in join."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import MeasurementError, MissingExtraError
from bioimage_assets.core.measurements.cytotable_engine import convert_with_cytotable, find_cytotable_python
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.measurement_plates import (
    PlateSpec,
    write_cellprofiler_folder,
    write_warehouse,
)
from bioimage_assets_tests.core.measurements.conftest import Reader

needs_cytotable = pytest.mark.skipif(
    find_cytotable_python() is None,
    reason="CytoTable (with DuckDB < 2) is not installed; BIOIMAGE_CYTOTABLE_PYTHON may name a Python that has it",
)
CYTOTABLE = DatasetSettings(measurement_engine="cytotable")


def assert_equal_to_oracle(ours: pa.Table, oracle: pa.Table) -> None:
    """Every column of the oracle, value by value and row by row, NaN equal to NaN."""
    keys = [("Metadata_ImageNumber", "ascending"), ("Metadata_ObjectNumber", "ascending")]
    ours, oracle = ours.sort_by(keys), oracle.sort_by(keys)
    assert ours.num_rows == oracle.num_rows
    for name in oracle.schema.names:
        theirs = oracle[name].combine_chunks()
        mine = ours[name].combine_chunks()
        if pa.types.is_floating(mine.type):
            a, b = (
                mine.to_numpy(zero_copy_only=False),
                theirs.cast(pa.float64()).to_numpy(zero_copy_only=False),
            )
            assert np.array_equal(a, b, equal_nan=True), name
        else:
            assert mine.equals(theirs.cast(mine.type)), name


def write_big_plate(folder: Path, cells: int, features: int, images: int) -> Path:
    """A plate of random features with shuffled parents, written without this project's code."""
    rng = np.random.default_rng(20)
    per_image = cells // images
    image = np.repeat(np.arange(1, images + 1), per_image)
    number = np.tile(np.arange(1, per_image + 1), images)
    shuffled = np.concatenate([rng.permutation(per_image) + 1 for _ in range(images)])
    folder.mkdir(parents=True)
    for compartment in ("Cells", "Cytoplasm", "Nuclei"):
        columns: dict[str, np.ndarray] = {"ImageNumber": image, "ObjectNumber": number}
        for i in range(features):
            values = rng.normal(size=len(image)) * 10.0 ** rng.integers(-8, 8)
            columns[f"Texture_F{i}_DNA"] = values
        columns["AreaShape_Area"] = rng.integers(1, 5000, len(image))
        columns["Number_Object_Number"] = number
        if compartment != "Nuclei":
            columns["Parent_Nuclei"] = shuffled
        if compartment == "Cytoplasm":
            columns["Parent_Cells"] = number[::1]
        pa_csv.write_csv(pa.table(columns), folder / f"{compartment}.csv")
    counts = np.full(images, float(per_image))
    image_columns = {
        "ImageNumber": np.arange(1, images + 1),
        **{f"Count_{name}": counts for name in ("Cells", "Cytoplasm", "Nuclei")},
        "FileName_DNA": np.array([f"P1_A01_s{i}_w1.tif" for i in range(images)]),
    }
    pa_csv.write_csv(pa.table(image_columns), folder / "Image.csv")
    return folder


@needs_cytotable
def test_example_human_equals_cytotable_in_all_312_columns(
    tmp_path: Path, example_human: Path, read_plate: Reader
) -> None:
    target = tmp_path / "oracle.parquet"
    convert_with_cytotable(str(example_human), target, "cellprofiler_csv", "csv")
    oracle = pq.read_table(target)
    assert oracle.shape == (289, 312)
    assert_equal_to_oracle(read_plate(example_human).table, oracle)


@needs_cytotable
@pytest.mark.slow
def test_a_plate_of_50000_cells_equals_cytotable(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_big_plate(tmp_path / "P1", cells=50_000, features=20, images=100)
    target = tmp_path / "oracle.parquet"
    convert_with_cytotable(str(folder), target, "cellprofiler_csv", "csv")
    oracle = pq.read_table(target)
    assert oracle.num_rows == 50_000
    plate = read_plate(folder)
    assert_equal_to_oracle(plate.table, oracle)
    assert plate.codes("error") == set()


@needs_cytotable
def test_the_cytotable_engine_gives_the_same_table_as_the_built_in_one(
    tmp_path: Path, read_plate: Reader
) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1", PlateSpec(cells={1: 3, 2: 2}))
    built_in = read_plate(folder).table
    engine = read_plate(folder, settings=CYTOTABLE)
    assert engine.table.select(built_in.schema.names).equals(built_in)
    assert engine.codes("error") == set()


def test_without_cytotable_the_engine_names_the_extra(
    tmp_path: Path, read_plate: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIOIMAGE_CYTOTABLE_PYTHON", str(tmp_path / "no-python"))
    with pytest.raises(MissingExtraError, match=r"bioimage_assets\[cytotable\]"):
        read_plate(write_cellprofiler_folder(tmp_path / "P1"), settings=CYTOTABLE)


def test_a_cytotable_that_fails_gives_its_last_words(
    tmp_path: Path, read_plate: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho first\necho 'IOException: no extension' >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("BIOIMAGE_CYTOTABLE_PYTHON", str(fake))
    with pytest.raises(MeasurementError, match="no extension"):
        read_plate(write_cellprofiler_folder(tmp_path / "P1"), settings=CYTOTABLE)


JOINED = pa.table(
    {
        "Metadata_ImageNumber": pa.array([1, 1, 2], pa.int64()),
        "Metadata_ObjectNumber": pa.array([1, 2, 1], pa.int64()),
        "Metadata_ObjectID": ["obj-a", "obj-b", "obj-c"],
        "Image_FileName_DNA": ["P1_B02_s1_w1.tif", "P1_B02_s1_w1.tif", "P1_B03_s1_w1.tif"],
        "Cells_AreaShape_Area": [1.0, 2.0, math.nan],
    }
)


def test_a_cytotable_warehouse_is_read_wherever_it_lies(tmp_path: Path, read_plate: Reader) -> None:
    plate = read_plate(write_warehouse(tmp_path / "moved", JOINED))
    assert plate.result.kind == "cytotable-warehouse"
    assert plate.table["Metadata_SourceObjectID"].to_pylist() == ["obj-a", "obj-b", "obj-c"]
    assert plate.table["Metadata_ObjectID"].to_pylist() == ["screen/P1/1/1", "screen/P1/1/2", "screen/P1/2/1"]
    assert plate.table["Metadata_Well"].to_pylist() == ["B02", "B02", "B03"]
    assert "row-count-differs" not in plate.codes()


def test_a_warehouse_that_lost_a_file_is_noticed(tmp_path: Path, read_plate: Reader) -> None:
    plate = read_plate(write_warehouse(tmp_path / "w", JOINED, stated_rows=30))
    assert plate.finding("row-count-differs").severity == "error"


def test_joined_cytotable_parquet_is_a_plain_table(tmp_path: Path, read_plate: Reader) -> None:
    pq.write_table(JOINED, tmp_path / "P1.parquet")
    assert read_plate(tmp_path / "P1.parquet").table["Cells_AreaShape_Area"].to_pylist()[:2] == [1.0, 2.0]


def test_unjoined_compartments_are_joined_by_their_parents(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "csv" / "P1", PlateSpec(cells={1: 3, 2: 2}))
    expected = read_plate(folder).table
    unjoined = tmp_path / "P1"
    for path in folder.glob("*.csv"):
        name = path.stem
        as_text = pa_csv.ConvertOptions(
            column_types={"MD5Digest_DNA": pa.string(), "Metadata_Site": pa.string()}
        )
        table = pa_csv.read_csv(path, convert_options=as_text)
        keys = {"ImageNumber": "Metadata_ImageNumber", "ObjectNumber": "Metadata_ObjectNumber"}
        parents = {n: f"Metadata_{name}_{n}" for n in table.column_names if n.startswith("Parent_")}
        renamed = [keys.get(n) or parents.get(n) or f"{name}_{n}" for n in table.column_names]
        (unjoined / f"{name.lower()}.csv.parquet").mkdir(parents=True)
        pq.write_table(
            table.rename_columns(renamed), unjoined / f"{name.lower()}.csv.parquet" / "part-1.parquet"
        )
    plate = read_plate(unjoined)
    assert plate.result.kind == "cytotable"
    assert plate.table.select(expected.schema.names).equals(expected)
