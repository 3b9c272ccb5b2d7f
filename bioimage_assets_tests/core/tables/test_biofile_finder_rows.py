"""Rows of a data source of BioFile Finder: one per file, unique ids, names that it cannot take for its own."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from bioimage_assets.core.tables.biofile_finder import (
    COLUMNS,
    CellCount,
    FileFacts,
    PlateFacts,
    build_rows,
    list_paths,
)
from bioimage_assets_tests.core.joins.join_builders import image_row, image_table, tiff_set_row

URL = "http://127.0.0.1:8765"
SET = tiff_set_row("P1:A01:1", "/data/P1", {"DNA": "a w1.tif", "ER": "a w2.tif"}, well_id="A01", site_id="1")
LABEL = image_row("P1:A01:1:labels/cells", image_kind="label")


def test_each_file_of_an_image_is_a_row_and_labels_are_none() -> None:
    images = image_table(SET, LABEL)
    files = {"/data/P1/a w1.tif": FileFacts(12, 1_772_360_430.25)}
    rows = build_rows(images, PlateFacts(files=files), URL).to_pylist()
    assert list_paths(images) == ["/data/P1/a w1.tif", "/data/P1/a w2.tif"]
    assert [row["File ID"] for row in rows] == ["ds/P1/P1:A01:1/a w1.tif", "ds/P1/P1:A01:1/a w2.tif"]
    assert [row["Channels"] for row in rows] == ["DNA", "ER"]
    assert (rows[0]["File Name"], rows[0]["File Size"]) == ("a w1.tif", 12)
    assert rows[0]["Uploaded"] == "2026-03-01 10:20:30.250+00:00"
    assert (rows[1]["File Size"], rows[1]["Uploaded"]) == (None, None)


def test_a_field_of_a_zarr_plate_is_one_row_with_its_group() -> None:
    image = image_row(array_path="A/1/0/0", axes="czyx", shape=[2, 3, 64, 32], well_id="A01")
    (row,) = build_rows(image_table(image), PlateFacts(), URL).to_pylist()
    assert (row["File Path"], row["File Name"]) == ("/data/ds/P1.ome.zarr/A/1/0", "P1:A01:0")
    assert [row[f"Size {axis}"] for axis in "XYZCT"] == [32, 64, 3, 2, 1]
    assert (row["Channels"], row["Dimensions"]) == ("DNA,ER", "CZYX")


def test_a_file_that_holds_several_channels_is_one_row() -> None:
    files = [
        {"path": "all.ome.tif", "channel": name, "role": "image", "c": c, "ifd": c}
        for c, name in enumerate("ab")
    ]
    image = image_row(uri="/data/P1", files=files, format_family="ome-tiff", array_path=None)
    (row,) = build_rows(image_table(image), PlateFacts(), URL).to_pylist()
    assert (row["File ID"], row["File Path"], row["Channels"]) == (
        "ds/P1/P1:A01:0",
        "/data/P1/all.ome.tif",
        "a,b",
    )


def test_columns_of_the_platemap_never_take_the_names_of_others() -> None:
    wells = {
        "A01": {
            "Metadata_file_path": "x",
            "Metadata_Well": "y",
            "Metadata_compound": "taxol",
            "Metadata_Thumb-nail": "z",
        }
    }
    table = build_rows(image_table(SET), PlateFacts(wells=wells), URL)
    further = table.column_names[len(COLUMNS) :]
    assert sorted(further) == ["Platemap Thumb-nail", "Platemap Well", "Platemap file_path", "compound"]
    assert set(table["compound"].to_pylist()) == {"taxol"}
    assert set(table["Well"].to_pylist()) == {"A01"}


def test_counts_are_empty_where_nothing_was_measured_or_judged() -> None:
    other = image_row("P1:A02:1", well_id="A02", site_id="1")
    cells = {"P1:A01:1": CellCount(10, 8, 6), "P1:A02:1": CellCount(3, 0, 0)}
    rows = build_rows(image_table(SET, other, image_row()), PlateFacts(cells=cells), URL).to_pylist()
    found = {row["Image"]: (row["Cell Count"], row["QC Passed Fraction"]) for row in rows}
    assert found == {"P1:A01:1": (10, 0.75), "P1:A02:1": (3, None), "P1:A01:0": (None, None)}


def test_the_link_of_an_image_holds_its_whole_id() -> None:
    image = image_row('P&1:A01:0 #?"<', plate_key="d s/P&1")
    (row,) = build_rows(image_table(image), PlateFacts(), URL).to_pylist()
    asked = parse_qs(urlsplit(row["Open in browser"]).query)
    assert asked == {"dataset": ["d s"], "plate": ["P&1"], "image": ['P&1:A01:0 #?"<']}
