"""Rules of rows, planes, channels and tables whose smallest change would give a wrong cell or a wrong number."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile

from bioimage_assets.core.errors import CorruptStoreError, StoreNotFoundError, UsageError
from bioimage_assets.core.joins import sources, stream
from bioimage_assets.core.joins.image_index import ImageIndex, read_image_keys
from bioimage_assets.core.joins.join import join_plate, join_profiles
from bioimage_assets.core.joins.query import query_metadata_table
from bioimage_assets.core.joins.report import JoinOutcome, JoinReport
from bioimage_assets.core.joins.stream import dictionary_columns, write_parquet_stream
from bioimage_assets.core.joins.suggest import _find_prefixes
from bioimage_assets.core.joins.table_files import read_csv_table
from bioimage_assets.core.model.identity import subtract_site_offset
from bioimage_assets.core.model.store_paths import count_shared_tail
from bioimage_assets.core.pixels.boxes import PixelBox
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.duckdb_view import build_locator_view
from bioimage_assets.core.pixels.locate import CropChoice, build_location
from bioimage_assets.core.pixels.location import read_geometry
from bioimage_assets.core.pixels.planes import is_plane_column, read_plane
from bioimage_assets.core.pixels.touched_chunks import list_touched_pieces
from bioimage_assets.core.stores.pixel_store import open_tiff
from bioimage_assets_tests.core.joins.join_builders import image_row, image_table, plate_images, tiff_set_row

BOX = PixelBox(10, 20, 30, 40)


# Rows


@pytest.mark.parametrize(
    ("name", "folder", "rule"),
    [
        ("/data/s1/a.tif", None, "path"),
        ("a.tif", "/data/s1", "path"),
        ("a.tif", "/data/s1/", "path"),
        ("a.tif", None, "file_name"),
        ("elsewhere/a.tif", None, "file_name"),
    ],
)
def test_a_file_name_with_folders_is_a_path_and_without_any_a_name(
    name: str, folder: str | None, rule: str
) -> None:
    images = image_table(tiff_set_row("P1:A01:1", "/data/s1", {"DNA": "a.tif"}, well_id="A01", site_id="1"))
    cells = {"FileName_DNA": pa.array([name])}
    if folder is not None:
        cells["PathName_DNA"] = pa.array([folder])
    joined = join_plate(images, pa.table(cells), plate_key="ds/P1", dataset_id="ds").table()
    assert joined["join_rule"].to_pylist() == [rule]


def test_columns_of_one_key_that_differ_are_counted_in_rows_with_the_first_difference_shown() -> None:
    names = ["Metadata_Well", "Image_Metadata_Well", "Metadata_Site"]
    first = pa.record_batch([["A01", "A01", "A01", None], ["A1", "B02", None, "B02"], ["0"] * 4], names=names)
    second = pa.record_batch([["B02", "B02"], ["A01", "B02"], ["0"] * 2], names=names)
    reader = pa.RecordBatchReader.from_batches(first.schema, [first, second])
    result = join_plate(plate_images(), reader, plate_key="ds/P1", dataset_id="ds")
    result.table()
    (message,) = [f.message for f in result.report.findings if f.code == "alias-conflict"]
    assert message.startswith(
        "2 row(s): Metadata_Well and Image_Metadata_Well stand for the same key and differ ('A01' against 'B02')"
    )


def test_only_numbers_of_sites_are_shifted() -> None:
    assert [subtract_site_offset(site, 1) for site in ("1", "10", "M10", "²", "1.5")] == [
        "0",
        "9",
        "M10",
        "²",
        "1.5",
    ]
    assert subtract_site_offset("3", 0) == "3"
    assert subtract_site_offset("3", -2) == "5"


def test_a_report_counts_rows_by_outcome_and_rule_and_shows_five_keys() -> None:
    wells = [f"{row}01" for row in "ABCDEFG"]
    cells = pa.table({"Metadata_Well": [*wells, "A01"], "Metadata_Site": ["0"] * 8})
    images = plate_images(wells=tuple(wells), sites=("0",))
    report = join_plate(images, cells, plate_key="ds/P1", dataset_id="ds").report
    (matched,) = [o for o in report.outcomes if o.outcome == "matched"]
    assert matched.row_count == report.matched_rows == report.count("matched", "plate_well_site") == 8
    assert report.count("matched", "image_id") == 0
    assert matched.sample_keys == tuple(f"well_id={well} site_id=0" for well in wells[:5])
    assert not report.is_imageless
    empty = JoinReport("", "", 0, 0, 0, (JoinOutcome("no-images", None, 0),))
    assert (empty.matched_fraction, empty.is_imageless) == (1.0, True)


def test_the_folder_that_differs_is_what_stands_before_the_longest_common_end() -> None:
    index = ImageIndex(
        read_image_keys(
            image_table(
                tiff_set_row("a", "/lab/x/P1/s1", {"DNA": "a.tif"}),
                tiff_set_row("b", "/lab/y/P2/s1", {"DNA": "a.tif"}),
            )
        )
    )
    assert _find_prefixes("/old/P2/s1/a.tif", index) == ("/old/", "/lab/y/")
    assert _find_prefixes("/old/a.tif", index) == ("/old/", "/lab/x/P1/s1/")
    assert _find_prefixes("/old/b.tif", index) is None


def test_a_report_says_how_many_rows_another_prefix_would_link() -> None:
    images = image_table(
        tiff_set_row("P1:x", "/lab/P1", {"DNA": "a.tif"}), tiff_set_row("P1:y", "/lab/P1", {"DNA": "b.tif"})
    )
    cells = pa.table({"FileName_DNA": ["a.tif", "a.tif", "b.tif", "c.tif"], "PathName_DNA": ["/old/P1"] * 4})
    cells = cells.append_column("Metadata_Plate", pa.array(["another"] * 4))
    report = join_profiles(images, cells).report
    (message,) = [f.message for f in report.findings if "path_rewrites" in f.message]
    assert 'path_rewrites = [["/old/", "/lab/"]] in dataset.toml links 3 of them.' in message


def test_a_prefix_that_leads_to_the_image_of_another_well_is_not_proposed() -> None:
    """Images of B02 were not copied; the path of A02's ends alike."""
    images = image_table(
        tiff_set_row("P1:A02:0", "/lab/P1/A/2", {"DNA": "0.tif"}, well_id="A02", site_id="0")
    )
    cells = {"Metadata_Plate": ["another"], "FileName_DNA": ["0.tif"], "PathName_DNA": ["/old/P1/B/2"]}
    of_b02 = join_profiles(images, pa.table({**cells, "Metadata_Well": ["B02"]})).report
    assert "unlinked-rows" not in {finding.code for finding in of_b02.findings}
    unnamed = join_profiles(images, pa.table(cells)).report
    assert "unlinked-rows" in {finding.code for finding in unnamed.findings}


