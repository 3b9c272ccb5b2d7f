"""A change of several objects is one step for whoever reads through the manifest, also when its writer is killed."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pyarrow as pa
import pytest

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse import maintain
from bioimage_assets.core.warehouse.convert import convert_layout
from bioimage_assets.core.warehouse.files.bucket_files import FsspecRootFiles, ObstoreRootFiles
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.reading.consistent_read import ConsistentParts
from bioimage_assets.core.warehouse.root import Warehouse, open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.builders.every_step import Killed
from bioimage_assets_tests.builders.s3_server import create_bucket, run_s3, storage_options
from bioimage_assets_tests.builders.seaweed_server import PLAIN
from bioimage_assets_tests.core.warehouse.tables import cells, generation

PLATES = [f"screen/BR{i}" for i in range(3)]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with run_s3() as address:
        yield address


@pytest.fixture(
    params=[*(pytest.param(name, marks=pytest.mark.slow) for name in ("s3", "seaweedfs")), "memory"]
)
def place(request) -> tuple[str, dict[str, object]]:
    if request.param == "seaweedfs":
        server = request.getfixturevalue("seaweed")
        return f"s3://{PLAIN}/{uuid4().hex}/root", dict(server.storage_options())
    if request.param == "memory":
        return f"memory://{uuid4().hex}/root", {}
    endpoint = request.getfixturevalue("endpoint")
    return f"s3://{create_bucket(endpoint)}/root", dict(storage_options(endpoint))


def open_place(place) -> Warehouse:
    return open_warehouse(place[0], storage_options=place[1])


def rows(number: int) -> pa.Table:
    return pa.concat_tables([generation(plate, number, 4) for plate in PLATES])


def numbers(place) -> set[int]:
    table = open_place(place).read("whole")
    assert table.num_rows == 12
    assert open_place(place).row_count("whole") == 12
    return set(table.column("generation").to_pylist())


@pytest.fixture
def watched(monkeypatch):
    """Call something before (or instead of) every request that changes an object; the number of requests."""
    calls: list[str] = []
    hook: list = [lambda name: None]

    def wrap(owner: type, name: str) -> None:
        original = getattr(owner, name)

        def around(self, *arguments):
            calls.append(name)
            hook[0](len(calls))
            return original(self, *arguments)

        monkeypatch.setattr(owner, name, around)

    for owner in (FsspecRootFiles, ObstoreRootFiles):
        for name in ("replace_file", "_write_manifest", "remove_file", "write_text"):
            if name in vars(owner):
                wrap(owner, name)
    return calls, hook


def test_readers_between_all_requests_of_a_change_see_one_generation(place, watched):
    _, hook = watched
    open_place(place).overwrite("whole", rows(0), role="profiles")
    seen: list[int] = []

    def look(_: int) -> None:
        found = numbers(place)
        assert len(found) == 1
        seen.extend(found)

    hook[0] = look
    open_place(place).overwrite("whole", rows(1), role="profiles")
    open_place(place).replace_partitions("whole", rows(2), PLATES, role="profiles")
    # A table of several parts per plate becomes one of one part each.
    hook[0] = lambda _: None
    open_place(place).append("whole", rows(2), role="profiles")
    hook[0] = lambda _: seen.append(open_place(place).read("whole").num_rows)
    open_place(place).replace_partitions("whole", rows(3), PLATES, role="profiles")
    # Generations 0 to 2, then the row counts of both states: each only ever follows the one before.
    assert list(dict.fromkeys(seen)) == [0, 1, 2, 24, 12]
    assert [value for i, value in enumerate(seen) if i == 0 or seen[i - 1] != value] == [0, 1, 2, 24, 12]
    assert numbers(place) == {3}
    assert not open_place(place).replace_partitions("whole", rows(3), PLATES, role="profiles").changed


def test_a_writer_killed_before_any_request_leaves_the_old_or_the_new_table(place, watched, monkeypatch):
    calls, hook = watched
    open_place(place).overwrite("whole", rows(0), role="profiles")
    calls.clear()
    open_place(place).overwrite("whole", rows(1), role="profiles")
    number, steps = 1, len(calls)
    assert steps >= 7
    for step in range(1, steps + 1):
        number += 1

        def kill(count: int, step: int = step) -> None:
            if count == step:
                raise Killed

        calls.clear()
        hook[0] = kill
        with pytest.raises(Killed):
            open_place(place).overwrite("whole", rows(number), role="profiles")
        hook[0] = lambda _: None
        (found,) = numbers(place)
        assert found in (number, number - 1) if step > 1 else found == number - 1
        open_place(place).overwrite("whole", rows(number), role="profiles")
        assert numbers(place) == {number}
    monkeypatch.setattr(maintain, "LEFTOVER_AGE_S", 0.0)
    maintain_warehouse(place[0], storage_options=place[1])
    result = validate_warehouse_manifest(place[0], storage_options=place[1])
    assert (result.errors, result.warnings) == ([], [])
    assert len(open_place(place).files_at.list_parts("whole")) == 3


def test_what_a_cut_off_write_left_is_named_and_stays_for_a_day(place, watched):
    calls, hook = watched
    open_place(place).overwrite("whole", rows(0), role="profiles")
    calls.clear()

    def kill(count: int) -> None:
        if count == 3:
            raise Killed

    hook[0] = kill
    with pytest.raises(Killed):
        open_place(place).overwrite("whole", rows(1), role="profiles")
    hook[0] = lambda _: None
    maintain_warehouse(place[0], storage_options=place[1])
    result = validate_warehouse_manifest(place[0], storage_options=place[1])
    assert result.errors == []
    assert [w for w in result.warnings if "2 object(s) in 'whole' belong to no state" in w] == result.warnings
    assert numbers(place) == {0}


@pytest.mark.slow
def test_two_appends_at_once_are_both_kept(endpoint):
    place = f"s3://{create_bucket(endpoint)}/root", dict(storage_options(endpoint))
    first, second = open_place(place), open_place(place)
    first.append("grown", cells(PLATES[0], 2), role="profiles")
    commit = first.files_at.commit
    entered: list[int] = []

    def late(change, manifest, version, entry):
        if not entered:
            entered.append(1)
            # Another process appends between this one's look at the manifest and its upload.
            second.append("grown", cells(PLATES[0], 5), role="profiles")
        return commit(change, manifest, version, entry)

    first.files_at.commit = late  # type: ignore[method-assign]
    first.append("grown", cells(PLATES[0], 3), role="profiles")
    assert open_place(place).read("grown").num_rows == 10
    assert open_place(place).row_count("grown") == 10


def test_a_read_overtaken_by_a_replaced_object_begins_again_and_a_stream_says_so(place, monkeypatch):
    warehouse = open_place(place)
    warehouse.replace_partitions("whole", generation(PLATES[0], 0, 4), [PLATES[0]], role="profiles")
    stream = warehouse.batches("whole")
    warehouse.replace_partitions("whole", generation(PLATES[0], 1, 4), [PLATES[0]], role="profiles")
    with pytest.raises(WarehouseError, match="changed while it was read"):
        stream.read_all()
    dataset, written = ConsistentParts.dataset, []

    def overtaken(self: ConsistentParts, files: object) -> object:
        if not written:
            written.append(2)
            warehouse.replace_partitions("whole", generation(PLATES[0], 2, 4), [PLATES[0]], role="profiles")
        return dataset(self, files)

    monkeypatch.setattr(ConsistentParts, "dataset", overtaken)
    assert warehouse.read("whole").column("generation").to_pylist() == [2] * 4


def test_a_conversion_killed_before_any_request_can_be_run_again(place, watched):
    calls, hook = watched
    warehouse = open_place(place)
    warehouse.replace_partitions("single_cells", cells(PLATES[0]), [PLATES[0]])
    warehouse.replace_partitions("single_cells", cells(PLATES[1]), [PLATES[1]])
    for step in range(1, 5):
        calls.clear()

        def kill(count: int, step: int = step) -> None:
            if count == step:
                raise Killed

        hook[0] = kill
        layout = "namespaced" if open_place(place).layout == "flat" else "flat"
        with pytest.raises(Killed):
            convert_layout(place[0], layout, storage_options=place[1])
        hook[0] = lambda _: None
        assert open_place(place).read("single_cells").num_rows == 6
        maintain_warehouse(place[0], storage_options=place[1])
        assert len(open_place(place).tables()) == 1
        convert_layout(place[0], layout, storage_options=place[1])
        assert open_place(place).layout == layout
        assert open_place(place).read("single_cells").num_rows == 6
        assert validate_warehouse_manifest(place[0], storage_options=place[1]).errors == []
