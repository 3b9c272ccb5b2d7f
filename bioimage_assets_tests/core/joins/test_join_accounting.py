"""What a report counts are rows, however many different keys they are spread over."""

from __future__ import annotations

import pyarrow as pa
import pytest

from bioimage_assets.core.joins.aliases import BUILT_IN_ALIASES, resolve_profile_columns
from bioimage_assets.core.joins.image_index import ImageIndex, read_image_keys, seed_ids
from bioimage_assets.core.joins.join import join_plate, join_profiles
from bioimage_assets.core.joins.keys import ColumnCodes, group_rows, is_key_type
from bioimage_assets.core.joins.report import JoinReport
from bioimage_assets_tests.core.joins.join_builders import image_row, image_table, plate_images, tiff_set_row


def _report(images: pa.Table | None = None, **columns: list) -> JoinReport:
    table = plate_images() if images is None else images
    return join_plate(table, pa.table(columns), plate_key="ds/P1", dataset_id="ds").report


def _messages(report: JoinReport, code: str) -> list[str]:
    return [finding.message for finding in report.findings if finding.code == code]


def test_linked_and_unlinked_values_of_a_file_column_are_counted_in_rows_of_all_wells() -> None:
    images = image_table(
        tiff_set_row("P1:A01:1", "/data/s1", {"DNA": "a.tif"}, well_id="A01", site_id="1"),
        tiff_set_row("P1:B02:1", "/data/s2", {"DNA": "b.tif"}, well_id="B02", site_id="1"),
    )
    report = _report(
        images,
        FileName_DNA=["a.tif", "a.tif", "a.tif", "b.tif", "x.tif", "x.tif", None],
        Metadata_Well=["A01", "A01", "B02", "B02", "A01", "B02", "A01"],
    )
    lines = {o.outcome: o for o in report.outcomes if o.outcome.endswith("linked-column")}
    assert (lines["linked-column"].row_count, lines["unlinked-column"].row_count) == (4, 2)
    assert lines["linked-column"].sample_keys == ("FileName_DNA", "a.tif", "b.tif")
    assert lines["unlinked-column"].sample_keys == ("FileName_DNA", "x.tif")


def test_rows_that_nothing_places_are_counted_over_all_their_keys() -> None:
    report = _report(Metadata_Plate=["P1"] * 4, Metadata_Site=["0", "0", "1", "2"])
    (message,) = _messages(report, "rows-without-key")
    assert message.startswith("4 row(s) have no image id")
    assert _messages(_report(Metadata_Well=["A01"]), "rows-without-key") == []


def test_rows_of_an_unknown_plate_are_counted_over_all_their_wells() -> None:
    report = _report(
        Metadata_Plate=["P9", "P9", "P9", "P8", "P1"], Metadata_Well=["A01", "B02", "B02", "A01", "A01"]
    )
    (message,) = _messages(report, "unknown-plate")
    assert message.startswith("4 row(s) name plate(s) 'P9', 'P8'; the images are of 'P1'.")


def test_rows_of_wells_without_an_image_are_counted_unless_something_else_linked_them() -> None:
    report = _report(
        Metadata_Well=["C03", "C03", "C03", "D04", "E05", "A01"],
        Metadata_Site=["0", "0", "1", "0", "0", "0"],
        image_id=[None, None, None, None, "P1:A01:0", None],
    )
    (message,) = _messages(report, "unknown-well")
    assert message.startswith("4 row(s) are of 2 well(s) that have no image: C03, D04.")


@pytest.mark.parametrize("key", sorted(BUILT_IN_ALIASES))
def test_every_alias_stands_for_its_key_in_the_forms_of_cellprofiler_and_of_a_merge(key: str) -> None:
    for name in BUILT_IN_ALIASES[key]:
        assert resolve_profile_columns([name]).columns == {key: name}
    plain = [
        name for name in BUILT_IN_ALIASES[key] if name.startswith("Metadata_") and name != "Metadata_source"
    ]
    for name in plain:
        assert f"Image_{name}" in BUILT_IN_ALIASES[key]


