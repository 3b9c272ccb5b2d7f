"""Reading as a whole: remote sources, staged files, bounded memory, and what is said about the engine."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.measurement_plates import (
    PlateSpec,
    write_cellprofiler_folder,
    write_sqlite,
)
from bioimage_assets_tests.core.measurements.conftest import Reader

REPOSITORY = Path(__file__).resolve().parents[3]


def test_remote_folders_and_files_give_the_rows_of_local_ones(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    local = read_plate(folder)
    pq.write_table(local.table, tmp_path / "P1.parquet")
    memory = fsspec.filesystem("memory")
    for path in (*folder.iterdir(), tmp_path / "P1.parquet"):
        memory.pipe(f"/measured/{path.relative_to(tmp_path).as_posix()}", path.read_bytes())
    try:
        remote = read_plate("memory://measured/P1")
        assert remote.table.equals(local.table)
        assert set(remote.result.source_files) == {
            f"memory://measured/P1/{name}.csv" for name in ("Image", "Cells", "Cytoplasm", "Nuclei")
        }
        assert read_plate("memory://measured/P1.parquet").table.equals(local.table)
        with pytest.raises(MeasurementError, match="nothing"):
            read_plate("memory://measured/nothing.parquet")
    finally:
        memory.rm("/measured", recursive=True)


def test_a_reader_that_is_dropped_unread_leaves_no_staged_files(tmp_path: Path) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    staging = tmp_path / "staging"
    staging.mkdir()
    result = read_measurements(
        [str(folder)], plate_key="s/P1", dataset_id="s", plate_name="P1", settings=DatasetSettings(),
        staging_root=str(staging),
    )  # fmt: skip
    assert len(list(staging.iterdir())) == 1
    del result
    gc.collect()
    assert list(staging.iterdir()) == []


def test_a_failed_read_leaves_no_staged_files(tmp_path: Path, read_plate: Reader) -> None:
    (tmp_path / "P1.csv").write_text("")
    staging = tmp_path / "staging"
    staging.mkdir()
    with pytest.raises(MeasurementError, match=r"P1\.csv"):
        read_plate(tmp_path / "P1.csv", staging_root=str(staging))
    assert list(staging.iterdir()) == []


def test_reading_twice_gives_the_same_table(tmp_path: Path, read_plate: Reader) -> None:
    for site in range(5):
        spec = PlateSpec(cells={1: 3, 4: 2}, seed=site, wells=(f"A0{site}", f"B0{site}"))
        write_cellprofiler_folder(tmp_path / "P1" / f"s{site}", spec)
    assert read_plate(tmp_path / "P1").table.equals(read_plate(tmp_path / "P1").table)


def test_the_stream_has_one_schema_whatever_the_windows(
    tmp_path: Path, read_plate: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1", PlateSpec(cells=dict.fromkeys(range(1, 9), 300)))
    whole = read_plate(folder).table
    monkeypatch.setattr("bioimage_assets.core.measurements.duckdb_engine.WINDOW_BYTES", 1)
    windowed = read_plate(folder).table
    assert windowed.equals(whole)
    assert windowed.column(0).num_chunks > 1


def test_an_engine_that_does_not_fit_the_source_is_said(tmp_path: Path, read_plate: Reader) -> None:
    path = write_sqlite(tmp_path / "P1.sqlite", {None: PlateSpec()})
    plate = read_plate(path, settings=DatasetSettings(measurement_engine="cytotable"))
    assert plate.table.num_rows == 5
    assert "engine-not-used" in plate.codes("info")


def test_image_stores_beside_the_tables_are_not_searched(tmp_path: Path, read_plate: Reader) -> None:
    folder = write_cellprofiler_folder(tmp_path / "P1")
    write_cellprofiler_folder(folder / "images.ome.zarr" / "0")
    write_cellprofiler_folder(folder / "store" / "0")
    (folder / "store" / "zarr.json").write_text("{}")
    write_cellprofiler_folder(folder / ".cache")
    assert read_plate(folder).table.num_rows == 5


def test_no_column_is_ever_untyped(tmp_path: Path, read_plate: Reader) -> None:
    pq.write_table(pa.table({"Cells_A": pa.nulls(2), "x": pa.nulls(2)}), tmp_path / "P1.parquet")
    assert not any(pa.types.is_null(field.type) for field in read_plate(tmp_path / "P1.parquet").table.schema)


@pytest.mark.slow
def test_a_plate_is_read_in_bounded_memory_and_time(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "bench" / "measurements.py"), "--folder", str(tmp_path)]
    subprocess.run(
        [*command, "--cells", "2000", "--features", "60", "--images", "20", "--only-build"],
        check=True, cwd=REPOSITORY, capture_output=True,
    )  # fmt: skip
    done = subprocess.run(
        [*command, "--step", "reader"], check=True, cwd=REPOSITORY, capture_output=True, text=True
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["rows"] == 2000
    assert result["peak_bytes"] < 600_000_000