# Pixels


@pytest.mark.parametrize(
    "box",
    [PixelBox(10, 20, 64, 70), PixelBox(64, 70, 10, 20), PixelBox(-9, 0, 10, 20), PixelBox(10, 20, -9, 0)],
)
def test_a_box_beside_the_image_on_any_side_is_refused(box: PixelBox) -> None:
    with pytest.raises(UsageError, match="lies outside image"):
        build_location(read_geometry(image_row()), box, CropChoice())


def test_channels_are_those_of_the_image_and_none_may_be_asked_for() -> None:
    geometry = read_geometry(image_row())

    def channels(*chosen: str | int) -> tuple[tuple[int, ...], tuple[int, int]]:
        location = build_location(geometry, BOX, CropChoice(channels=chosen))
        return location.channel_indices, location.slices[0]

    assert channels("ER", "DNA") == ((1, 0), (0, 2))
    assert channels(1) == ((1,), (1, 2))
    assert channels() == ((), (0, 0))
    for odd in (2, -1, "Mito"):
        with pytest.raises(UsageError, match="has no channel"):
            channels(odd)
    assert build_location(geometry, BOX, CropChoice()).channel_indices == (0, 1)


def test_levels_and_planes_outside_of_the_image_are_refused() -> None:
    stack = read_geometry(image_row(axes="tczyx", shape=[2, 1, 3, 64, 64]))
    location = build_location(stack, BOX, CropChoice(z=2, t=1))
    assert location.slices == ((1, 2), (0, 1), (2, 3), (10, 20), (30, 40))
    assert build_location(stack, BOX, CropChoice()).slices[:3] == ((0, 1), (0, 1), (0, 3))
    for choice in (CropChoice(z=3), CropChoice(z=-1), CropChoice(t=2), CropChoice(t=-1)):
        with pytest.raises(UsageError, match="counted from zero"):
            build_location(stack, BOX, choice)
    for level in (1, -1):
        with pytest.raises(UsageError, match=f"no level {level}: it has 1"):
            build_location(stack, BOX, CropChoice(level=level))


