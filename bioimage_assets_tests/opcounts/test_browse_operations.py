"""What the browse server reads for a page: pictures that were made read no store, cells of a well read their columns and row groups."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.browse.cells import choose_columns, list_cells
from bioimage_assets.browse.open_images import OpenImages
from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.core.stores.pixel_store import RegularFileStore
from bioimage_assets.core.warehouse.changes import stage_parts
from bioimage_assets_tests.builders.browse_thread import run_in_thread
from bioimage_assets_tests.builders.stored_project import settings_of, store_cells, store_images
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.opcounts.conftest import Check

PLATE = "screen/P1"


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Objects that are read of Zarr stores, and stores that are opened."""
    found: Counter[str] = Counter()
    get, opened = RegularFileStore.get, OpenImages._open

    async def counted_get(self, key, *args, **options):  # type: ignore[no-untyped-def]
        found["objects"] += 1
        return await get(self, key, *args, **options)

    def counted_open(self, *args):  # type: ignore[no-untyped-def]
        found["stores opened"] += 1
        return opened(self, *args)

    monkeypatch.setattr(RegularFileStore, "get", counted_get)
    monkeypatch.setattr(OpenImages, "_open", counted_open)
    return found


def test_a_picture_is_made_once_and_its_store_opened_once(
    tmp_path: Path, counts: Counter[str], check_counts: Check
) -> None:
    settings = settings_of(tmp_path / "data")
    images = store_images(settings, PLATE, write_pixel_plate(tmp_path / "P1.zarr", size=64))
    ids = images["image_id"].to_pylist()

    def ask(server, image_id: str) -> None:  # type: ignore[no-untyped-def]
        assert server.get("thumb", plate_key=PLATE, image_id=image_id, size=32).status == 200

    with run_in_thread(settings) as server:
        ask(server, ids[0])
        check_counts(counts, "first")  # and the contrast of the plate, of the first field of each well
        counts.clear()
        ask(server, ids[1])
        check_counts(counts, "another field")
        counts.clear()
        for image_id in ids[:2]:
            ask(server, image_id)
        check_counts(counts, "again")
    with run_in_thread(settings) as server:  # a server that was started anew
        ask(server, ids[0])
        check_counts(counts, "after a new start")
    assert not counts


def test_pixels_of_one_store_open_it_once(tmp_path: Path, counts: Counter[str], check_counts: Check) -> None:
    settings = settings_of(tmp_path / "data")
    images = store_images(settings, PLATE, write_pixel_plate(tmp_path / "P1.zarr", size=64))
    box = {"y0": 0, "y1": 32, "x0": 0, "x1": 32}  # one chunk of each channel
    with run_in_thread(settings) as server:
        for image_id in images["image_id"].to_pylist():
            assert server.get("pixels", plate_key=PLATE, image_id=image_id, **box).status == 200
    check_counts(counts)


@pytest.mark.skipif(
    not Path("/proc/self/io").exists(), reason="the system does not count what a process reads"
)
def test_cells_of_a_well_read_the_row_groups_and_columns_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that the process reads, against those of the column chunks that hold the well, as the footers say."""
    monkeypatch.setattr(stage_parts, "ROW_GROUP_BYTES", 1)  # each batch is a row group
    settings = settings_of(tmp_path / "data")
    images = store_images(
        settings, PLATE, write_pixel_plate(tmp_path / "P1.zarr", rows=4, columns=6, fields=1)
    )
    cells = store_cells(settings, PLATE, images, per_image=400)
    noise = np.random.default_rng(0).random((cells.num_rows, 120))
    for number in range(noise.shape[1]):
        cells = cells.append_column(f"Cells_Texture_{number}", pa.array(noise[:, number]))
    warehouse = BrowsedProject(settings).tables.warehouse
    warehouse.replace_partitions(
        "joined_profiles", pa.RecordBatchReader.from_batches(cells.schema, cells.to_batches(400)), [PLATE]
    )
    project = BrowsedProject(settings)
    columns = choose_columns(project, PLATE)
    assert not any(name.startswith("Cells_Texture") for name in columns.read)
    needed, whole = count_bytes(warehouse.files("joined_profiles", [PLATE]), "C03", columns.read)
    project.find("image_assets", PLATE)
    before = read_bytes_so_far()
    page = list_cells(project, PLATE, "C03", limit=1000)
    taken = read_bytes_so_far() - before
    assert page.total == 400
    qc = sum(os.path.getsize(path) for path in warehouse.files("cosmicqc_profiles", [PLATE]))
    footers = 3 * sum(
        pq.ParquetFile(path).metadata.serialized_size for path in warehouse.files("joined_profiles", [PLATE])
    )
    assert taken < needed + footers + 2 * qc + 200_000
    assert taken < whole / 4


def count_bytes(files: list[str], well: str, columns: tuple[str, ...]) -> tuple[int, int]:
    """Stored bytes of some columns in the row groups of a well, and of everything."""
    needed = whole = groups = 0
    for path in files:
        metadata = pq.ParquetFile(path).metadata
        for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
            chunks = [group.column(number) for number in range(group.num_columns)]
            whole += sum(chunk.total_compressed_size for chunk in chunks)
            statistics = next(chunk.statistics for chunk in chunks if chunk.path_in_schema == "well_id")
            if statistics.min <= well <= statistics.max:
                groups += 1
                needed += sum(
                    chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema in columns
                )
    assert groups == 1
    return needed, whole


def read_bytes_so_far() -> int:
    """Bytes that this process has read by system calls: https://man7.org/linux/man-pages/man5/proc_pid_io.5.html"""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar")).split()[1])