def test_a_plate_name_of_two_datasets_means_both_unless_the_row_names_its_dataset() -> None:
    index = ImageIndex(
        read_image_keys(
            image_table(
                image_row("P1:A01:0", plate_key="a/P1", dataset_id="a", well_id="A01", site_id="0"),
                image_row("P1:A01:0", plate_key="b/P1", dataset_id="b", well_id="A01", site_id="0"),
            )
        )
    )
    assert index.scopes_of_plate("P1", None) == ("a/P1", "b/P1")
    assert index.scopes_of_plate("P1", "b") == ("b/P1",)
    assert index.scopes_of_plate("P1", None, "a/P1") == ("a/P1",)
    assert index.scopes_of_plate("P1", None, "c/P1") == ()
    assert index.scopes_of_plate(None, None) == ()
    assert index.implied_plate is None
    one = ImageIndex(read_image_keys(plate_images()))
    assert one.scopes_of_plate("P1", "another name of the dataset") == ("ds/P1",)
    assert one.scopes_of_plate(None, None) == ("ds/P1",)
    assert one.implied_plate == "P1"


@pytest.mark.parametrize(
    ("array_path", "names"),
    [
        ("series/0", ("a:series-0", "a")),
        ("series/1", ("a:series-1",)),
        (None, ("a",)),
    ],
)
def test_the_seeds_name_a_tiff_by_its_stem_and_only_its_first_series(
    array_path: str | None, names: tuple
) -> None:
    row = image_row("P1:A01:0", uri="/data/a.ome.tiff", format_family="ome-tiff", array_path=array_path)
    (image,) = read_image_keys(image_table(row))
    assert seed_ids(image) == names


def test_digests_of_the_profiles_open_no_file_unless_asked_for() -> None:
    images = image_table(tiff_set_row("P1:x", "/nowhere", {"DNA": "a.tif"}, well_id="A01", site_id="0"))
    cells = pa.table({"MD5Digest_DNA": ["0" * 32], "Metadata_Well": ["A01"], "Metadata_Site": ["0"]})
    joined = join_profiles(images, cells)
    assert joined.table()["join_rule"].to_pylist() == ["plate_well_site"]
    assert joined.report.findings == ()


def test_well_rows_and_columns_are_keys_beside_the_others() -> None:
    images = image_table(
        *(
            image_row(f"{plate}:B03:0", plate_id=plate, plate_key=f"ds/{plate}", well_id="B03", site_id="0")
            for plate in ("P1", "P2")
        )
    )
    cells = pa.table(
        {
            "Metadata_Plate": ["P2", "P1"],
            "Metadata_Row": [2, 2],
            "Metadata_Col": [3, 3],
            "Metadata_Site": ["0", "0"],
        }
    )
    assert join_profiles(images, cells).table()["image_id"].to_pylist() == ["P2:B03:0", "P1:B03:0"]


def test_texts_numbers_and_dictionaries_of_them_are_keys_and_nothing_else_is() -> None:
    good = [pa.int8(), pa.float32(), pa.decimal128(5, 2), pa.string(), pa.large_string(), pa.string_view()]
    assert all(is_key_type(kind) for kind in [*good, pa.dictionary(pa.int32(), pa.string())])
    odd = [pa.bool_(), pa.null(), pa.list_(pa.string()), pa.dictionary(pa.int32(), pa.bool_())]
    assert not any(is_key_type(kind) for kind in odd)


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        (["b", None, "a", "b"], pa.string(), ["b", "a"]),
        (["b", None, "a", "b"], pa.string_view(), ["b", "a"]),
        (["b", None, "a", "b"], pa.dictionary(pa.int8(), pa.string()), ["b", "a"]),
        ([1.0, None, 2.5, 1.0], pa.float64(), ["1", "2.5"]),
        ([7, None, 8, 7], pa.int64(), ["7", "8"]),
    ],
)
def test_codes_of_a_column_number_its_values_from_one_and_null_is_zero(
    values: list, kind: pa.DataType, texts: list[str]
) -> None:
    codes = ColumnCodes("plate_id")
    assert codes.encode(pa.array(values, kind)).tolist() == [1, 0, 2, 1]
    assert codes.values == [None, *texts]
    assert codes.encode(pa.array(values[2:], kind)).tolist() == [2, 1]


def test_rows_are_one_group_where_all_their_codes_agree_however_many_columns_there_are() -> None:
    import numpy as np

    rng = np.random.default_rng(1)
    columns = [rng.integers(0, 3_000_000_000, 50).astype(np.int64) for _ in range(4)]
    columns = [np.concatenate([column, column[10:20]]) for column in columns]
    groups, first = group_rows([np.zeros(60, np.int64), *columns], 60)
    assert groups.tolist() == [*range(50), *range(10, 20)]
    assert first.tolist() == list(range(50))
