"""Whether stored parts are there is told by one listing per table, for any number of plates, on disk and in a bucket."""

from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest

from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.lost_files import read_stored
from bioimage_assets_tests.core.warehouse.tables import cells

KEYS = [f"screen/P{i}" for i in range(20)]


@pytest.mark.parametrize("place", ["local", "bucket"])
def test_all_partitions_cost_one_listing_per_table_and_no_file_is_opened(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    warehouse = open_warehouse(tmp_path / "root" if place == "local" else f"memory://{uuid4().hex}")
    for table in ("single_cells", "joined_profiles"):
        warehouse.replace_partitions(table, {key: cells(key) for key in KEYS}, KEYS)
    kind, counted = type(warehouse.files_at), Counter()
    for name in ("list_parts", "list_versions", "open_parts", "read"):
        original = getattr(kind, name)

        def count(self, path, *rest, _name=name, _call=original):
            counted[f"{_name} {path}"] += 1
            return _call(self, path, *rest)

        monkeypatch.setattr(kind, name, count)
    monkeypatch.setattr(kind, "filesystem", lambda self: pytest.fail("a file is opened"))
    stored = read_stored(warehouse.files_at)
    assert stored.lost == {}
    assert {len(parts) for parts in stored.listed.values()} == {20}
    listed = {text: number for text, number in counted.items() if not text.startswith("read ")}
    assert listed == {"list_parts single_cells": 1, "list_parts joined_profiles": 1}
    assert sum(counted.values()) - 2 <= 6  # the manifest and the journal, before and after


@pytest.mark.parametrize("place", ["local", "bucket"])
def test_parts_that_are_gone_cut_or_grown_are_named_with_their_partition(place: str, tmp_path: Path):
    warehouse = open_warehouse(tmp_path / "root" if place == "local" else f"memory://{uuid4().hex}")
    warehouse.replace_partitions("single_cells", {key: cells(key) for key in KEYS[:4]}, KEYS[:4])
    files = warehouse.files_at
    names = {key: part.files[0] for key, part in warehouse.manifest().tables[0].partitions.items()}
    files.remove_file(f"single_cells/{names[KEYS[0]]}")
    for key, change in ((KEYS[1], lambda data: data[:-4]), (KEYS[2], lambda data: data + b"more")):
        path = f"single_cells/{names[key]}"
        changed = tmp_path / "changed"
        changed.write_bytes(change(files.read(path)[0]))
        files.replace_file(path, changed)
    lost = read_stored(files).lost
    assert {key: files_[0].problem.split()[0] for (_, key), files_ in lost.items()} == {
        KEYS[0]: "is",
        KEYS[1]: "has",
        KEYS[2]: "has",
    }
    assert all(files_[0].location.endswith(names[key]) for (_, key), files_ in lost.items())
    warehouse.replace_partitions("single_cells", {key: cells(key) for key in KEYS[:3]}, KEYS[:3])
    assert read_stored(files).lost == {}


@pytest.mark.parametrize("place", ["local", "memory"])
def test_a_look_at_some_partitions_tells_the_same_of_them_and_nothing_of_others(tmp_path, place):
    root = str(tmp_path / "root") if place == "local" else f"memory://{uuid4().hex}/root"
    warehouse = open_warehouse(root)
    keys = [f"s/{letter}" for letter in "ABCDE"]
    warehouse.replace_partitions("single_cells", {key: cells(key) for key in keys}, keys)
    files = warehouse.files_at
    for number in range(3):
        if number:  # first all is there, then a file is missing, then another one is cut
            name = warehouse.listed("single_cells").partitions[keys[number]].files[0]
            files.remove_file(f"single_cells/{name}")
        if number == 2:
            files.write_text(f"single_cells/{name}", "cut")
        whole = read_stored(files)
        for chosen in (keys[:1], keys[1:3], [*keys[2:4], "s/none"]):
            some = read_stored(files, ["single_cells"], lambda _, chosen=chosen: chosen)
            assert dict(some.listed["single_cells"]) == {
                key: part for key, part in whole.listed["single_cells"].items() if key in chosen
            }
            assert some.lost == {at: found for at, found in whole.lost.items() if at[1] in chosen}
            assert some.counts == {"single_cells": 5}