def test_the_plane_of_a_row_is_the_number_in_its_column_where_the_image_has_several() -> None:
    stack = read_geometry(image_row(axes="tzyx", shape=[1, 3, 64, 64], channel_names=None))
    assert read_plane({"Metadata_Z": 2, "Metadata_T": 5}, stack, "z") == 2
    assert read_plane({"Metadata_Z": None, "Image_Metadata_Z": "1"}, stack, "z") == 1
    assert read_plane({"Metadata_T": 5}, stack, "t") is None  # one time point only
    assert read_plane({"Metadata_C": 5}, stack, "c") is None
    assert read_plane({}, stack, "z") is None
    for odd in ("a", -1, 1.5):
        with pytest.raises(UsageError, match=r"CropChoice\(z="):
            read_plane({"Metadata_Z": odd}, stack, "z")
    names = ["Metadata_Z", "Image_Metadata_T", "Image_FileName_DNA", "PathName_DNA"]
    assert all(is_plane_column(name) for name in names)
    assert not any(is_plane_column(name) for name in ("MD5Digest_DNA", "URL_DNA", "Metadata_Well"))


def test_the_view_takes_the_chunk_shape_of_its_own_level() -> None:
    levels = [
        {"level": 0, "path": "0", "shape": [1, 64, 64], "chunk_shape": [1, 32, 32], "shard_shape": None},
        {"level": 1, "path": "1", "shape": [1, 32, 32], "chunk_shape": [1, 8, 8], "shard_shape": None},
        {"level": 2, "path": "2", "shape": [1, 16, 16], "chunk_shape": [1, 16, 16], "shard_shape": None},
    ]
    images = image_table(image_row(shape=[1, 64, 64], levels=levels, level_count=3, channel_names=None))
    bounds = {
        f"Cells_AreaShape_BoundingBox{end}imum_{axis}": [value]
        for end, value in (("Min", 40.0), ("Max", 44.0))
        for axis in "YX"
    }
    joined = pa.table({"dataset_id": ["ds"], "image_id": ["P1:A01:0"], "Metadata_ObjectID": ["o"], **bounds})
    rows = [
        {"dataset_id": "ds", "image_id": "P1:A01:0", "level": level["level"], "kind": "object", "chunk_key": f"{level['level']}/{y}/{x}",
         "chunk_coords": [0, y, x], "stored_offset": None, "stored_bytes": 1, "is_present": True, "strip_count": None}
        for level in levels for y in range(level["shape"][1] // level["chunk_shape"][1]) for x in range(level["shape"][1] // level["chunk_shape"][1])
    ]  # fmt: skip
    index = pa.Table.from_pylist(rows)
    for level, keys in ((0, ["0/1/1"]), (1, ["1/2/2"]), (2, ["2/0/0"])):
        connection = duckdb.connect()
        build_locator_view(connection, joined, images, chunk_index=index, level=level)
        assert [
            row[0] for row in connection.sql("SELECT chunk_key FROM cell_pixels_chunks").fetchall()
        ] == keys


# Tables


@pytest.mark.parametrize(
    ("operator", "value", "rows"),
    [
        ("=", 2, [1]), ("!=", 2, [0, 2]), ("<", 2, [0]), ("<=", 2, [0, 1]), (">", 2, [2]), (">=", 2, [1, 2]),
        ("IS", None, [3]), ("is not", None, [0, 1, 2]), ("IS", 2, [1]), ("IS NOT", 2, [0, 2, 3]),
    ],
)  # fmt: skip
def test_each_operator_chooses_its_rows(operator: str, value: object, rows: list[int]) -> None:
    table = pa.table({"n": pa.array([1, 2, 3, None]), "row": [0, 1, 2, 3]})
    assert query_metadata_table(table, filters=[("n", operator, value)])["row"].to_pylist() == rows


def test_all_filters_hold_and_columns_come_as_asked_for() -> None:
    table = pa.table({"a": [1, 1, 2, 2], "b": ["x", "y", "x", "y"], "c": [0, 1, 2, 3]})
    both = [("b", "=", "y"), ("a", ">", 1)]
    found = query_metadata_table(table, columns=["c", "a"], filters=both)
    assert (found.column_names, found.to_pylist()) == (["c", "a"], [{"c": 3, "a": 2}])
    assert query_metadata_table(table, columns="b")["b"].to_pylist() == ["x", "y", "x", "y"]
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=1))
    assert query_metadata_table(reader, columns=["c"], filters=both)["c"].to_pylist() == [3]
    for odd in ([("z", "=", 1)], [("a", "~", 1)], [("a", "=", None)]):
        with pytest.raises(UsageError):
            query_metadata_table(table, filters=odd)


