"""Crops in a folder are the pixels that `read_crop` reads, each stored piece read once, begun again where it stopped."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import tifffile
from ome_arrow import OMEArrow
from ome_arrow.meta import OME_ARROW_BYTE_STRUCT, OME_ARROW_STRUCT

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.pixels import tiff_planes
from bioimage_assets.core.pixels.boxes import PixelBox, find_box_columns, read_box
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.crop_export.export import export_crops
from bioimage_assets.core.pixels.crop_export.ome_values import ome_type
from bioimage_assets.core.pixels.crop_export.options import CropExport
from bioimage_assets.core.pixels.crop_export.windows import read_windows
from bioimage_assets.core.pixels.locate import CropChoice, build_location
from bioimage_assets.core.pixels.location import PixelLocation, read_geometry
from bioimage_assets.core.scan.scanner import scan_image_assets
from bioimage_assets.core.stores.pixel_store import ReadCount
from bioimage_assets_tests.builders.s3_server import create_bucket, open_client, run_s3, storage_options
from bioimage_assets_tests.core.pixels.crop_export.layouts import LAYOUTS, build_cells

SIZE = 24


def read_all(folder: Path) -> pa.Table:
    return pq.read_table(folder / "crops")


def files_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def place(
    row: dict[str, object], images: pa.Table, channels: tuple[str | int, ...] | None = None
) -> PixelLocation:
    """The window of an exported row as the locator has it."""
    (image,) = images.filter(pc.equal(images["image_id"], row["image_id"])).to_pylist()
    window = row["window"]
    box = PixelBox(window["y_start"], window["y_stop"], window["x_start"], window["x_stop"])
    return build_location(read_geometry(image), box, CropChoice(channels=channels))


def expected_pixels(location: PixelLocation, row: dict[str, object], count: ReadCount) -> np.ndarray:
    """(t, c, z, y, x) of a window by `read_crop`, zero outside of the image."""
    inside = read_crop(location, count=count)
    axes = "".join(location.axes)
    for axis in "tcz":
        if axis not in axes:
            inside, axes = inside[None], axis + axes
    inside = inside.transpose([axes.index(axis) for axis in ("tczyx" if "s" not in axes else "tcszyx")])
    if "s" in axes:
        inside = inside.reshape(inside.shape[0], -1, *inside.shape[3:])
    whole = np.zeros((*inside.shape[:3], SIZE, SIZE), inside.dtype)
    top, left = (location.interval(axis)[0] - row["window"][f"{axis}_start"] for axis in "yx")
    whole[..., top : top + inside.shape[3], left : left + inside.shape[4]] = inside
    return whole


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_crop_is_what_read_crop_reads_and_no_piece_is_read_twice(layout: str, tmp_path: Path) -> None:
    images = LAYOUTS[layout](tmp_path)
    cells = build_cells(images)
    count = ReadCount()
    export = CropExport(size_px=SIZE, cells_per_part=7)
    result = export_crops(cells, images, tmp_path / "out", export=export, count=count)
    assert (result.crop_count, result.refused) == (cells.num_rows, {})
    naive = ReadCount()
    for path in sorted((tmp_path / "out" / "crops").glob("*.parquet")):
        for number, row in enumerate(pq.read_table(path).to_pylist()):
            location = place(row, images)
            found = OMEArrow(str(path), row_index=number)
            pixels = found.export(how="numpy", dtype=np.dtype(location.dtype))
            expected = expected_pixels(location, row, naive)
            np.testing.assert_array_equal(pixels, expected)
            assert row["outside_fraction"] == pytest.approx(
                1 - read_crop(location).shape[location.axes.index("y")]
                * read_crop(location).shape[location.axes.index("x")] / SIZE**2
            )  # fmt: skip
    own = [key for key in count.keys if "Suffix" not in key]
    assert len(own) == len(set(own))
    if layout != "zarr-sharded":  # where a whole shard is asked for, read_crop reads it in one go
        assert set(own) == set(naive.keys)
    assert result.pieces_read == count.pieces < naive.pieces


def test_an_index_of_a_shard_is_read_once(tmp_path: Path) -> None:
    images = LAYOUTS["zarr-sharded"](tmp_path)
    count = ReadCount()
    export_crops(build_cells(images), images, tmp_path / "out", export=CropExport(size_px=SIZE), count=count)
    indexes = [key for key in count.keys if "Suffix" in key]
    assert len(indexes) == len(set(indexes)) > 0


def test_a_small_cache_reads_pieces_again_and_cuts_the_same(tmp_path: Path) -> None:
    images = LAYOUTS["tiff-tiles"](tmp_path)
    cells = build_cells(images, per_image=40)
    large = export_crops(cells, images, tmp_path / "large", export=CropExport(size_px=SIZE))
    small = export_crops(
        cells, images, tmp_path / "small", export=CropExport(size_px=SIZE, max_cache_bytes=4_000)
    )
    assert small.pieces_read > large.pieces_read
    assert read_all(tmp_path / "small").equals(read_all(tmp_path / "large"))


def test_the_types_are_those_of_the_ome_arrow_package() -> None:
    assert ome_type("planes") == OME_ARROW_STRUCT
    assert ome_type("bytes") == OME_ARROW_BYTE_STRUCT


def test_windows_of_a_batch_are_those_of_its_rows() -> None:
    rng = np.random.default_rng(2)
    boxes = {
        f"Cells_AreaShape_BoundingBox{end}imum_{axis}": rng.uniform(-5, 90, 50) + (30 if end == "Max" else 0)
        for end in ("Min", "Max")
        for axis in "YX"
    }
    centres = {f"Nuclei_Location_Center_{axis}": rng.uniform(-5, 90, 50) for axis in "YX"}
    for columns in (boxes, centres):
        table = pa.table({**columns})
        names = find_box_columns(table.column_names)
        windows = read_windows(table.to_batches()[0], names, 25)
        for number, row in enumerate(table.to_pylist()):
            box = read_box(row, names)
            assert windows.box[number].tolist() == [box.y_start, box.y_stop, box.x_start, box.x_stop]
            assert windows.y_start[number] == (box.y_start + box.y_stop) // 2 - 12
            assert windows.x_start[number] == (box.x_start + box.x_stop) // 2 - 12


def test_numpy_and_duckdb_read_the_pixels_without_the_package(tmp_path: Path) -> None:
    images = LAYOUTS["zarr-v3"](tmp_path)
    for pixels in ("planes", "bytes"):
        out = tmp_path / pixels
        export_crops(build_cells(images), images, out, export=CropExport(size_px=SIZE, pixels=pixels))
        (row,) = read_all(out).slice(3, 1).to_pylist()
        expected = expected_pixels(place(row, images), row, ReadCount())[0, :, 0]
        value = row["ome_arrow"]
        if pixels == "planes":
            found = np.array([plane["pixels"] for plane in value["planes"]])
        else:
            found = np.array([np.frombuffer(one["pixel_bytes"], one["dtype"]) for one in value["chunks"]])
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    files = str(tmp_path / "planes" / "crops" / "*.parquet")
    sums = duckdb.execute(
        "SELECT list_sum(ome_arrow.planes[2].pixels)::BIGINT, ome_arrow.pixels_meta.channels[2].name, ome_arrow.pixels_meta.physical_size_x "
        "FROM read_parquet(?) WHERE Metadata_ObjectID = ?",
        [files, row["Metadata_ObjectID"]],
    ).fetchall()
    assert sums == [(int(expected[1].sum()), "ER", 0.5)]


def test_chosen_channels_carried_columns_and_the_verdict_are_written(tmp_path: Path) -> None:
    images = LAYOUTS["zarr-v3"](tmp_path)
    cells = build_cells(images)
    cells = cells.append_column("Metadata_cqc_failed", pa.array([n % 2 == 0 for n in range(cells.num_rows)]))
    cells = cells.append_column("dose", pa.array(np.arange(cells.num_rows) / 8))
    export = CropExport(size_px=SIZE, channels=("ER",), carry=("dose",), fill=7)
    export_crops(cells, images, tmp_path / "out", export=export, selection="all of them")
    given = {row["Metadata_ObjectID"]: row for row in cells.to_pylist()}
    for row in read_all(tmp_path / "out").to_pylist():
        own = given[row["Metadata_ObjectID"]]
        assert (row["dose"], row["qc_passed"]) == (own["dose"], not own["Metadata_cqc_failed"])
        assert row["channel_names"] == ["ER"]
        pixels = np.array(row["ome_arrow"]["planes"][0]["pixels"]).reshape(SIZE, SIZE)
        if row["window"]["y_start"] < 0:
            assert (pixels[: -row["window"]["y_start"]] == 7).all()
    metadata = pq.read_schema(next((tmp_path / "out" / "crops").iterdir())).metadata
    assert json.loads(metadata[b"bioimage_assets.crops"])["request"]["selection"] == "all of them"


def test_a_finished_export_changes_no_byte_and_reads_no_pixel(tmp_path: Path) -> None:
    images = LAYOUTS["tiff-strips"](tmp_path)
    cells, export = build_cells(images), CropExport(size_px=SIZE, cells_per_part=5)
    first = export_crops(cells, images, tmp_path / "out", export=export)
    before = files_of(tmp_path / "out")
    again = export_crops(
        cells.take(pa.array(range(cells.num_rows)[::-1])), images, tmp_path / "out", export=export
    )
    assert (again.crop_count, again.written_part_count, again.pieces_read) == (first.crop_count, 0, 0)
    assert files_of(tmp_path / "out") == before


def test_missing_damaged_and_half_written_parts_are_written_again(tmp_path: Path) -> None:
    images = LAYOUTS["tiff-strips"](tmp_path)
    cells, export = build_cells(images), CropExport(size_px=SIZE, cells_per_part=4)
    whole = export_crops(cells, images, tmp_path / "out", export=export)
    before = files_of(tmp_path / "out")
    parts = sorted((tmp_path / "out" / "crops").iterdir())
    parts[0].unlink()
    parts[1].write_bytes(parts[1].read_bytes()[:-40])
    parts[2].rename(parts[2].with_name(f".{parts[2].name}.new"))
    again = export_crops(cells, images, tmp_path / "out", export=export)
    assert (again.written_part_count, again.crop_count) == (3, whole.crop_count)
    assert {name: content for name, (_, content) in files_of(tmp_path / "out").items()} == {
        name: content for name, (_, content) in before.items()
    }


_SCRIPT = """
import sys, pyarrow.parquet as pq
from bioimage_assets.core.pixels.crop_export.export import CropExport, export_crops
cells, images, out = sys.argv[1:]
export_crops(cells, pq.read_table(images), out, export=CropExport(size_px=24, cells_per_part=3))
"""


@pytest.mark.slow
def test_an_export_that_was_killed_goes_on_and_ends_with_the_rows_of_one_pass(tmp_path: Path) -> None:
    images = LAYOUTS["zarr-v2"](tmp_path)
    cells = build_cells(images, per_image=600)
    pq.write_table(cells, tmp_path / "cells.parquet")
    pq.write_table(images, tmp_path / "images.parquet")
    tables = [str(tmp_path / name) for name in ("cells.parquet", "images.parquet")]
    process = subprocess.Popen([sys.executable, "-c", _SCRIPT, *tables, str(tmp_path / "out")])
    while process.poll() is None and not (tmp_path / "out" / "crops" / "part-00010.parquet").exists():
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stopped_at = len(list((tmp_path / "out" / "crops").glob("part-*.parquet")))
    assert 10 < stopped_at < 400
    assert not json.loads((tmp_path / "out" / "crops_manifest.json").read_text())["is_complete"]
    export = CropExport(size_px=SIZE, cells_per_part=3)
    gone_on = export_crops(cells, images, tmp_path / "out", export=export)
    export_crops(cells, images, tmp_path / "once", export=export)
    assert gone_on.written_part_count == 400 - stopped_at
    assert read_all(tmp_path / "out").equals(read_all(tmp_path / "once"))
    assert (tmp_path / "out" / "crops_manifest.json").read_text() == (
        tmp_path / "once" / "crops_manifest.json"
    ).read_text()


def test_another_choice_in_the_same_folder_is_refused_by_name(tmp_path: Path) -> None:
    images = LAYOUTS["zarr-v3"](tmp_path)
    cells, out = build_cells(images), tmp_path / "out"
    export_crops(cells, images, out, export=CropExport(size_px=SIZE), selection="--where 'a'")
    before = files_of(out)
    for export, selection, words in (
        (CropExport(size_px=SIZE), "--where 'b'", "selection --where 'a'"),
        (CropExport(size_px=32), "--where 'a'", "size_px 24, this call asks for 32"),
        (CropExport(size_px=SIZE, channels=("ER",)), "--where 'a'", "channels None"),
    ):
        with pytest.raises(UsageError, match=words):
            export_crops(cells, images, out, export=export, selection=selection)
    with pytest.raises(UsageError, match="cells 18, this call asks for 17"):
        export_crops(cells.slice(1), images, out, export=CropExport(size_px=SIZE), selection="--where 'a'")
    moved = cells.set_column(
        cells.column_names.index("Nuclei_Location_Center_X"), "Nuclei_Location_Center_X",
        pc.add(cells["Nuclei_Location_Center_X"], 3.0),
    )  # fmt: skip
    with pytest.raises(UsageError, match="other cells"):
        export_crops(moved, images, out, export=CropExport(size_px=SIZE), selection="--where 'a'")
    assert files_of(out) == before


def test_a_folder_of_something_else_and_a_cell_chosen_twice_are_refused(tmp_path: Path) -> None:
    images = LAYOUTS["zarr-v3"](tmp_path)
    cells = build_cells(images)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("words")
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        export_crops(cells, images, tmp_path / "mine")
    with pytest.raises(UsageError, match="chosen 2 times"):
        export_crops(pa.concat_tables([cells, cells.slice(0, 1)]), images, tmp_path / "out")
    nameless = cells.set_column(
        cells.column_names.index("Metadata_ObjectID"),
        "Metadata_ObjectID",
        pa.nulls(cells.num_rows, pa.string()),
    )
    with pytest.raises(UsageError, match="18 chosen cells have no Metadata_ObjectID"):
        export_crops(nameless, images, tmp_path / "nameless")
    with pytest.raises(UsageError, match="expected auto, planes, bytes"):
        CropExport(pixels="list")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no value of pixels of type uint16"):
        export_crops(cells, images, tmp_path / "fill", export=CropExport(fill=-1))


def test_cells_that_cannot_be_cut_are_counted_and_written_with_the_reason(tmp_path: Path) -> None:
    images = LAYOUTS["tiff-strips"](tmp_path)
    rows = build_cells(images, per_image=6).sort_by("Metadata_ObjectID").to_pylist()
    rows[0]["image_id"] = None
    rows[1]["Nuclei_Location_Center_X"] = None
    rows[2]["Nuclei_Location_Center_Y"] = 5_000.0
    rows[3]["image_id"] = "nowhere"
    cells = pa.Table.from_pylist(rows)
    gone = images.filter(pc.equal(images["image_id"], rows[-1]["image_id"])).to_pylist()[0]
    lost = Path(gone["uri"]) / gone["files"][1]["path"]
    kept = lost.rename(tmp_path / "kept.tif")
    out = tmp_path / "out"
    result = export_crops(cells, images, out, export=CropExport(size_px=SIZE, cells_per_part=5))
    assert result.refused == {
        "file-gone": 6,
        "image-unknown": 1,
        "no-image": 1,
        "no-place": 1,
        "outside-image": 1,
    }
    assert result.crop_count + result.refused_count == cells.num_rows == 12
    refused = ds.dataset(out / "refused").to_table()
    reasons = dict(zip(refused["Metadata_ObjectID"].to_pylist(), refused.to_pylist(), strict=True))
    assert reasons[rows[0]["Metadata_ObjectID"]]["reason_code"] == "no-image"
    assert "100 × 120" in reasons[rows[2]["Metadata_ObjectID"]]["reason"]
    assert lost.name in reasons[rows[-1]["Metadata_ObjectID"]]["reason"]
    both = {*reasons, *read_all(out)["Metadata_ObjectID"].to_pylist()}
    assert both == set(cells["Metadata_ObjectID"].to_pylist())
    shutil.move(kept, lost)
    same = export_crops(cells, images, out, export=CropExport(size_px=SIZE, cells_per_part=5))
    assert (same.refused, same.written_part_count) == (result.refused, 0)
    tried = export_crops(
        cells, images, out, export=CropExport(size_px=SIZE, cells_per_part=5), retry_refused=True
    )
    assert (tried.crop_count, tried.refused_count) == (8, 4)
    assert ds.dataset(out / "refused").count_rows() == 4


def test_a_damaged_chunk_costs_the_cells_that_touch_it(tmp_path: Path) -> None:
    images = LAYOUTS["zarr-v3"](tmp_path)
    cells = build_cells(images)
    chunk = Path(images["uri"][0].as_py()) / "A/1/0/0/c/0/0/0"
    chunk.write_bytes(b"not a chunk")
    count = ReadCount()
    result = export_crops(cells, images, tmp_path / "out", export=CropExport(size_px=SIZE), count=count)
    assert set(result.refused) == {"unreadable"}
    assert count.keys.count("A/1/0/0/c/0/0/0") == 1
    assert result.crop_count + result.refused["unreadable"] == cells.num_rows


def test_cells_of_a_stack_are_cut_on_the_plane_that_they_were_measured_on(tmp_path: Path) -> None:
    images = LAYOUTS["tiff-stack"](tmp_path)
    cells = build_cells(images, per_image=12)
    cells = cells.append_column("Metadata_Z", pa.array([n % 3 for n in range(cells.num_rows)]))
    count = ReadCount()
    export_crops(cells, images, tmp_path / "out", export=CropExport(size_px=SIZE), count=count)
    assert len(count.keys) == len(set(count.keys))
    plane_of = dict(zip(cells["Metadata_ObjectID"].to_pylist(), cells["Metadata_Z"].to_pylist(), strict=True))
    for row in read_all(tmp_path / "out").to_pylist():
        z = plane_of[row["Metadata_ObjectID"]]
        assert (row["z_start"], row["z_stop"], row["ome_arrow"]["pixels_meta"]["size_z"]) == (z, z + 1, 1)
        location = place(row, images)
        whole = expected_pixels(location, row, ReadCount())
        found = np.array([plane["pixels"] for plane in row["ome_arrow"]["planes"]]).reshape(2, SIZE, SIZE)
        np.testing.assert_array_equal(found, whole[0, :, z])


def test_two_exports_into_one_folder_do_not_run_at_once(tmp_path: Path) -> None:
    from bioimage_assets.core.pixels.crop_export.folder import CropFolder

    images = LAYOUTS["zarr-v3"](tmp_path)
    with CropFolder(tmp_path / "out").locked(), pytest.raises(UsageError, match="at work"):
        export_crops(build_cells(images), images, tmp_path / "out")


def test_a_file_of_many_images_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "many.ome.tiff"
    rng = np.random.default_rng(5)
    with tifffile.TiffWriter(path, ome=True) as writer:
        for _ in range(6):
            pixels = rng.integers(0, 999, (2, 40, 40)).astype(np.uint16)
            writer.write(pixels, metadata={"axes": "CYX"}, contiguous=False)
    images = scan_image_assets(str(path))
    opened: list[str] = []
    original = tiff_planes.open_tiff

    def counted(uri: str, options: object = None) -> tifffile.TiffFile:
        opened.append(uri)
        return original(uri, options)

    monkeypatch.setattr(tiff_planes, "open_tiff", counted)
    result = export_crops(build_cells(images), images, tmp_path / "out", export=CropExport(size_px=SIZE))
    assert (result.crop_count, len(opened)) == (9 * 6, 1)
    for row in read_all(tmp_path / "out").to_pylist()[::7]:
        expected = expected_pixels(place(row, images), row, ReadCount())[0, :, 0]
        found = np.array([plane["pixels"] for plane in row["ome_arrow"]["planes"]])
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)


def test_plates_of_different_pixels_are_exported_as_bytes_of_their_own_type(tmp_path: Path) -> None:
    images = pa.concat_tables([LAYOUTS["float"](tmp_path), LAYOUTS["rgb"](tmp_path)])
    result = export_crops(build_cells(images), images, tmp_path / "out", export=CropExport(size_px=SIZE))
    assert (result.crop_count, result.part_count) == (18, 2)
    found = {row["ome_arrow"]["pixels_meta"]["type"] for row in read_all(tmp_path / "out").to_pylist()}
    assert found == {"float32", "uint8"}
    with pytest.raises(UsageError, match="do not fit into lists"):
        export_crops(build_cells(images), images, tmp_path / "no", export=CropExport(pixels="planes"))


@pytest.mark.parametrize("layout", ["zarr-v3", "tiff-strips"])
def test_images_in_a_bucket_are_cut_like_local_ones(layout: str, tmp_path: Path) -> None:
    images = LAYOUTS[layout](tmp_path)
    cells = build_cells(images)
    export_crops(cells, images, tmp_path / "local", export=CropExport(size_px=SIZE))
    with run_s3() as endpoint:
        bucket, client = create_bucket(endpoint), open_client(endpoint)
        for file in [path for path in tmp_path.rglob("*") if path.is_file() and "local" not in path.parts]:
            client.upload_file(str(file), bucket, str(file.relative_to(tmp_path)))
        uris = [uri.replace(str(tmp_path), f"s3://{bucket}") for uri in images["uri"].to_pylist()]
        there = images.set_column(
            images.column_names.index("uri"), images.schema.field("uri"), pa.array(uris)
        )
        count = ReadCount()
        result = export_crops(
            cells, there, tmp_path / "far", export=CropExport(size_px=SIZE), count=count,
            storage_options=storage_options(endpoint),
        )  # fmt: skip
    assert result.refused == {}
    assert len(count.keys) == len(set(count.keys)) > 0
    names = ["Metadata_ObjectID", "window", "ome_arrow"]
    assert read_all(tmp_path / "far").select(names).equals(read_all(tmp_path / "local").select(names))
