"""The locator: slices, chunks, µm and files of one object, and the pixels that are cut there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import fsspec
import numpy as np
import pyarrow as pa
import pytest
import tifffile
import zarr
from zarr.abc.store import ByteRequest
from zarr.core.buffer import BufferPrototype
from zarr.storage import LocalStore, WrapperStore

from bioimage_assets.core.errors import (
    ContractError,
    CorruptStoreError,
    MissingTableError,
    StoreNotFoundError,
    UsageError,
)
from bioimage_assets.core.joins.join import join_plate
from bioimage_assets.core.pixels.boxes import PixelBox, find_box_columns, find_level_step, read_box
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.duckdb_view import build_locator_view
from bioimage_assets.core.pixels.locate import CropChoice, locate
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets
from bioimage_assets.core.stores.pixel_store import ReadCount, open_pixel_store
from bioimage_assets_tests.core.joins.join_builders import (
    SmallPlate,
    image_row,
    image_table,
    tiff_set_row,
    write_small_plate,
)

LAYOUTS = [(2, False), (3, False), (3, True)]


@pytest.fixture(scope="module", params=LAYOUTS, ids=["zarr-v2", "zarr-v3", "sharded"])
def plate(request, tmp_path_factory) -> SmallPlate:
    zarr_format, shards = request.param
    return write_small_plate(tmp_path_factory.mktemp("plate"), zarr_format=zarr_format, shards=shards)


def joined_rows(plate: SmallPlate) -> list[dict[str, object]]:
    return join_plate(plate.images, plate.cells, plate_key="ds/P1", dataset_id="ds").table().to_pylist()


def test_every_cell_is_found_with_its_slices_and_micrometres(plate: SmallPlate) -> None:
    for row in joined_rows(plate):
        location = locate(row, image_assets=plate.images)
        y, x = (
            int(row["Cells_AreaShape_BoundingBoxMinimum_Y"]),
            int(row["Cells_AreaShape_BoundingBoxMinimum_X"]),
        )
        assert location.slices == ((0, 2), (y, y + 20), (x, x + 18))
        assert location.box_um == (y * 0.5, (y + 20) * 0.5, x * 0.5, (x + 18) * 0.5)
        assert location.array_path == f"A/1/{row['site_id']}/0"
        assert (location.uri, location.object_id) == (str(plate.store), row["Metadata_ObjectID"])
        expected = plate.pixels[row["image_id"]][:, y : y + 20, x : x + 18]
        np.testing.assert_array_equal(read_crop(location), expected)


def test_a_part_of_a_pandas_frame_of_images_is_enough(plate: SmallPlate) -> None:
    row, frame = joined_rows(plate)[-1], plate.images.to_pandas()
    few = frame[frame["image_id"].isin({one["image_id"] for one in joined_rows(plate)})]
    assert locate(row, image_assets=few).slices == locate(row, image_assets=plate.images).slices
    assert locate(row, image_assets=frame.iloc[::-1]).slices == locate(row, image_assets=plate.images).slices


def test_a_row_alone_is_enough_for_full_resolution(plate: SmallPlate) -> None:
    row = joined_rows(plate)[0]
    assert locate(row).slices == locate(row, image_assets=plate.images).slices
    np.testing.assert_array_equal(read_crop(locate(row)), plate.pixels["P1:A01:0"][:, 5:25, 7:25])


def test_channels_are_chosen_by_name_or_number_in_the_order_asked_for(plate: SmallPlate) -> None:
    row = joined_rows(plate)[4]
    pixels = plate.pixels["P1:A01:1"][:, 30:50, 60:78]
    for channels, planes in ((("ER",), [1]), ((0,), [0]), (("ER", "DNA"), [1, 0])):
        location = locate(row, image_assets=plate.images, choice=CropChoice(channels=channels))
        np.testing.assert_array_equal(read_crop(location), pixels[planes])
    assert location.channel_names == ("ER", "DNA")


def test_a_lower_level_covers_the_same_area(plate: SmallPlate) -> None:
    row = joined_rows(plate)[0]
    location = locate(row, image_assets=plate.images, choice=CropChoice(level=1))
    assert location.slices == ((0, 2), (2, 13), (3, 13))
    assert location.array_path == "A/1/0/1"
    np.testing.assert_array_equal(read_crop(location), plate.pixels["P1:A01:0"][:, ::2, ::2][:, 2:13, 3:13])


def test_the_last_pixels_of_an_odd_pyramid_are_covered_as_it_was_made() -> None:
    for full, level, step in (
        (1080, 68, 16),
        (1080, 67, 16),
        (1001, 126, 8),
        (101, 51, 2),
        (90, 30, 3),
        (7, 7, 1),
    ):
        assert find_level_step(full, level) == step
        for start in range(full):
            box = PixelBox(start, start + 1, 0, full).scaled((full, level), (full, level))
            assert box.y_start == min(start // step, level - 1)
            assert (box.y_stop, box.x_start, box.x_stop) == (box.y_start + 1, 0, level)
    assert find_level_step(100, 70) is None
    assert PixelBox(10, 21, 99, 100).scaled((100, 70), (100, 70)) == PixelBox(7, 15, 69, 70)


def test_padding_is_clipped_at_the_border(plate: SmallPlate) -> None:
    location = locate(joined_rows(plate)[0], image_assets=plate.images, choice=CropChoice(pad_px=10))
    assert location.slices[1:] == ((0, 35), (0, 35))


def test_a_centre_gives_a_box_of_the_asked_size(plate: SmallPlate) -> None:
    choice = CropChoice(compartment="Nuclei", box_size_px=20)
    location = locate(joined_rows(plate)[1], image_assets=plate.images, choice=choice)
    assert location.slices[1:] == ((30, 50), (59, 79))  # 18 px wide box of 60..78, one more on each side


def test_an_object_id_is_looked_up(plate: SmallPlate) -> None:
    joined = join_plate(plate.images, plate.cells, plate_key="ds/P1", dataset_id="ds").table()
    location = locate("ds/P1/1/2", joined=joined, image_assets=plate.images)
    assert (location.image_id, location.slices[1]) == ("P1:A01:1", (30, 50))
    with pytest.raises(MissingTableError, match="no row"):
        locate("nobody", joined=joined)
    with pytest.raises(UsageError, match="joined="):
        locate("ds/P1/1/2")


class CountingStore(WrapperStore[LocalStore]):
    """Counts the data objects that are read from a store, and how."""

    def __init__(self, store: LocalStore) -> None:
        super().__init__(store)
        self.reads: list[tuple[str, ByteRequest | None]] = []

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None):
        if not key.endswith((".zarray", ".zattrs", "zarr.json", ".zgroup")):
            self.reads.append((key, byte_range))
        return await super().get(key, prototype, byte_range)


def test_a_crop_reads_only_the_chunks_it_touches_and_the_index_names_them(plate: SmallPlate) -> None:
    row = joined_rows(plate)[1]  # y 30..50 and x 60..78: two by two chunks of 32 in each of two channels
    listed_chunks = scan_chunk_index(f"{plate.store}/A/1/0/0", dataset_id="ds").read_all()
    table = listed_chunks.drop_columns(["image_id"])
    table = table.append_column("image_id", [["P1:A01:0"] * table.num_rows])
    location = locate(row, image_assets=plate.images, chunk_index=table)
    store = CountingStore(open_pixel_store(str(plate.store)))
    crop = read_crop(location, store=store)
    np.testing.assert_array_equal(crop, plate.pixels["P1:A01:0"][:, 30:50, 60:78])
    assert len(location.chunks) == 8
    named = {f"A/1/0/0/{chunk.chunk_key}" for chunk in location.chunks}
    assert {key for key, _ in store.reads} == named
    if location.geometry.levels[0].shard_shape is None:
        assert len(store.reads) == 8
    else:
        ranges = {(key, r.start, r.end) for key, r in store.reads if hasattr(r, "start")}
        listed = {
            (f"A/1/0/0/{c.chunk_key}", c.stored_offset, c.stored_offset + c.stored_bytes)
            for c in location.chunks
        }
        assert all(None in r or any(_covers(r, part) for part in listed) for r in ranges)
        assert sum(r[2] - r[1] for r in listed) < Path(plate.store, "A/1/0/0/c/0/0/0").stat().st_size * 2


def test_without_a_chunk_index_the_same_chunks_are_named_from_the_store_itself(plate: SmallPlate) -> None:
    for choice in (CropChoice(), CropChoice(channels=("ER",)), CropChoice(level=1), CropChoice(pad_px=500)):
        for row in joined_rows(plate):
            location = locate(row, image_assets=plate.images, choice=choice)
            store = CountingStore(open_pixel_store(str(plate.store)))
            read_crop(location, store=store)
            named = {f"{location.array_path}/{chunk.chunk_key}" for chunk in location.chunks}
            assert named == {key for key, _ in store.reads}
            assert {(c.stored_offset, c.stored_bytes, c.is_present) for c in location.chunks} == {
                (None, None, None)
            }
    assert locate(row | {"uri": "/nowhere/p.zarr"}).chunks == ()


def _covers(found: tuple[str, int, int], part: tuple[str, int, int]) -> bool:
    return found[0] == part[0] and found[1] <= part[1] and part[2] <= found[2]


def test_a_location_is_json(plate: SmallPlate) -> None:
    plain = json.loads(locate(joined_rows(plate)[0], image_assets=plate.images).to_json())
    assert plain["slices"] == [[0, 2], [5, 25], [7, 25]]
    assert "geometry" not in plain


def test_questions_that_have_no_answer_are_refused_by_name(plate: SmallPlate) -> None:
    row = joined_rows(plate)[0]
    for choice, message in (
        (CropChoice(channels=("Mito",)), "no channel 'Mito'; it has DNA, ER"),
        (CropChoice(level=2), "no level 2"),
        (CropChoice(t=3), None),
    ):
        if message is None:
            assert locate(
                row, image_assets=plate.images, choice=choice
            ).slices  # no time axis: nothing to choose
            continue
        with pytest.raises(UsageError, match=message):
            locate(row, image_assets=plate.images, choice=choice)
    with pytest.raises(UsageError, match="linked to no image"):
        locate(row | {"image_id": None})
    with pytest.raises(MissingTableError, match="0 rows in image_assets"):
        locate(row | {"image_id": "gone"}, image_assets=plate.images)
    with pytest.raises(ContractError, match="finite numbers"):
        locate(row | {"Cells_AreaShape_BoundingBoxMinimum_Y": float("nan")}, image_assets=plate.images)
    with pytest.raises(ContractError, match="No bounding box or centre of Cytoplasm"):
        locate(row, image_assets=plate.images, choice=CropChoice(compartment="Cytoplasm"))
    outside = {f"Cells_AreaShape_BoundingBoxM{e}imum_{a}": 500.0 for e in ("in", "ax") for a in "XY"}
    with pytest.raises(UsageError, match="outside image"):
        locate(row | outside, image_assets=plate.images)


def test_a_store_or_array_that_is_gone_is_a_store_error(plate: SmallPlate) -> None:
    row = joined_rows(plate)[0]
    with pytest.raises(StoreNotFoundError, match="does not exist"):
        read_crop(locate(row | {"uri": "/nowhere/p.zarr"}))
    with pytest.raises(StoreNotFoundError, match="A/9/9/0"):
        read_crop(locate(row | {"array_path": "A/9/9/0"}))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["Nuclei_AreaShape_BoundingBox", "Cells_AreaShape_BoundingBox"], "Cells"),
        (["Nuclei_AreaShape_BoundingBox"], "Nuclei"),
        (["Cytoplasm_AreaShape_BoundingBox", "Nuclei_AreaShape_BoundingBox"], "Cytoplasm"),
    ],
)
def test_the_widest_compartment_with_bounds_is_taken(columns: list[str], expected: str) -> None:
    names = [f"{c}{e}imum_{a}" for c in columns for e in ("Min", "Max") for a in "XY"]
    assert (
        find_box_columns([*names, "Cells_Location_Center_X", "Cells_Location_Center_Y"])
        .names[0]
        .startswith(expected)
    )


def test_cytotable_boxes_and_fractional_bounds_are_understood() -> None:
    names = [f"Metadata_SourceBBox{a}{e}" for a in "XY" for e in ("Min", "Max")]
    found = find_box_columns(names)
    row = dict(zip(names, (1.2, 5.5, 2.0, 9), strict=True))
    assert read_box(row, found) == PixelBox(2, 9, 1, 6)


def write_tiff_field(folder: Path, pixels: np.ndarray, **options: object) -> dict[str, object]:
    """One-channel files of a field, and the image row of the set."""
    names = {}
    for channel, plane in zip(("DNA", "ER", "RNA"), pixels, strict=True):
        names[channel] = f"A01_{channel}.tif"
        tifffile.imwrite(folder / names[channel], plane, **options)
    return tiff_set_row("P1:A01:0", str(folder), names, shape=list(pixels.shape), well_id="A01", site_id="0")


BOX = {f"Cells_AreaShape_BoundingBox{e}imum_{a}": float(v) for e, a, v in
       (("Min", "Y", 40), ("Max", "Y", 70), ("Min", "X", 100), ("Max", "X", 130))}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "pieces", "bytes_per_piece"),
    [
        ({"tile": (32, 32), "compression": "zlib"}, 2 * 2, None),
        ({"rowsperstrip": 16}, 3, 16 * 200 * 2),
        ({}, 1, None),
    ],
    ids=["tiles", "strips", "one strip"],
)
def test_a_crop_of_one_channel_files_decodes_only_the_pieces_it_touches(
    tmp_path, options, pieces, bytes_per_piece
) -> None:
    pixels = np.random.default_rng(1).integers(0, 65_535, (3, 150, 200)).astype(np.uint16)
    row = write_tiff_field(tmp_path, pixels, **options)
    location = locate(BOX | row, choice=CropChoice(channels=("RNA", "DNA")), image_assets=image_table(row))
    assert [file.path for file in location.files] == ["A01_DNA.tif", "A01_RNA.tif"]
    count = ReadCount()
    np.testing.assert_array_equal(read_crop(location, count=count), pixels[[2, 0], 40:70, 100:130])
    assert count.pieces == 2 * pieces
    if bytes_per_piece:
        assert count.stored_bytes == 2 * pieces * bytes_per_piece


def test_without_a_chunk_index_tiles_and_strips_are_named_with_their_bytes(tmp_path) -> None:
    pixels = np.random.default_rng(1).integers(0, 65_535, (3, 150, 200)).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "tiles.ome.tif", pixels, tile=(32, 32), compression="zlib", metadata={"axes": "CYX"}
    )
    tifffile.imwrite(tmp_path / "strips.ome.tif", pixels, rowsperstrip=16, metadata={"axes": "CYX"})
    tifffile.imwrite(tmp_path / "pages.ome.tif", pixels, metadata={"axes": "CYX"})
    for name, count in (("tiles", 8), ("strips", 6), ("pages", 2)):
        uri = str(tmp_path / f"{name}.ome.tif")
        images, index = scan_image_assets(uri), scan_chunk_index(uri).read_all()
        row = BOX | images.to_pylist()[0]
        choice = CropChoice(channels=(0, 2))
        own = locate(row, image_assets=images, choice=choice)
        listed = locate(row, image_assets=images, choice=choice, chunk_index=index)
        assert len(own.chunks) == count
        counted = ReadCount()
        read_crop(own, count=counted)
        assert counted.stored_bytes == sum(chunk.stored_bytes for chunk in own.chunks)
        if name == "strips":  # the index has one row per run of strips
            assert len(listed.chunks) == 2
            assert all(
                any(
                    run.stored_offset <= c.stored_offset < run.stored_offset + run.stored_bytes
                    for run in listed.chunks
                )
                for c in own.chunks
            )
        else:
            assert set(own.chunks) == set(listed.chunks)


# Some releases of tifffile keep an axis of length one ("T" here), others drop it.
@pytest.mark.parametrize("axes", ["CYX", "ZCYX", "CZYX", "CTYX", "TZCYX"])
def test_a_crop_of_an_ome_tiff_finds_its_planes_by_name(tmp_path, axes: str) -> None:
    shape = tuple({"T": 1, "C": 3, "Z": 2, "Y": 150, "X": 200}[axis] for axis in axes)
    pixels = np.random.default_rng(2).integers(0, 255, shape).astype(np.uint8)
    path = tmp_path / "f.ome.tif"
    tifffile.imwrite(path, pixels, tile=(64, 64), metadata={"axes": axes}, photometric="minisblack")
    row = image_row(uri=str(path), format_family="ome-tiff", axes=axes.lower(), shape=list(shape),
                    channel_names=["DNA", "ER", "RNA"])  # fmt: skip
    count = ReadCount()
    crop = read_crop(locate(BOX | row, choice=CropChoice(channels=("ER",))), count=count)
    index = tuple(slice(1, 2) if axis == "C" else slice(None) for axis in axes[:-2])
    np.testing.assert_array_equal(crop, pixels[(*index, slice(40, 70), slice(100, 130))])
    assert count.pieces == shape[axes.find("Z")] * 4 if "Z" in axes else 4


def write_series(root: Path) -> tuple[Path, np.ndarray]:
    """An OME-Zarr image of 3 time points, 2 channels and 2 planes."""
    pixels = np.random.default_rng(8).integers(0, 65_535, (3, 2, 2, 150, 200)).astype(np.uint16)
    group = zarr.create_group(str(root / "s.zarr"), zarr_format=2)
    array = group.create_array("0", shape=pixels.shape, chunks=(1, 1, 1, 64, 64), dtype=">u2")
    array[...] = pixels
    axes = [{"name": n, "type": t} for n, t in zip("tczyx", ("time", "channel", *["space"] * 3), strict=True)]
    scale = [{"type": "scale", "scale": [1.0] * 5}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return root / "s.zarr", pixels


def test_a_row_of_a_time_series_or_stack_is_cut_from_its_own_plane(tmp_path) -> None:
    uri, pixels = write_series(tmp_path)
    images, index = scan_image_assets(str(uri)), scan_chunk_index(str(uri)).read_all()
    row = BOX | images.to_pylist()[0]
    y, x = slice(40, 70), slice(100, 130)
    for place, wanted in (
        ({"Metadata_T": 2, "Metadata_Z": "1"}, pixels[2:3, :, 1:2, y, x]),
        ({"Image_Metadata_T": 1.0, "Metadata_Z": None}, pixels[1:2, :, :, y, x]),
        ({}, pixels[0:1, :, :, y, x]),
    ):
        location = locate(row | place, image_assets=images, chunk_index=index)
        count = ReadCount()
        np.testing.assert_array_equal(read_crop(location, count=count), wanted)
        assert sorted(f"0/{chunk.chunk_key}" for chunk in location.chunks) == sorted(count.keys)
        cells = pa.Table.from_pylist([{n: row[n] for n in (*BOX, "dataset_id", "image_id")} | place])
        connection = duckdb.connect()
        build_locator_view(connection, cells, images, chunk_index=index)
        (keys,) = connection.execute("SELECT list(chunk_key) FROM cell_pixels_chunks").fetchone()
        assert sorted(keys) == sorted(chunk.chunk_key for chunk in location.chunks)
    with pytest.raises(UsageError, match=r"no t plane 3: it has 3, counted from zero"):
        locate(row | {"Metadata_T": 3}, image_assets=images)
    with pytest.raises(UsageError, match=r"'Metadata_T' holds 'last'"):
        locate(row | {"Metadata_T": "last"}, image_assets=images)


def test_the_file_of_a_row_says_its_time_point_however_the_measurements_count(tmp_path) -> None:
    pixels = np.random.default_rng(9).integers(0, 255, (2, 150, 200)).astype(np.uint8)
    files = []
    for t, plane in enumerate(pixels):
        (tmp_path / f"TimePoint_{t + 1}").mkdir()
        tifffile.imwrite(tmp_path / f"TimePoint_{t + 1}" / "A01.tif", plane)
        files.append(
            {
                "path": f"TimePoint_{t + 1}/A01.tif",
                "channel": "DNA",
                "role": "image",
                "c": 0,
                "t": t,
                "ifd": 0,
            }
        )
    image = image_row(uri=str(tmp_path), files=files, format_family="ome-tiff", axes="tcyx", shape=[2, 1, 150, 200],
                      channel_names=["DNA"], array_path=None)  # fmt: skip
    row = BOX | image | {"Metadata_T": 2, "Image_FileName_DNA": "A01.tif"}
    for folder, t in ((r"Z:\screen\TimePoint_2", 1), ("/screen/TimePoint_1/", 0)):
        location = locate(row | {"Image_PathName_DNA": folder}, image_assets=image_table(image))
        np.testing.assert_array_equal(read_crop(location), pixels[t][None, None, 40:70, 100:130])


def test_a_crop_of_a_plain_stack_takes_its_pages_in_order(tmp_path) -> None:
    pixels = np.random.default_rng(6).integers(0, 255, (4, 150, 200)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "stack.tif") as writer:
        for plane in pixels:
            writer.write(plane, contiguous=False, metadata=None)
    row = image_row(
        uri=str(tmp_path / "stack.tif"), format_family="ome-tiff", axes="zyx", shape=[4, 150, 200]
    )
    crop = read_crop(locate(BOX | row, choice=CropChoice(z=2)))
    np.testing.assert_array_equal(crop, pixels[2:3, 40:70, 100:130])


def test_a_crop_of_a_pyramid_level_reads_the_sub_page(tmp_path) -> None:
    pixels = np.random.default_rng(4).integers(0, 255, (128, 200)).astype(np.uint8)
    path = tmp_path / "p.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(pixels, subifds=1, tile=(32, 32), metadata={"axes": "YX"})
        writer.write(pixels[::2, ::2], subfiletype=1, tile=(32, 32))
    levels = [{"level": 0, "path": "0", "shape": [128, 200]}, {"level": 1, "path": "0/0", "shape": [64, 100]}]
    row = image_row(uri=str(path), format_family="ome-tiff", axes="yx", shape=[128, 200], levels=levels)
    crop = read_crop(locate(BOX | row, choice=CropChoice(level=1)))
    np.testing.assert_array_equal(crop, pixels[::2, ::2][20:35, 50:65])


def test_a_missing_or_broken_file_of_a_set_is_a_store_error(tmp_path) -> None:
    row = write_tiff_field(tmp_path, np.zeros((3, 150, 200), np.uint16))
    location = locate(BOX | row, image_assets=image_table(row))
    (tmp_path / "A01_ER.tif").write_bytes(b"II*\x00 broken")
    with pytest.raises(CorruptStoreError, match="A01_ER"):
        read_crop(location)
    (tmp_path / "A01_ER.tif").unlink()
    with pytest.raises(StoreNotFoundError, match="A01_ER"):
        read_crop(location)


def test_crops_are_cut_from_zip_archives_and_object_stores_too(tmp_path) -> None:
    plate = write_small_plate(tmp_path)
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", plate.store)
    memory = fsspec.filesystem("memory")
    memory.put(str(plate.store), "/crops/p.zarr", recursive=True)
    row = joined_rows(plate)[4]
    expected = plate.pixels["P1:A01:1"][:, 30:50, 60:78]
    for uri in (archive, "memory://crops/p.zarr", plate.store.as_uri()):
        np.testing.assert_array_equal(read_crop(locate(row | {"uri": uri})), expected)


def test_crops_of_remote_tiffs_are_cut_through_fsspec(tmp_path) -> None:
    pixels = np.random.default_rng(5).integers(0, 255, (1, 150, 200)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels[0], tile=(64, 64))
    fsspec.filesystem("memory").put(str(tmp_path / "a.tif"), "/crops/a.tif")
    row = tiff_set_row("P1:A01:0", "memory://crops", {"DNA": "a.tif"}, shape=[1, 150, 200], dtype="uint8")
    location = locate(BOX | row, image_assets=image_table(row))
    np.testing.assert_array_equal(read_crop(location), pixels[:, 40:70, 100:130])