def test_a_stream_is_written_in_row_groups_of_a_size_and_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"n": pa.array(range(100), pa.int64()), "t": ["x"] * 100})
    monkeypatch.setattr(stream, "ROW_GROUP_BYTES", 40 * 13)
    path = tmp_path / "a.parquet"
    assert write_parquet_stream(table.schema, iter(table.to_batches(max_chunksize=10)), str(path)) == 100
    file = pq.ParquetFile(path)
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert sum(sizes) == 100
    assert 1 < len(sizes) < 10
    assert file.read().equals(table)
    assert dictionary_columns(table.schema) == ["t"]

    def broken():
        yield from table.to_batches(max_chunksize=10)
        raise ValueError("the source ended early")

    with pytest.raises(ValueError, match="ended early"):
        write_parquet_stream(table.schema, broken(), str(tmp_path / "b.parquet"))
    assert [item.name for item in tmp_path.iterdir()] == ["a.parquet"]


def test_whole_rows_are_read_in_batches_of_so_many_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(
        pa.table({"n": pa.array(range(1_000), pa.int64())}),
        tmp_path / "a.parquet",
        use_dictionary=False,
        compression="none",
    )
    source = sources.open_profiles(str(tmp_path / "a.parquet"))
    monkeypatch.setattr(sources, "BATCH_BYTES", 8 * 100)
    sizes = [batch.num_rows for batch in source.batches()]
    assert sum(sizes) == 1_000
    assert 50 <= max(sizes) <= 100
    monkeypatch.setattr(sources, "BATCH_BYTES", 1)
    assert max(batch.num_rows for batch in source.batches()) == 1
    monkeypatch.setattr(sources, "BATCH_BYTES", 1 << 30)
    monkeypatch.setattr(sources, "BATCH_ROWS", 300)
    assert [batch.num_rows for batch in source.batches()] == [300, 300, 300, 100]


def test_columns_of_one_name_stay_apart_where_files_of_other_columns_are_read_with_them(
    tmp_path: Path,
) -> None:
    twice = pa.table([pa.array([1]), pa.array([2]), pa.array(["x"])], names=["n", "n", "t"])
    pq.write_table(twice, tmp_path / "a.parquet")
    source = sources.open_profiles(str(tmp_path / "a.parquet"))
    assert [batch.to_pydict() for batch in source.batches([1])] == [{"n": [2]}]
    pq.write_table(pa.table({"n": pa.array([3], pa.int32())}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"n": [4], "t": ["y"]}), tmp_path / "c.parquet")
    mixed = sources.open_profiles([str(tmp_path / "b.parquet"), str(tmp_path / "c.parquet")])
    assert pa.Table.from_batches(mixed.batches()).to_pydict() == {"n": [3, 4], "t": [None, "y"]}
    assert mixed.schema.field("n").type == pa.int64()
    assert [batch.num_rows for batch in mixed.batches([])] == [1, 1]


def test_a_report_of_rows_with_and_without_images_is_not_one_without_images_by_design() -> None:
    outcomes = (JoinOutcome("no-images", None, 1), JoinOutcome("dropped", None, 1))
    assert JoinReport("", "", 1, 0, 0, outcomes).is_imageless
    assert not JoinReport("", "", 1, 0, 0, outcomes[1:]).is_imageless


