"""A change of a root that is stopped, or refused, at any one of its steps leaves the old state or the new one.

The steps are counted, not timed: a writer ends before the first, the second, … the last of them. After each
stop plain readers, this package's reader without the right to write, and the next open are asked.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse.changes import journal
from bioimage_assets.core.warehouse.files.local_files import LocalRootFiles
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.manifest import manifest_file, partition_index
from bioimage_assets.core.warehouse.manifest.layout import JOURNAL_NAME, STAGING_DIR
from bioimage_assets.core.warehouse.reading import consistent_read
from bioimage_assets.core.warehouse.root import Warehouse, open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.builders.disk_steps import refuse_at, watched_steps
from bioimage_assets_tests.builders.every_step import Trial, refuse_each, stop_at_each
from bioimage_assets_tests.core.warehouse.changes import (
    CHANGES,
    Change,
    Rows,
    content,
    read,
)
from bioimage_assets_tests.core.warehouse.whole_manifest import (
    leave_out_entries,
    manifest_facts,
    without_digests,
)

# What each kind of change has of its own is in these; the others are combinations.
QUICK = ("first table, namespaced", "one partition")
CASES = [
    pytest.param(change, id=change.name, marks=() if change.name in QUICK else pytest.mark.slow)
    for change in CHANGES
]
REASONS = {errno.ENOSPC: "no space is left", errno.EACCES: "permission is denied"}


def listed(root: Path, moves: bool) -> Rows:
    """What readers find that know folders and Parquet only; no folder of a table is ever empty."""
    found: Rows = {}
    for folder in sorted(root.rglob("*")):
        is_inner = folder.relative_to(root).parts[0] == "_warehouse"
        if is_inner or not folder.is_dir() or any(child.is_dir() for child in folder.iterdir()):
            continue
        if moves and not any(folder.iterdir()):
            continue
        found[folder.name] = content(pq.read_table(folder))
        listing = f"read_parquet('{folder}/*.parquet', union_by_name = true)"
        counted = duckdb.sql(f"SELECT plate_key, generation, count(*) FROM {listing} GROUP BY ALL").fetchall()
        assert Counter({(plate, number): count for plate, number, count in counted}) == found[folder.name][1]
    return found


class ReaderFiles(LocalRootFiles):
    """A root that may be read only: nothing is finished or locked."""

    def recover(self) -> bool:
        return False

    def exclusive(self):
        raise WarehouseError("may not be written")


@dataclass(frozen=True)
class Prepared:
    """A root before the change, and one after it with everything in order; ``seen`` are the situations between them that
    were found to be repaired.
    """

    old_root: Path
    new_root: Path
    old: Rows
    new: Rows
    seen: set[object]


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Change], Prepared]:
    """Prepare a change once for all ways to stop it. Of two stops that leave the same, one is repaired."""
    done: dict[str, Prepared] = {}

    def prepared(change: Change) -> Prepared:
        if change.name not in done:
            old, new = (tmp_path_factory.mktemp("prepared") / name for name in ("old", "new"))
            old.mkdir()
            change.before(open_warehouse(old, layout=change.layout))
            copy(old, new)
            change.act(open_warehouse(new, layout=change.layout))
            maintain_warehouse(new)
            done[change.name] = Prepared(
                old, new, read(open_warehouse(old)), read(open_warehouse(new)), set()
            )
        return done[change.name]

    return prepared


def copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    manifest_file._PARSED.clear()


def tree(root: Path) -> dict[str, object]:
    """Names of all files and folders, and what the manifest says."""
    names = [str(path.relative_to(root)) for path in sorted(root.rglob("*"))]
    files = LocalRootFiles(str(root))
    return dict.fromkeys(leave_out_entries(files, names)) | {"manifest": manifest_facts(files)}


_VARYING = re.compile(r"\d{4}-\d\d-\d\dT[\d:.+Z]*|[0-9a-f]{16,}|\d{6,}")


def situation(root: Path) -> object:
    """What the next open meets, without the names that no two runs share.

    What lies in a writer's own folders is removed as a whole, unless a journal names it.
    """
    journal = root / JOURNAL_NAME
    recorded = journal.read_text() if journal.exists() else ""
    found: Counter[tuple[str, object]] = Counter()
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        is_staged = name.startswith(f"{STAGING_DIR}/")
        if is_staged and name.split("/")[2] not in recorded:
            found[STAGING_DIR, "leftovers"] = 1
        elif path.suffix == ".json" and path != journal:
            # Their times and digests are those of this run.
            found[without_digests(name), _VARYING.sub("", without_digests(path.read_text()))] += 1
        else:
            payload = blake2b(path.read_bytes()).digest() if path.is_file() and path != journal else None
            found[re.sub(r"[0-9a-f]{32}", "", name), payload] += 1
    return frozenset(found.items()), re.sub(r"[0-9a-f]{32}|\d{6,}", "", without_digests(recorded))


def check_readers(root: Path, change: Change, made: Prepared) -> None:
    """Who only lists folders, who may not write, and who opens the root: each finds the old state or the new one."""
    old, new = made.old, made.new
    moves = change.name.startswith("convert")
    seen = listed(root, moves)
    # Folders move one by one; each table is in one place at most.
    assert seen.items() <= old.items() if moves else seen in (old, new), seen
    try:
        found = read(Warehouse(ReaderFiles(str(root)), change.layout))
        assert found in (old, new)
        assert found == seen or moves
    except WarehouseError as error:
        if not moves or "cut off half-way" not in str(error):
            raise
    opened = read(open_warehouse(root, layout=change.layout))
    assert opened == new if seen == new and not moves else opened in (old, new)


def check_repaired(root: Path, change: Change, made: Prepared) -> None:
    """Maintenance leaves nothing to say, and after the change was made again nothing tells this root from another."""
    met = situation(root)
    if met in made.seen:
        return
    made.seen.add(met)
    opened = read(open_warehouse(root, layout=change.layout))
    assert not maintain_warehouse(root).problems
    warehouse = open_warehouse(root, layout=change.layout)
    result = validate_warehouse_manifest(root, strict=warehouse.layout == "namespaced")
    assert (result.errors, result.warnings) == ([], []) or not opened
    assert read(warehouse) == opened
    if opened == made.old:
        change.act(warehouse)
        maintain_warehouse(root)
    assert read(open_warehouse(root)) == made.new
    assert tree(root) == tree(made.new_root)


@pytest.fixture(autouse=True)
def partitions_in_several_buckets(monkeypatch):
    """Two plates fill a bucket, so that three of them are in several."""
    monkeypatch.setattr(partition_index, "MAX_BUCKET_PARTITIONS", 2)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """Flushing changes nothing that anybody sees here."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(consistent_read, "LOOKS", 1)


