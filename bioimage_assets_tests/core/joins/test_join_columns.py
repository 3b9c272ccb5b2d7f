"""Columns of a joined table: names once, payloads untouched, order kept."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.joins.join import join_plate, join_profiles
from bioimage_assets_tests.core.joins.join_builders import plate_images

OME_ARROW = pa.struct(
    [
        pa.field("type", pa.string()),
        pa.field("masks", pa.null()),
        pa.field(
            "pixels_meta",
            pa.struct([pa.field("size_x", pa.int32()), pa.field("channels", pa.list_(pa.string()))]),
        ),
        pa.field(
            "planes",
            pa.list_(pa.struct([pa.field("c", pa.int16()), pa.field("pixels", pa.list_(pa.uint16()))])),
        ),
    ]
)


def payload_table() -> pa.Table:
    """Every kind of column that a profile table may carry besides numbers, with nulls."""
    image = {
        "type": "ome.arrow", "masks": None, "pixels_meta": {"size_x": 2, "channels": ["DNA", None]},
        "planes": [{"c": 0, "pixels": [1, 65535]}, {"c": 1, "pixels": None}],
    }  # fmt: skip
    return pa.table(
        {
            "Metadata_Well": pa.array(["B02", None, "A01"]),
            "Metadata_Site": pa.array([1, 0, 0]),
            "image": pa.array([image, None, {**image, "planes": []}], OME_ARROW),
            "raw": pa.array([b"\x00\xff", None, b""], pa.large_binary()),
            "digest": pa.array([b"abcd", None, b"efgh"], pa.binary(4)),
            "boxes": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int16(), 2)),
            "embedding": pa.array([[0.5], [], None], pa.large_list(pa.float32())),
            "tags": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
            "when": pa.array([0, None, 1], pa.timestamp("ns", tz="UTC")),
            "category": pa.array(["x", None, "y"]).dictionary_encode(),
            "half": pa.array(np.array([1, 2, 3], np.float16)),
            "nothing": pa.nulls(3),
        }
    )


def test_payload_columns_pass_unchanged_in_type_value_and_nulls() -> None:
    profiles = payload_table()
    joined = join_plate(plate_images(), profiles, plate_key="ds/P1", dataset_id="ds").table()
    assert joined["image_id"].to_pylist() == ["P1:B02:1", None, "P1:A01:0"]
    for name in profiles.column_names:
        assert joined.schema.field(name).equals(profiles.schema.field(name)), name
        assert joined[name].combine_chunks().equals(profiles[name].combine_chunks()), name


def test_payload_columns_of_linked_rows_are_unchanged_in_an_inner_join() -> None:
    profiles = payload_table()
    joined = join_plate(plate_images(), profiles, how="inner", plate_key="ds/P1", dataset_id="ds").table()
    expected = profiles.take([0, 2])
    for name in profiles.column_names:
        assert joined[name].type == profiles[name].type, name
        assert joined[name].to_pylist() == expected[name].to_pylist(), name


def test_payload_columns_survive_the_streamed_parquet_file(tmp_path) -> None:
    # Parquet itself has no fixed-size lists with nulls and its readers differ on half floats.
    profiles = payload_table().drop_columns(["half", "boxes"])
    source, target = tmp_path / "profiles.parquet", tmp_path / "joined.parquet"
    pq.write_table(profiles, source)
    result = join_plate(plate_images(), [str(source)], plate_key="ds/P1", dataset_id="ds")
    assert result.write_parquet(target) == 3
    stored = pq.read_table(target)
    kept = pq.read_table(source)
    for name in profiles.column_names:
        assert stored[name].type == kept[name].type, name
        assert stored[name].to_pylist() == kept[name].to_pylist(), name
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_payload_columns_survive_iceberg(tmp_path) -> None:
    profiles = payload_table().select(
        ["Metadata_Well", "Metadata_Site", "image", "raw", "embedding", "nothing"]
    )
    joined = join_plate(plate_images(), profiles, plate_key="ds/P1", dataset_id="ds").table()
    properties = {"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": tmp_path.as_uri()}
    catalog = open_catalog("payloads", properties)
    replace_partitions(catalog, ("bio", "joined_profiles"), joined, ["ds/P1"])
    stored = read_table(catalog, ("bio", "joined_profiles"))
    assert stored.num_rows == 3
    for name in profiles.column_names:
        assert stored[name].type == profiles[name].type, name
        assert stored[name].to_pylist() == profiles[name].to_pylist(), name


def test_a_failing_stream_leaves_no_file(tmp_path) -> None:
    def broken():
        yield pa.record_batch({"Metadata_Well": ["A01"], "Metadata_Site": ["0"]})
        raise OSError("disk gone")

    schema = pa.schema({"Metadata_Well": pa.string(), "Metadata_Site": pa.string()})
    result = join_plate(
        plate_images(), pa.RecordBatchReader.from_batches(schema, broken()), plate_key="ds/P1"
    )
    with pytest.raises(OSError, match="disk gone"):
        result.write_parquet(tmp_path / "joined.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_profile_column_named_like_an_image_column_is_kept_under_the_stated_name() -> None:
    profiles = pa.table(
        {"Metadata_Well": ["A01"], "Metadata_Site": ["0"], "uri": [7], "join_rule": ["mine"], "dtype": [1]}
    )
    joined = join_plate(plate_images(), profiles, plate_key="ds/P1", dataset_id="ds").table()
    assert joined.column_names.count("uri") == 1
    assert joined["profile_uri"].to_pylist() == [7]
    assert joined["profile_join_rule"].to_pylist() == ["mine"]
    assert joined["profile_dtype"].to_pylist() == [1]


def test_repeated_and_clashing_names_become_unique_and_keep_their_values() -> None:
    columns = [pa.array(["A01"]), pa.array([1]), pa.array([2]), pa.array([3]), pa.array([4]), pa.array([5])]
    profiles = pa.Table.from_arrays(columns, ["Metadata_Well", "x", "x", "x_2", "uri", "profile_uri"])
    joined = join_plate(plate_images(), profiles, plate_key="ds/P1").table()
    names = joined.column_names
    assert len(set(names)) == len(names)
    assert {n: joined[n][0].as_py() for n in ("x", "x_3", "x_2", "profile_uri_2", "profile_uri")} == {
        "x": 1, "x_3": 2, "x_2": 3, "profile_uri_2": 4, "profile_uri": 5,
    }  # fmt: skip


def test_dataset_and_plate_key_stand_once_and_are_never_null_in_a_plate_join() -> None:
    profiles = pa.table(
        {"plate_key": ["ds/P1", None], "dataset_id": ["ds", None], "Metadata_Well": ["A01", "Z9"]}
    )
    joined = join_plate(plate_images(), profiles, plate_key="ds/P1", dataset_id="ds").table()
    assert (
        joined.select(["plate_key", "dataset_id"]).to_pylist()
        == [{"plate_key": "ds/P1", "dataset_id": "ds"}] * 2
    )
    assert "profile_dataset_id" not in joined.column_names
    assert not joined.schema.field("plate_key").nullable


def test_unlinked_rows_have_null_image_columns_and_their_own_normalised_position() -> None:
    profiles = pa.table({"Metadata_Plate": ["P1"], "Metadata_Well": ["c-3"], "Metadata_Site": [4.0]})
    (row,) = join_plate(plate_images(), profiles, plate_key="ds/P1", dataset_id="ds").table().to_pylist()
    assert (row["plate_id"], row["well_id"], row["site_id"]) == ("P1", "C03", "4")
    for name in ("image_id", "uri", "array_path", "shape", "channel_names", "join_rule"):
        assert row[name] is None, name


def test_rows_keep_their_order_over_many_batches(tmp_path) -> None:
    rng = np.random.default_rng(0)
    count = 40_000
    sites = rng.integers(0, 3, count)
    table = pa.table({"Metadata_Well": ["A1"] * count, "Metadata_Site": sites, "row": np.arange(count)})
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=7_000)
    joined = join_plate(plate_images(), str(tmp_path / "p.parquet"), plate_key="ds/P1").table()
    assert joined["row"].to_pylist() == list(range(count))
    expected = [f"P1:A01:{site}" if site < 2 else None for site in sites]
    assert joined["image_id"].to_pylist() == expected


def test_unknown_columns_of_a_foreign_image_table_are_carried() -> None:
    images = pa.table({"dataset_id": ["ds"], "image_id": ["i"], "shape_json": ["[1]"], "array_path": [None]})
    joined = join_profiles(images, pa.table({"dataset_id": ["ds"], "image_id": ["i"]})).table()
    assert joined["shape_json"].to_pylist() == ["[1]"]


def test_pandas_metadata_of_the_profiles_is_not_carried_but_other_metadata_is() -> None:
    profiles = pa.table({"Metadata_Well": ["A01"]}).replace_schema_metadata(
        {b"pandas": b"{}", b"producer": b"cp"}
    )
    assert join_plate(plate_images(), profiles).schema.metadata == {b"producer": b"cp"}
