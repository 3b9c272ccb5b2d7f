"""Time travel: read as of a snapshot, time or tag; name releases; go back."""

import time
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.history import list_snapshots, rollback, tag_release
from bioimage_assets.core.catalog.read import read_batches, read_table
from bioimage_assets.core.catalog.replace import remove_partitions, replace_partitions
from bioimage_assets.core.errors import MissingTableError, UsageError
from bioimage_assets_tests.core.catalog.plates import TABLE, build_plate

A = "screen/P1"


def generation(table: pa.Table) -> set[int]:
    return set(table["generation"].to_pylist())


def write(catalog: Catalog, number: int) -> int:
    snapshot = replace_partitions(catalog, TABLE, build_plate(A, number), [A]).snapshot_id
    time.sleep(0.005)
    assert snapshot is not None
    return snapshot


def test_a_snapshot_is_read_by_id_time_and_tag(catalog: Catalog) -> None:
    first = write(catalog, 1)
    tag_release(catalog, "bioimage.cytotable", "2026.1")
    between = datetime.now(UTC)
    time.sleep(0.005)
    write(catalog, 2)
    for as_of in (first, str(first), between, between.replace(tzinfo=None), between.isoformat(), "2026.1"):
        assert generation(read_table(catalog, TABLE, as_of=as_of)) == {1}
        assert generation(read_batches(catalog, TABLE, as_of=as_of).read_all()) == {1}
    assert generation(read_table(catalog, TABLE)) == {2}


def test_no_time_shows_a_plate_half_replaced(catalog: Catalog) -> None:
    for number in range(4):
        write(catalog, number)
    for record in list_snapshots(catalog, TABLE):
        assert read_table(catalog, TABLE, as_of=record.snapshot_id).num_rows == 10


@pytest.mark.parametrize(
    "as_of", [1, "99", "no-such-tag", datetime.now(UTC) - timedelta(days=1), "2001-01-01"]
)
def test_a_state_that_never_was_is_refused_with_what_there_is(catalog: Catalog, as_of: object) -> None:
    write(catalog, 1)
    tag_release(catalog, "bioimage.cytotable", "2026.1")
    with pytest.raises(UsageError, match=r"1 snapshot\(s\).*2026\.1"):
        read_table(catalog, TABLE, as_of=as_of)


def test_rolling_back_makes_the_earlier_rows_present_again_and_loses_nothing(catalog: Catalog) -> None:
    first = write(catalog, 1)
    second = write(catalog, 2)
    assert rollback(catalog, TABLE, first) == first
    assert rollback(catalog, TABLE, first) == first
    assert generation(read_table(catalog, TABLE)) == {1}
    assert generation(read_table(catalog, TABLE, as_of=second)) == {2}
    write(catalog, 3)
    assert generation(read_table(catalog, TABLE)) == {3}
    assert read_table(catalog, TABLE).num_rows == 10


def test_writing_goes_on_after_a_rollback_over_a_new_column(catalog: Catalog) -> None:
    first = write(catalog, 1)
    replace_partitions(catalog, TABLE, build_plate(A, 2).append_column("more", pa.array([1] * 10)), [A])
    rollback(catalog, TABLE, first)
    assert generation(read_table(catalog, TABLE)) == {1}
    assert read_table(catalog, TABLE)["more"].null_count == 10
    replace_partitions(catalog, TABLE, build_plate(A, 3).append_column("more", pa.array([7] * 10)), [A])
    assert set(read_table(catalog, TABLE)["more"].to_pylist()) == {7}


def test_a_removed_plate_is_still_there_in_its_release(catalog: Catalog) -> None:
    write(catalog, 1)
    tag_release(catalog, "bioimage.cytotable", "paper")
    remove_partitions(catalog, TABLE, [A])
    assert read_table(catalog, TABLE).num_rows == 0
    assert generation(read_table(catalog, TABLE, as_of="paper")) == {1}


def test_a_release_names_every_table_and_is_not_moved(catalog: Catalog) -> None:
    write(catalog, 1)
    replace_partitions(catalog, "bioimage.cytotable.other", build_plate(A), [A])
    assert set(tag_release(catalog, "bioimage.cytotable", "r1")) == {"rows", "other"}
    assert set(tag_release(catalog, "bioimage.cytotable", "r1")) == {"rows", "other"}
    write(catalog, 2)
    with pytest.raises(UsageError, match="already has a tag 'r1'"):
        tag_release(catalog, "bioimage.cytotable", "r1")
    assert generation(read_table(catalog, TABLE, as_of="r1")) == {1}


def test_a_namespace_without_tables_has_no_release(catalog: Catalog) -> None:
    with pytest.raises(MissingTableError):
        tag_release(catalog, "nowhere", "r1")
    with pytest.raises(UsageError):
        tag_release(catalog, "nowhere", "main")