def begin(folder: Path, change: Change, source: Path) -> Callable[[], Warehouse]:
    """Makes the root of the next trial, the same each time."""

    def copied() -> Warehouse:
        copy(source, folder / "root")
        return open_warehouse(folder / "root", layout=change.layout)

    return copied


def stop_where_it_matters(folder: Path, change: Change, source: Path) -> Iterator[Trial]:
    """The root after each stop, once for all stops that leave the same."""
    seen: set[object] = set()
    trial = None
    for trial in stop_at_each(watched_steps, begin(folder, change, source), change.act):
        met = situation(folder / "root")
        if met not in seen:
            seen.add(met)
            yield trial
    assert trial is not None
    assert trial.number > 10


@pytest.mark.parametrize("change", CASES)
def test_a_change_stopped_before_any_step_is_done_or_not_begun(tmp_path, change, prepare):
    made = prepare(change)
    for trial in stop_where_it_matters(tmp_path, change, made.old_root):
        with trial.told():
            check_readers(tmp_path / "root", change, made)
            check_repaired(tmp_path / "root", change, made)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(errno.ENOSPC, id="disk full"),
        pytest.param(errno.EACCES, id="no permission", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("change", CASES)
def test_a_change_refused_any_step_says_so_and_costs_nothing(tmp_path, change, code, prepare):
    made, root = prepare(change), tmp_path / "root"
    refuse = partial(refuse_at, code=code)
    for trial in refuse_each(
        watched_steps, refuse, begin(tmp_path, change, made.old_root), change.act, WarehouseError
    ):
        if trial.step.startswith("rmdir"):
            # A namespace's empty folder that may not be removed stays.
            for folder in root.glob("[!_]*/"):
                if not any(folder.iterdir()):
                    folder.rmdir()
        with trial.told():
            opened = read(open_warehouse(root, layout=change.layout))
            assert opened == (made.old if trial.said and "on record" not in trial.said else made.new)
            assert not trial.said or (str(root) in trial.said and REASONS[code] in trial.said)
            check_repaired(root, change, made)
    assert trial.number > 10


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            change, id=change.name, marks=() if change.name == "several partitions" else pytest.mark.slow
        )
        for change in CHANGES
        if change.name
        in ("several partitions", "one partition with a new column", "append with a new column")
    ],
)
def test_a_change_of_a_table_too_large_to_be_linked_is_done_or_not_begun_for_our_readers(
    tmp_path, monkeypatch, change, prepare
):
    """Its files are renamed one by one: who only lists the folder may see plates of two states, each complete."""
    monkeypatch.setattr(journal, "MAX_LINKS", 0)
    monkeypatch.setattr(journal, "LINKS_PER_CHANGE", 0)
    made, root = replace(prepare(change), seen=set()), tmp_path / "root"
    for trial in stop_where_it_matters(tmp_path, change, made.old_root):
        with trial.told():
            try:
                assert read(Warehouse(ReaderFiles(str(root)), change.layout)) in (made.old, made.new)
            except WarehouseError as error:
                if "cut off half-way" not in str(error):
                    raise
            assert read(open_warehouse(root, layout=change.layout)) in (made.old, made.new)
            check_repaired(root, change, made)
        assert not any(name.startswith("exchange") for name in trial.steps)
