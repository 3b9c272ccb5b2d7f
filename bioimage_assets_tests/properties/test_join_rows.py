"""Rows in = rows out, whatever keys, types, collisions, nulls and column names come."""

from __future__ import annotations

from typing import get_args

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bioimage_assets.core.joins.join import JoinOptions, join_profiles
from bioimage_assets.core.joins.keys import KeyKind, normalize_path, normalizer, rewrite_path
from bioimage_assets.core.joins.query import query_metadata_table
from bioimage_assets.core.public_api.join import join_image_assets_with_profiles
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS

HOSTILE_NAMES = (
    "select", 'a"b', "a'b", "x; DROP TABLE t; --", "ünïcode 细胞", "a.b", "", " ", "Metadata_Well ", "uri", "join_rule",
    "profile_uri", "dataset_id", "plate_key", "PLATE_KEY", "row_number", "f0", "\n", "%s", "{x}", "image_id", "a" * 300,
)  # fmt: skip
WELLS = ("A01", "A1", "a-1", "r01c01", "B02", "(2,2)", "", " ", "no well", "A00", "Ａ１")
SITES = st.one_of(
    st.none(),
    st.integers(-2, 3),
    st.floats(allow_nan=True, width=32),
    st.sampled_from(["0", "01", " 1 ", "M10", "1.0", ""]),
)
PLATES = st.sampled_from([None, "P1", " P1 ", "P2", "1", "001", "ünï'\"; --"])
FILES = st.sampled_from(
    [None, "a.tif", "b.tif", "/x/a.tif", "..", "/", "file:", "s3://b//a.tif", "\\\\srv\\a.tif"]
)