def test_a_parquet_table_without_rows_gives_no_rows(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": pa.array([], pa.int64())}), tmp_path / "a.parquet")
    assert sum(batch.num_rows for batch in sources.open_profiles(str(tmp_path / "a.parquet")).batches()) == 0


def test_filters_leave_nothing_behind_in_the_connection_of_the_caller() -> None:
    connection = duckdb.connect()
    query_metadata_table(pa.table({"n": [1]}), filters=[("n", "=", 1)], connection=connection)
    assert connection.execute(
        "SELECT count(*) FROM duckdb_views() WHERE view_name LIKE 'metadata_%'"
    ).fetchone() == (0,)


def test_the_common_end_of_two_paths_stops_at_the_first_difference() -> None:
    assert count_shared_tail(("a", "x", "c"), ("a", "y", "c")) == 1
    assert count_shared_tail(("c",), ("b", "c")) == 1
    assert count_shared_tail((), ("c",)) == 0


def _unlinked_hint(*images: dict[str, object]) -> str:
    cells = pa.table({"Metadata_Well": ["A01", None], "Metadata_Site": ["0", "0"]})
    report = join_plate(image_table(*images), cells, plate_key="ds/P1", dataset_id="ds").report
    (message,) = [f.message for f in report.findings if f.code == "unlinked-rows"]
    return message


def test_rows_with_wells_beside_files_without_are_told_how_the_files_are_named() -> None:
    files = tiff_set_row("P1:x", "/data/s1", {"DNA": "photo.tif"})
    message = _unlinked_hint(files)
    assert message.startswith("2 row(s) found no image.")
    assert "the names of the image files say none ('photo.tif')" in message
    store = image_row("P1:y", uri="/data/P1.zarr")
    assert "declare no plate" in _unlinked_hint(files, store)


def test_empty_columns_and_broken_lines_of_a_csv_with_semicolons_change_no_number(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('n;empty;note\n1.5;;"two\nlines"\n2.5;;x\n')
    table = read_csv_table(str(tmp_path / "a.csv"))
    assert table["n"].to_pylist() == [1.5, 2.5]
    assert table["note"].to_pylist() == ["two\nlines", "x"]
    (tmp_path / "b.csv").write_text("n;k;Metadata_Plate\n1,5;NA;001\n2;3;002\n")
    german = read_csv_table(str(tmp_path / "b.csv"))
    assert german["n"].to_pylist() == [1.5, 2.0]
    assert german["Metadata_Plate"].to_pylist() == ["001", "002"]


def test_files_of_channels_that_hold_stacks_and_levels_are_cut_at_their_plane_and_level(
    tmp_path: Path,
) -> None:
    pixels = np.random.default_rng(5).integers(1, 255, (2, 3, 64, 64)).astype(np.uint8)
    for channel in range(2):
        with tifffile.TiffWriter(tmp_path / f"c{channel}.tif") as writer:
            for plane in pixels[channel]:
                writer.write(plane, subifds=2, tile=(16, 16), metadata=None)
                for step in (2, 4):
                    writer.write(plane[::step, ::step], subfiletype=1, tile=(16, 16), metadata=None)
    files = [
        {"path": f"c{c}.tif", "channel": name, "role": "image", "c": c, "ifd": 0}
        for c, name in enumerate(("DNA", "ER"))
    ]
    levels = [
        {"level": n, "path": str(n), "shape": [2, 3, 64 >> n, 64 >> n], "chunk_shape": [1, 1, 16, 16]}
        for n in range(3)
    ]
    row = image_row(uri=str(tmp_path), files=files, format_family="ome-tiff", axes="czyx", shape=[2, 3, 64, 64],
                    levels=levels, level_count=3, array_path=None)  # fmt: skip
    geometry = read_geometry(row)
    for level in range(3):
        step = 1 << level
        for z in range(3):
            location = build_location(geometry, PixelBox(8, 40, 16, 64), CropChoice(level=level, z=z))
            expected = pixels[:, z : z + 1, ::step, ::step][
                :, :, 8 // step : 40 // step, 16 // step : 64 // step
            ]
            np.testing.assert_array_equal(read_crop(location), expected)
    pieces = list_touched_pieces(build_location(geometry, PixelBox(0, 8, 0, 8), CropChoice(level=1, z=2)))
    assert [(piece.kind, piece.chunk_coords, piece.is_present) for piece in pieces] == [
        ("tile", (0, 2, 0, 0), True), ("tile", (1, 2, 0, 0), True),
    ]  # fmt: skip


def test_a_file_that_is_no_tiff_is_a_broken_store_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"no TIFF at all")
    with pytest.raises(CorruptStoreError, match=r"TIFF '.*a\.tif'"):
        open_tiff(str(tmp_path / "a.tif"))
    with pytest.raises(StoreNotFoundError):
        open_tiff(str(tmp_path / "b.tif"))
