"""A TIFF of any layout and compression reads as OME-Zarr, through references, to the pixels that tifffile reads."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tifffile
import xarray
import zarr

from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets
from bioimage_assets.core.virtual.ome_metadata import OmeZarrVersion
from bioimage_assets.core.virtual.plan import plan_virtual_plate
from bioimage_assets_tests.builders.tiff_files import (
    build_tiff_bytes,
    plain_tags,
    write_jpeg_with_tables,
    write_ome_tiff,
    write_pages,
    write_pyramid,
)
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, write_named
from bioimage_assets_tests.core.formats.ome_tiff.test_page_codec import MORE
from bioimage_assets_tests.core.formats.ome_tiff.test_tiff_single_files import IMAGEJ_CASES, OME_CASES
from bioimage_assets_tests.core.virtual.virtual_oracle import (
    arrange,
    assert_same_pixels,
    make,
    open_plate,
    plan,
)

GREY = (np.arange(50 * 70) ** 2 % 1013).astype("uint16").reshape(50, 70)
COLOUR = np.stack([GREY, GREY // 3, GREY // 7], axis=-1).astype("uint8")
WAVES = (np.sin(np.arange(50 * 70) / 9) * 1000).astype("float32").reshape(50, 70)
# zarr-python says so of every codec that stands in numcodecs alone.
pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3 specification")
VERSIONS: tuple[OmeZarrVersion, ...] = ("0.5", "0.4")

# Beside the layouts that scanning is tested with: every compression that imagecodecs writes, with its predictors and tiles.
CODECS = {
    **MORE,
    "lzma-strips": (GREY, {"compression": "lzma", "rowsperstrip": 7}),
    "lzw-tiles-predictor-big-endian": (GREY, {"compression": "lzw", "predictor": True, "tile": (16, 32), "byteorder": ">"}),
    "deflate-tiles-rgb-predictor": (COLOUR, {"compression": "zlib", "predictor": True, "tile": (16, 16), "photometric": "rgb"}),
    "zstd-rgb-planar": (COLOUR.transpose(2, 0, 1), {"compression": "zstd", "tile": (16, 16), "photometric": "rgb", "planarconfig": "separate"}),
    "float-predictor-3-tiles": (WAVES, {"compression": "lzw", "predictor": 3, "tile": (16, 16)}),
    "float-predictor-3-big-endian": (WAVES, {"compression": "zstd", "predictor": 3, "rowsperstrip": 7, "byteorder": ">"}),
    "float16": (WAVES.astype("float16"), {"compression": "zlib", "tile": (16, 16)}),
    "double-big-endian": (WAVES.astype("float64"), {"rowsperstrip": 9, "byteorder": ">"}),
    "int32": (GREY.astype("int32") - 500, {"compression": "packbits", "rowsperstrip": 9}),
    "ten-bits-big-endian": (GREY, {"bitspersample": 10, "rowsperstrip": 7, "byteorder": ">"}),
    "bits-packed": (GREY > 500, {"compression": "packbits", "rowsperstrip": 7}),
    "lerc": (WAVES, {"compression": "lerc", "tile": (16, 16)}),
    "lerc-strips": (GREY, {"compression": "lerc", "rowsperstrip": 16}),
    "jpeg-grey": (GREY.astype("uint8"), {"compression": "jpeg", "tile": (16, 16)}),
    "jpeg-planar": (COLOUR.transpose(2, 0, 1), {"compression": "jpeg", "tile": (16, 16), "photometric": "rgb", "planarconfig": "separate"}),
    "jpeg-twelve-bits": (GREY, {"compression": "jpeg", "tile": (16, 16), "bitspersample": 12}),
    "jpeg2000-rgb": (COLOUR, {"compression": "jpeg2000", "tile": (16, 16), "photometric": "rgb"}),
    "jpegxl": (GREY, {"compression": "jpegxl", "tile": (16, 16)}),
    "jpegxr": (GREY, {"compression": "jpegxr", "tile": (32, 32)}),
    "webp": (COLOUR, {"compression": "webp", "tile": (16, 16), "photometric": "rgb"}),
    "rgba": (np.dstack([COLOUR, COLOUR[..., :1]]), {"photometric": "rgb", "extrasamples": ("unassalpha",), "rowsperstrip": 7}),
    "two-samples": (np.dstack([GREY, GREY // 2]), {"photometric": "minisblack", "planarconfig": "contig", "tile": (16, 16)}),
    "one-row-strips-lzw": (GREY, {"compression": "lzw", "rowsperstrip": 1}),
    "tile-larger-than-page": (GREY, {"tile": (64, 80)}),
}  # fmt: skip


def stack(case: str, folder: Path) -> tuple[Path, np.ndarray]:
    """Two pages of a case, and what tifffile reads: (t, y, x) or (t, c, y, x)."""
    data, options = CODECS[case]
    path = write_pages(folder / "a.tif", [data, data[::-1]], **options)  # type: ignore[arg-type]
    pages = tifffile.imread(path, series=0)
    return path, np.moveaxis(pages, -1, 1) if pages.ndim == 4 and options.get(
        "planarconfig"
    ) != "separate" else pages


@pytest.mark.parametrize("case", CODECS)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_tiff_reads_as_tifffile_reads_it(tmp_path: Path, case: str, version: OmeZarrVersion):
    path, expected = stack(case, tmp_path)
    _, plate = make(str(path), tmp_path / "plate.json", version)
    assert plate.refused == ()
    ((array,),) = [image.arrays for image in plate.images]
    found = zarr.open_array(open_plate(tmp_path / "plate.json"), path=array.path, mode="r")
    np.testing.assert_array_equal(found[...], expected)
    assert found.dtype.name == expected.dtype.name
    assert found.metadata.zarr_format == (3 if version == "0.5" else 2)


@pytest.mark.slow
@pytest.mark.parametrize("case", CODECS)
@pytest.mark.parametrize("version", VERSIONS)
def test_fsspec_alone_reads_the_same(tmp_path: Path, case: str, version: OmeZarrVersion):
    path, expected = stack(case, tmp_path)
    _, plate = make(str(path), tmp_path / "plate.json", version)
    fo = {"fo": str(tmp_path / "plate.json")}
    group = zarr.open_group(
        "reference://", mode="r", storage_options=fo, zarr_format=3 if version == "0.5" else 2
    )
    np.testing.assert_array_equal(group[plate.images[0].arrays[0].path][...], expected)


@pytest.mark.slow
@pytest.mark.parametrize("case", CODECS)
def test_xarray_reads_the_same(tmp_path: Path, case: str):
    path, expected = stack(case, tmp_path)
    _, plate = make(str(path), tmp_path / "plate.json")
    (image,) = plate.images
    ours = xarray.open_zarr(open_plate(tmp_path / "plate.json"), group=image.path, consolidated=False)
    options = {
        "consolidated": False,
        "storage_options": {"fo": str(tmp_path / "plate.json")},
        "zarr_format": 3,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that reference:// does not know
        plain = xarray.open_dataset(f"reference://{image.path}", engine="zarr", backend_kwargs=options)
    for found in (ours["0"], plain["0"]):
        assert found.dims == image.arrays[0].axes
        np.testing.assert_array_equal(found.values, expected)


@pytest.mark.parametrize("case", OME_CASES)
def test_an_ome_tiff_reads_with_its_axes_in_the_order_of_ome_zarr(tmp_path: Path, case: str):
    data, axes, options = OME_CASES[case]
    path = write_ome_tiff(tmp_path / "a.ome.tif", data, axes, **options)
    _, plate = make(str(path), tmp_path / "plate.json")
    (image,) = plate.images
    assert list(image.arrays[0].axes) == sorted(image.arrays[0].axes, key="tczyx".index)
    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        expected = arrange(series.asarray(), list(series.axes.lower()))
    found = zarr.open_array(open_plate(tmp_path / "plate.json"), path=image.arrays[0].path, mode="r")[...]
    np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@pytest.mark.parametrize("case", IMAGEJ_CASES)
def test_an_imagej_stack_reads_from_behind_its_one_page(tmp_path: Path, case: str):
    data, axes = IMAGEJ_CASES[case]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, imagej=True, metadata={"axes": axes})
    images, plate = make(str(path), tmp_path / "plate.json")
    assert plate.refused == ()
    assert assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json")) == int(
        np.prod(plate.images[0].arrays[0].shape[:-2])
    )


def test_every_level_of_a_pyramid_reads(tmp_path: Path):
    data = (np.arange(3 * 64 * 96) % 60_001).reshape(3, 64, 96).astype("uint16")
    path = write_pyramid(tmp_path / "p.ome.tif", data, "CYX")
    _, plate = make(str(path), tmp_path / "plate.json")
    store = open_plate(tmp_path / "plate.json")
    (image,) = plate.images
    with tifffile.TiffFile(path) as tiff:
        levels = [level.asarray() for level in tiff.series[0].levels]
    assert len(image.arrays) == len(levels) == 3
    for array, expected in zip(image.arrays, levels, strict=True):
        np.testing.assert_array_equal(zarr.open_array(store, path=array.path, mode="r")[...], expected)


def test_uncompressed_strips_that_follow_one_another_are_one_chunk(tmp_path: Path):
    path = write_pages(tmp_path / "a.tif", [GREY], rowsperstrip=1)
    _, plate = plan(str(path))
    array = plate.images[0].arrays[0]
    assert array.chunk_shape[-2:] == (50, 70)
    assert len(array.refs) == 1
    assert array.refs.size.tolist() == [GREY.nbytes]


@pytest.mark.parametrize(
    ("options", "codecs"),
    [
        ({}, ["bytes"]),
        ({"tile": (16, 16)}, ["bytes"]),
        ({"tile": (16, 16), "compression": "zstd"}, ["bytes", "zstd"]),
        ({"tile": (16, 16), "compression": "zlib"}, ["bytes", "numcodecs.zlib"]),
        ({"rowsperstrip": 25, "compression": "zlib"}, ["bytes", "numcodecs.zlib"]),
        ({"rowsperstrip": 7, "compression": "zlib"}, ["bioimage_assets.tiff"]),
        ({"tile": (16, 16), "compression": "zlib", "predictor": True}, ["bioimage_assets.tiff"]),
    ],
)
def test_codecs_that_every_zarr_library_has_are_used_where_they_decode(
    tmp_path: Path, options: dict[str, object], codecs: list[str]
):
    path = write_pages(tmp_path / "a.tif", [GREY], **options)
    _, plate = plan(str(path))
    document = plate.images[0].arrays[0].metadata_v3
    assert document is not None
    assert [codec["name"] for codec in document["codecs"]] == codecs  # type: ignore[attr-defined]


def test_strips_that_lie_apart_and_tiles_that_were_never_written_read_as_tifffile_reads_them(tmp_path: Path):
    path = tmp_path / "sparse.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(iter([GREY[:16, :16], None, GREY[16:32, 16:32], None] * 2), shape=(2, 32, 32), dtype="uint16", tile=(16, 16),
                     compression="zlib", metadata=None)  # fmt: skip
    images, plate = make(str(path), tmp_path / "plate.json")
    assert len(plate.images[0].arrays[0].refs) == 4
    assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json"))


def test_bits_in_reversed_order_read(tmp_path: Path):
    tags = [*plain_tags(8, 4, offset=8 + 2 + 12 * 10 + 4, count=32), (266, 3, 1, 2)]
    path = tmp_path / "reversed.tif"
    path.write_bytes(build_tiff_bytes(tags, tail=bytes(range(32))))
    expected = tifffile.imread(path)
    assert expected[0, 1] == 128
    _, plate = make(str(path), tmp_path / "plate.json")
    found = zarr.open_array(
        open_plate(tmp_path / "plate.json"), path=plate.images[0].arrays[0].path, mode="r"
    )
    np.testing.assert_array_equal(found[...], expected)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("pages", "photometric"), [([GREY.astype("uint8")] * 3, "minisblack"), ([COLOUR, COLOUR[::-1]], "ycbcr")]
)
def test_jpegs_whose_tables_stand_in_a_tag_read(
    tmp_path: Path, version: OmeZarrVersion, pages: list[np.ndarray], photometric: str
):
    path = write_jpeg_with_tables(tmp_path / "a.tif", pages, photometric=photometric)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages.first.jpegtables
    images, plate = make(str(path), tmp_path / "plate.json", version)
    assert plate.refused == ()
    assert assert_same_pixels(images, plate, open_plate(tmp_path / "plate.json")) == len(pages) * (
        3 if photometric == "ycbcr" else 1
    )


def test_jpegs_of_different_tables_are_refused(tmp_path: Path):
    folder = tmp_path / "plate"
    folder.mkdir()
    for channel, level in ((1, 90), (2, 50)):
        write_jpeg_with_tables(
            folder / imagexpress_name("A01", 1, channel), [GREY.astype("uint8")], level=level
        )
    _, plate = plan(str(folder))
    assert plate.images == ()
    assert "different tables" in plate.refused[0].message


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("height", [5, 6])
@pytest.mark.parametrize("version", VERSIONS)
def test_uncompressed_strips_in_any_order_read(
    tmp_path: Path, order: tuple[int, int, int], height: int, version: OmeZarrVersion
):
    pixels = np.arange(1, 1 + height * 4, dtype=np.uint8).reshape(height, 4)
    strips = [pixels[top : top + 2].tobytes() for top in (0, 2, 4)]
    kept = [tag for tag in plain_tags(4, height, offset=0, count=0) if tag[0] not in (273, 278, 279)]
    tail = 8 + 2 + 12 * (len(kept) + 3) + 4
    starts = {
        number: tail + 24 + sum(len(strips[other]) for other in order[:place])
        for place, number in enumerate(order)
    }
    lists = np.array([starts[n] for n in range(3)] + [len(strip) for strip in strips], "<u4").tobytes()
    tags = [*kept, (273, 4, 3, tail), (278, 4, 1, 2), (279, 4, 3, tail + 12)]
    path = tmp_path / "a.tif"
    path.write_bytes(build_tiff_bytes(tags, tail=lists + b"".join(strips[number] for number in order)))
    np.testing.assert_array_equal(tifffile.imread(path), pixels)
    _, plate = make(str(path), tmp_path / "plate.json", version)
    found = zarr.open_array(
        open_plate(tmp_path / "plate.json"), path=plate.images[0].arrays[0].path, mode="r"
    )
    np.testing.assert_array_equal(found[...], pixels)
    assert found.chunks == ((height, 4) if order == (0, 1, 2) else (2, 4))


EARLIER = ["lzw", "lzw-predictor", "jpeg-tiles", "rgb-planar-lzw", "bits", "uncompressed"]


@pytest.mark.parametrize("case", EARLIER)
@pytest.mark.parametrize("has_column", [True, False])
def test_of_rows_that_an_earlier_version_wrote_the_directories_are_read_again(
    tmp_path: Path, case: str, has_column: bool
):
    path, _ = stack(case, tmp_path)
    images, chunks = scan_image_assets(str(path)), scan_chunk_index(str(path)).read_all()
    older = chunks.drop_columns(["codec"])
    if has_column:
        older = older.append_column("codec", pa.nulls(len(chunks), pa.string()))
    found, expected = (plan_virtual_plate(images, rows.to_batches()) for rows in (older, chunks))
    assert found.refused == ()
    assert found.images[0].arrays[0].metadata_v3 == expected.images[0].arrays[0].metadata_v3
    np.testing.assert_array_equal(
        found.images[0].arrays[0].refs.offset, expected.images[0].arrays[0].refs.offset
    )


def test_levels_and_files_of_an_earlier_index_are_found_again(tmp_path: Path):
    folder = tmp_path / "plate"
    write_named(folder, imagexpress_name)
    write_pyramid(folder / "p.ome.tif", np.stack([GREY, GREY]), "CYX")
    images, chunks = scan_image_assets(str(folder)), scan_chunk_index(str(folder)).read_all()
    found = plan_virtual_plate(images, chunks.drop_columns(["codec"]).to_batches())
    assert found.refused == ()
    assert [len(image.arrays) for image in found.images if image.image_id == "p"] == [3]


def test_an_earlier_index_of_files_that_are_gone_is_refused_by_name(tmp_path: Path):
    path = write_pages(tmp_path / "a.tif", [GREY], compression="lzw")
    images, chunks = scan_image_assets(str(path)), scan_chunk_index(str(path)).read_all()
    path.unlink()
    plate = plan_virtual_plate(images, chunks.drop_columns(["codec"]).to_batches())
    (finding,) = plate.refused
    assert plate.images == ()
    assert (finding.code, finding.location) == ("not-in-virtual-plate", "a")
    assert "scan the plate again" in finding.message