def as_column(values: list[object]) -> pa.Array:
    """One Arrow column of values that may be of several types: mixed ones become text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int} or kinds <= {float} or kinds <= {str}:
        return pa.array(values)
    return pa.array([None if value is None else str(value) for value in values])


@st.composite
def image_tables(draw: st.DrawFn) -> pa.Table:
    """Few images with colliding ids, positions and files."""
    rows = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "plate_key": st.sampled_from(["ds/P1", "ds/P2"]),
                    "dataset_id": st.sampled_from(["ds", "other"]),
                    "plate_id": PLATES,
                    "well_id": st.sampled_from([None, "A01", "B02"]),
                    "site_id": st.sampled_from([None, "0", "1", "M10"]),
                    "image_id": st.sampled_from(["i1", "i2", "P1:A01:0", "x"]),
                    "image_kind": st.sampled_from(["image", "array", "label"]),
                    "uri": st.sampled_from(["/x", "/x/a.tif", "s3://b/a.tif", "/x/P1.zarr"]),
                    "array_path": st.sampled_from([None, "0", "A/1/0/0", "series/1"]),
                }
            ),
            max_size=5,
        )
    )
    fixed = {"format_family": "zarr", "storage_variant": "v", "shape": [1], "dtype": "u1", "level_count": 1,
             "fingerprint": "f", "scan_status": "ok"}  # fmt: skip
    return pa.Table.from_pylist([row | fixed for row in rows], schema=IMAGE_ASSETS)


@st.composite
def profile_tables(draw: st.DrawFn) -> pa.Table:
    """Profile rows with keys of any type under any name, each row numbered."""
    count = draw(st.integers(0, 8))

    def column(values: st.SearchStrategy) -> pa.Array:
        array = as_column(draw(st.lists(values, min_size=count, max_size=count)))
        return array.dictionary_encode() if draw(st.booleans()) and pa.types.is_string(array.type) else array

    wells = st.one_of(st.none(), st.sampled_from(WELLS), st.integers(0, 3))
    choices = {
        "Metadata_Plate": PLATES, "Image_Metadata_Plate": PLATES, "Metadata_Well": wells, "Metadata_Site": SITES,
        "image_id": st.sampled_from([None, "i1", "x:0", "P1:A01:0"]), "Metadata_ImageID": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        "Metadata_Source": st.sampled_from([None, "ds", "source_4"]), "Image_FileName_DNA": FILES, "Image_PathName_DNA": FILES,
        "Image_FileName_": FILES, "Image_URL_DNA": FILES, "Image_MD5Digest_DNA": st.sampled_from([None, "0" * 32]),
    }  # fmt: skip
    names = draw(st.lists(st.sampled_from([*choices, *HOSTILE_NAMES]), max_size=10))
    arrays = [column(choices.get(name, SITES)) for name in names]
    return pa.Table.from_arrays([*arrays, pa.array(range(count), pa.int64())], [*names, "test row"])


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(image_tables(), profile_tables(), st.sampled_from([None, "ds"]), st.booleans())
def test_every_profile_row_comes_out_once_in_order_with_its_values(
    images, profiles, dataset, with_plate
) -> None:
    options = JoinOptions(dataset_id=dataset, plate_key="ds/P1" if with_plate else None)
    result = join_profiles(images, profiles, options)
    joined = result.table()
    assert joined["test row"].to_pylist() == list(range(profiles.num_rows))
    assert len(set(joined.column_names)) == joined.num_columns
    report = result.report
    outcomes = sum(report.count(name) for name in ("matched", "ambiguous", "profiles-without-image"))
    assert outcomes == report.profile_rows == report.joined_rows == profiles.num_rows
    linked = [rule is not None for rule in joined["join_rule"].to_pylist()]
    assert linked == [image is not None for image in joined["image_id"].to_pylist()]
    assert sum(linked) == report.matched_rows
    # Profile columns follow the leading ones in their order, values and types as they came.
    leading = joined.column_names.index("join_rule") + 1
    names, seen = profiles.column_names, set()
    kept = [
        i
        for i, n in enumerate(names)
        if not (n in ("dataset_id", "plate_key") and n not in seen and not seen.add(n))
    ]
    for position, source in enumerate(kept):
        found = joined.column(leading + position).combine_chunks()
        wanted = profiles.column(source).combine_chunks()
        assert found.type == wanted.type
        assert str(found.to_pylist()) == str(wanted.to_pylist())  # NaN equals NaN as text


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(image_tables(), profile_tables())
def test_an_inner_join_is_the_left_join_without_unlinked_rows(images, profiles) -> None:
    left = join_profiles(images, profiles).table()
    inner = join_profiles(images, profiles, JoinOptions(how="inner"))
    linked = [
        row
        for row, rule in zip(left["test row"].to_pylist(), left["join_rule"].to_pylist(), strict=True)
        if rule
    ]
    assert inner.table()["test row"].to_pylist() == linked
    assert inner.report.count("dropped") == profiles.num_rows - len(linked)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(image_tables(), profile_tables(), st.integers(1, 3))
def test_the_size_of_batches_does_not_matter(images, profiles, size) -> None:
    whole = join_profiles(images, profiles)
    reader = pa.RecordBatchReader.from_batches(profiles.schema, profiles.to_batches(max_chunksize=size))
    streamed = join_profiles(images, reader)
    assert str(streamed.table().to_pydict()) == str(whole.table().to_pydict())
    assert streamed.report == whole.report


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(HOSTILE_NAMES), min_size=1, max_size=6, unique=True), st.data())
def test_queries_take_any_column_name_as_data(names, data) -> None:
    table = pa.table({name: pa.array([1, 2, None]) for name in names})
    name = data.draw(st.sampled_from(names))
    assert query_metadata_table(table, columns=[name], filters=[(name, ">", 1)]).to_pylist() == [{name: 2}]


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(image_tables())
def test_seed_joins_give_one_row_per_profile_row_too(images) -> None:
    profiles = pa.table({"dataset_id": ["ds"] * 3, "image_id": ["i1", "x", None]})
    joined = join_image_assets_with_profiles(images, profiles)
    assert joined["profile_image_id"].to_pylist() == ["i1", "x", None]


KEY_VALUES = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.integers(),
    st.floats(),
    st.sampled_from([*WELLS, "s3://b//x/", "C:\\d\\f.tif"]),
)


@settings(max_examples=200)
@given(st.sampled_from(get_args(KeyKind)), KEY_VALUES)
def test_key_normalisers_are_idempotent(kind, value) -> None:
    if isinstance(value, str) and value.strip().lower().startswith("file:"):
        value = value.replace("%", "").replace(":", "")
    once = normalizer(kind)(value)
    assert normalizer(kind)(once) == once


@settings(max_examples=100)
@given(st.text("ab/\\", max_size=8), st.text("ab/", max_size=4), st.text("ab/", max_size=4))
def test_a_rewrite_changes_only_paths_below_its_prefix(path, old, new) -> None:
    known = normalize_path(path)
    prefix = normalize_path(old)
    if known is not None:
        rewritten = rewrite_path(known, ((old, new),))
        if prefix is None or not (known + "/").startswith(prefix.rstrip("/") + "/"):
            assert rewritten == known
