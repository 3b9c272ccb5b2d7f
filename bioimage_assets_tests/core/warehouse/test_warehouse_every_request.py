"""A change of a root in an object store that is stopped, or refused, at any one of its requests.

Whoever reads through this package finds the old state or the new one. Readers that only list the folder may
find new objects beside old ones, but never less than one of the two states; where one object changes, one of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from unittest.mock import patch
from uuid import uuid4

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse import maintain
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.manifest import manifest_file, partition_index
from bioimage_assets.core.warehouse.root import Warehouse, open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.builders.every_step import (
    Before,
    Killed,
    Steps,
    kill_at,
    refuse_each,
    stop_at_each,
)
from bioimage_assets_tests.core.warehouse.changes import (
    CHANGES,
    PLATES,
    Change,
    Rows,
    content,
    read,
)
from bioimage_assets_tests.core.warehouse.whole_manifest import leave_out_entries, manifest_facts

# One object changes, under the name it had: one step for everyone.
SINGLE = (
    "first table",
    "one partition",
    "one partition with fewer columns",
    "one of parts with other columns",
    "one partition of an earlier version's root",
)
REQUESTS = ("put_file", "pipe_file", "cp_file", "rm_file")
QUICK = ("first table, namespaced", "one partition")
CASES = [
    pytest.param(change, id=change.name, marks=() if change.name in QUICK else pytest.mark.slow)
    for change in CHANGES
]


@contextmanager
def watched_requests(before: Before) -> Iterator[Steps]:
    """Call something before each request that changes an object; it may raise in its place."""
    steps, depth = Steps(before), [0]

    def wrap(name: str) -> Callable[..., object]:
        original = getattr(MemoryFileSystem, name)

        def around(self: object, *arguments: object, **options: object) -> object:
            if not depth[0]:
                steps.take(f"{name} {arguments[0 if name != 'put_file' else 1]}")
            depth[0] += 1
            try:
                return original(self, *arguments, **options)
            finally:
                depth[0] -= 1

        return around

    with ExitStack() as patched:
        for name in REQUESTS:
            patched.enter_context(patch.object(MemoryFileSystem, name, wrap(name)))
        yield steps


def refused(number: int) -> Before:
    def before(count: int, name: str) -> None:
        if count == number:
            raise PermissionError(13, "403 Forbidden", name.partition(" ")[2])

    return before


@pytest.fixture(autouse=True)
def partitions_in_several_buckets(monkeypatch):
    """Two plates fill a bucket, so that three of them are in several."""
    monkeypatch.setattr(partition_index, "MAX_BUCKET_PARTITIONS", 2)


@pytest.fixture(autouse=True)
def what_is_left_is_old_at_once(monkeypatch):
    monkeypatch.setattr(maintain, "LEFTOVER_AGE_S", 0.0)


def copied(source: str) -> str:
    target = f"memory://{uuid4().hex}/root"
    files = MemoryFileSystem()
    for path in files.find(source.removeprefix("memory:/")):
        name = path.removeprefix(source.removeprefix("memory:/"))
        files.pipe_file(target.removeprefix("memory:/") + name, files.cat_file(path))
    manifest_file._PARSED.clear()
    return target


@dataclass(frozen=True)
class Prepared:
    """A root before the change, and one after it with everything in order; ``seen`` are the situations between them that
    were checked.
    """

    old_root: str
    new_root: str
    old: Rows
    new: Rows
    seen: set[object]


@cache
def prepared(change: Change) -> Prepared:
    """Prepare a change once for all ways to stop it. Of two stops that leave the same, one is checked."""
    old = f"memory://{uuid4().hex}/root"
    change.before(open_warehouse(old, layout=change.layout))
    new = copied(old)
    change.act(open_warehouse(new, layout=change.layout))
    maintain_warehouse(new)
    return Prepared(old, new, read(open_warehouse(old)), read(open_warehouse(new)), set())


_VARYING = re.compile(r"\d{4}-\d\d-\d\dT[\d:.+Z]*|[0-9a-f]{16,}|\d{6,}")


def situation(root: str) -> object:
    """What readers and the next open meet, without the names and times that no two runs share."""
    files, base = MemoryFileSystem(), root.removeprefix("memory:/")
    found: Counter[tuple[str, object]] = Counter()
    for path in files.find(base):
        payload = files.cat_file(path)
        told = _VARYING.sub("", payload.decode()) if path.endswith(".json") else payload
        found[_VARYING.sub("", path.removeprefix(base)), told] += 1
    return frozenset(found.items())


def tree(root: str) -> dict[str, object]:
    base = root.removeprefix("memory:/")
    names = [path.removeprefix(f"{base}/") for path in MemoryFileSystem().find(base)]
    files = open_warehouse(root).files_at
    return dict.fromkeys(leave_out_entries(files, names)) | {"manifest": manifest_facts(files)}


def listed(root: str) -> dict[str, Counter[tuple[str, int]]]:
    """Rows that a reader finds who only lists the folders, by table."""
    found: dict[str, Counter[tuple[str, int]]] = {}
    files = open_warehouse(root).files_at
    paths = [
        path for path in MemoryFileSystem().find(root.removeprefix("memory:/")) if "/_warehouse/" not in path
    ]
    for path in paths:
        if path.endswith(".parquet"):
            rows = content(ds.dataset(path, filesystem=files.filesystem()).to_table())[1]
            name = path.split("/")[-2]
            found[name] = found.get(name, Counter()) + rows
    return found


def check(root: str, change: Change, made: Prepared) -> None:
    met = situation(root)
    if met in made.seen:
        return
    made.seen.add(met)
    old, new, seen = made.old, made.new, listed(root)
    states = [{name: rows for name, (_, rows) in state.items()} for state in (old, new)]
    assert any(all(seen.get(name, Counter()) >= rows for name, rows in state.items()) for state in states), (
        seen
    )
    if change.name in SINGLE:
        assert seen in states
    opened = read(open_warehouse(root, layout=change.layout))
    assert opened in (old, new)
    problems = maintain_warehouse(root).problems
    assert not problems or change.name.startswith("convert")
    warehouse = open_warehouse(root, layout=change.layout)
    assert read(warehouse) == opened
    # The manifest may know less of an object that came just before it: the same write completes it.
    if opened == old or change.name in SINGLE:
        change.act(warehouse)
        maintain_warehouse(root)
    assert read(open_warehouse(root)) == new
    result = validate_warehouse_manifest(root)
    assert not result.errors
    if not change.name.startswith("convert"):
        assert not result.warnings
        assert tree(root) == tree(made.new_root)


def begin(source: str, change: Change) -> Callable[[], Warehouse]:
    """Makes the root of the next trial, the same each time."""
    return lambda: open_warehouse(copied(source), layout=change.layout)


@pytest.mark.parametrize("change", CASES)
def test_a_change_stopped_before_any_request_is_done_or_not_begun(change):
    made = prepared(change)
    for trial in stop_at_each(watched_requests, begin(made.old_root, change), change.act):
        with trial.told():
            check(trial.place.root, change, made)
    assert trial.number >= 3


def test_old_rows_written_again_after_a_stop_are_not_taken_for_present():
    """The object is newer than the manifest, which still knows the old one's digest; sizes may be the same."""
    root = f"memory://{uuid4().hex}/root"
    first, second = (pa.table({"plate_key": [PLATES[0]], "generation": [number]}) for number in (1, 2))
    warehouse = open_warehouse(root)
    for table in (first, second, first):
        # Before the manifest; entries and object are there.
        number = 4 if table is second else 99
        with watched_requests(kill_at(number)), suppress(Killed):
            warehouse.replace_partitions("single_cells", table, PLATES[:1])
        assert warehouse.read("single_cells").equals(table)
    assert not warehouse.replace_partitions("single_cells", first, PLATES[:1]).changed


@pytest.mark.parametrize("change", CASES)
def test_a_change_refused_any_request_says_so_and_costs_nothing(change):
    made = prepared(change)
    for trial in refuse_each(
        watched_requests, refused, begin(made.old_root, change), change.act, WarehouseError
    ):
        root, said = trial.place.root, trial.said
        with trial.told():
            opened = read(open_warehouse(root, layout=change.layout))
            assert opened == made.new if not said else opened in (made.old, made.new)
            assert not said or (root in said and "403 Forbidden" in said)
            check(root, change, made)
    assert trial.number >= 3
