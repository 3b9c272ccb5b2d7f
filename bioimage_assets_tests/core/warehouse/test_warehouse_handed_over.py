"""A root that somebody hands over is data: whatever its journal and manifest say, nothing outside of it is touched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bioimage_assets.core.errors import BioimageError, WarehouseError
from bioimage_assets.core.warehouse.changes.change_record import (
    MAX_RECORD_BYTES,
    MovesRecord,
    TableRecord,
    parse_record,
)
from bioimage_assets.core.warehouse.changes.journal import ChangeJournal
from bioimage_assets.core.warehouse.convert import convert_layout
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.manifest.layout import (
    JOURNAL_NAME,
    MANIFEST_NAME,
    SCHEMAS_DIR,
    STAGING_DIR,
)
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.core.warehouse.tables import cells, generation
from bioimage_assets_tests.core.warehouse.whole_manifest import rewrite_whole

WORK = "commit-" + "0" * 32
PLATES = ("s/A", "s/B")


@pytest.fixture(scope="module")
def good_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("given") / "root"
    for plate in PLATES:
        open_warehouse(root).replace_partitions("joined_profiles", cells(plate), [plate])
    return root


@pytest.fixture
def given_root(good_root, tmp_path) -> Path:
    """A root beside the reader's own files, and files that its giver would like to put in their place."""
    return lay_out(good_root, tmp_path)


def lay_out(good_root: Path, folder: Path) -> Path:
    root = folder / "root"
    shutil.copytree(good_root, root)
    (folder / "precious").mkdir()
    (folder / "precious/thesis.txt").write_text("mine")
    (folder / "precious/deep").mkdir()
    (folder / "precious/deep/cells.parquet").write_text("mine, too")
    work = root / STAGING_DIR / WORK
    work.mkdir(parents=True)
    (work / "evil.txt").write_text("THEIRS")
    (work / "put-00000").write_text("THEIRS")
    return root


def outside(root: Path) -> dict[str, str]:
    folder = root.parent / "precious"
    return {
        str(p.relative_to(folder)): p.read_text() if p.is_file() else "" for p in sorted(folder.rglob("*"))
    }


def look(root: Path) -> None:
    """Everything that only looks, and then what writes."""
    for door in (
        lambda: validate_warehouse_manifest(root),
        lambda: open_warehouse(root).read("joined_profiles"),
        lambda: open_warehouse(root).replace_partitions("joined_profiles", generation("s/A", 1, 3), ["s/A"]),
        lambda: maintain_warehouse(root),
    ):
        try:
            door()
        except BioimageError:
            continue


def change(**words: object) -> dict[str, object]:
    return {"folder": "joined_profiles", "entry": None, "puts": {}, "drops": [], "work": WORK, **words}


def orders(precious: Path) -> Iterator[tuple[str, object]]:
    absolute = str(precious)
    yield "absolute work folder", change(work=absolute)
    yield "relative work folder", change(work="../../../precious")
    yield "work folder that is all", change(work=".")
    yield "work folder of a table", change(work="../../joined_profiles")
    yield "drops above", change(folder="../precious", drops=["thesis.txt"])
    yield (
        "drops with a path",
        change(drops=["../../precious/thesis.txt", "../../precious/deep/cells.parquet"]),
    )
    yield "absolute drops", change(drops=[f"{absolute}/deep/cells.parquet"])
    yield "puts above", change(folder="../precious", puts={"thesis.txt": "evil.txt"})
    yield "puts under a path", change(puts={"../../precious/deep/cells.parquet": "put-00000"})
    yield "puts from outside", change(puts={"x.parquet": "../../../../precious/deep/cells.parquet"})
    yield "puts from an absolute path", change(puts={"x.parquet": f"{absolute}/deep/cells.parquet"})
    yield "appears above", change(folder="../precious/new", appears="../precious/new")
    yield "appears elsewhere", change(appears="../precious")
    yield "exchange above", change(folder="../precious", exchange=precious.stat().st_ino)
    yield "absolute folder", change(folder=absolute, drops=["thesis.txt"])
    yield "internal folder", change(folder="_warehouse", drops=["x.parquet"])
    yield "moves out", {"moves": [["joined_profiles", "../precious/taken", 1]], "work": WORK}
    yield "moves in", {"moves": [["../precious", "joined_profiles", precious.stat().st_ino]], "work": WORK}
    yield (
        "moves from an absolute path",
        {"moves": [[absolute, "taken", precious.stat().st_ino]], "work": WORK},
    )
    yield "moves in a work folder outside", {"moves": [], "work": "../../../precious"}
    yield "a name of nul", change(drops=["a\0.parquet"])
    yield "backslashes", change(folder="..\\precious", drops=["..\\thesis.parquet"])
    yield "an entry of another table", change(entry={"table_name": "image_assets", "role": "x"})


NAMES = [name for name, _ in orders(Path(__file__).parent)]


@pytest.mark.parametrize("name", NAMES)
def test_no_journal_reaches_out_of_its_root(given_root, name):
    order = dict(orders(given_root.parent / "precious"))[name]
    before = outside(given_root)
    (given_root / JOURNAL_NAME).write_text(json.dumps(order))
    look(given_root)
    assert outside(given_root) == before
    # The order is no change of this project: it is dropped, and the root serves its rows.
    assert not (given_root / JOURNAL_NAME).exists()
    assert open_warehouse(given_root).read("joined_profiles").num_rows == 6


NO_CHANGES = [
    [], None, 7, "x", {}, {"work": 7}, change(puts=[]), change(drops={}), change(folder=None), change(entry=[1]),
    change(exchange="7"), change(exchange=True), {"moves": 3, "work": WORK}, {"moves": [[1]], "work": WORK},
]  # fmt: skip


@pytest.mark.parametrize("text", ["[" * 5000, *map(json.dumps, NO_CHANGES)], ids=range(1 + len(NO_CHANGES)))
def test_json_that_is_no_change_is_dropped_like_a_broken_journal(given_root, text):
    (given_root / JOURNAL_NAME).write_text(text)
    assert validate_warehouse_manifest(given_root).is_valid
    assert not (given_root / JOURNAL_NAME).exists()


def test_a_journal_of_any_other_kind_blocks_nobody(given_root):
    journal = given_root / JOURNAL_NAME
    os.mkfifo(journal)
    assert open_warehouse(given_root).read("joined_profiles").num_rows == 6
    open_warehouse(given_root).replace_partitions("joined_profiles", generation("s/A", 1, 3), ["s/A"])
    assert not journal.exists()
    journal.symlink_to(given_root.parent / "precious/thesis.txt")
    assert open_warehouse(given_root).read("joined_profiles").num_rows == 6
    assert not journal.is_symlink()
    with journal.open("wb") as stream:
        stream.truncate(MAX_RECORD_BYTES + 1)
    assert open_warehouse(given_root).read("joined_profiles").num_rows == 6
    assert outside(given_root)["thesis.txt"] == "mine"


def test_a_manifest_that_is_a_pipe_is_refused_without_waiting(given_root):
    (given_root / MANIFEST_NAME).unlink()
    os.mkfifo(given_root / MANIFEST_NAME)
    with pytest.raises(WarehouseError, match="no regular file"):
        open_warehouse(given_root).read("joined_profiles")


@pytest.mark.parametrize("link", ["joined_profiles", "_warehouse", STAGING_DIR, SCHEMAS_DIR])
def test_a_change_goes_through_no_link(given_root, link):
    """Staging folders of dead writers are removed: through a link, the reader's own folders would be."""
    target = given_root / link
    moved = given_root.parent / "precious" / "moved"
    shutil.move(target, moved)
    target.symlink_to(moved)
    before = outside_names(given_root)
    with pytest.raises(WarehouseError, match="is a link"):
        open_warehouse(given_root).replace_partitions("joined_profiles", generation("s/A", 1, 3), ["s/A"])
    assert outside_names(given_root) == before


def test_a_recorded_change_of_a_linked_folder_touches_nothing(given_root):
    folder = given_root / "joined_profiles"
    shutil.move(folder, given_root.parent / "precious/moved")
    folder.symlink_to(given_root.parent / "precious/moved")
    names = sorted(path.name for path in folder.iterdir())
    (given_root / JOURNAL_NAME).write_text(json.dumps(change(drops=names, puts={names[0]: "put-00000"})))
    before = outside_names(given_root)
    with pytest.raises(WarehouseError, match="is a link"):
        open_warehouse(given_root)
    assert outside_names(given_root) == before


def outside_names(root: Path) -> list[str]:
    return sorted(str(path) for path in (root.parent / "precious").rglob("*"))


def test_staging_holds_only_what_writers_make(given_root):
    """Folders of other names are nobody's leftovers."""
    other = given_root / STAGING_DIR / "photos"
    other.mkdir()
    (other / "cat.jpg").write_text("meow")
    linked = given_root / STAGING_DIR / ("a" * 32)
    linked.symlink_to(given_root.parent / "precious")
    dead = given_root / STAGING_DIR / ("b" * 32)
    dead.mkdir()
    maintain_warehouse(given_root)
    assert (other / "cat.jpg").exists()
    assert outside(given_root)["thesis.txt"] == "mine"
    assert not dead.exists()


def rewrite_manifest(root: Path, edit) -> None:
    rewrite_whole(root, lambda content: edit(content["tables"][0]))


@pytest.mark.parametrize(
    "name", ["../../precious/deep/cells.parquet", "../precious/thesis.txt", "..", "a/b.parquet"]
)
def test_files_that_a_manifest_names_outside_of_a_table_are_never_touched(given_root, name):
    def edit(table):
        table["partitions"]["s/A"]["files"] += [name, str(given_root.parent / "precious/deep/cells.parquet")]

    rewrite_manifest(given_root, edit)
    before = outside(given_root)
    open_warehouse(given_root).replace_partitions("joined_profiles", generation("s/A", 1, 3), ["s/A"])
    open_warehouse(given_root).remove_partitions("joined_profiles", ["s/B"])
    assert outside(given_root) == before
    assert open_warehouse(given_root).read("joined_profiles").num_rows == 3
    assert validate_warehouse_manifest(given_root).is_valid


@pytest.mark.parametrize(
    "path", ["../precious/schema.parquet", "{absolute}", f"{SCHEMAS_DIR}/../../joined_profiles/x.parquet"]
)
def test_a_schema_outside_of_the_root_is_not_read(given_root, path):
    elsewhere = given_root.parent / "precious/schema.parquet"
    pq.write_table(pa.table({"secret": ["x"]}), elsewhere)
    rewrite_manifest(given_root, lambda table: table.update(schema_file=path.format(absolute=elsewhere)))
    assert "secret" not in open_warehouse(given_root).schema("joined_profiles").names
    assert open_warehouse(given_root).read("joined_profiles").num_rows == 6


@pytest.mark.parametrize("file_rows", [["x"], [None], [[]], [1e300], {}])
def test_counts_that_are_no_counts_are_said_and_not_raised(given_root, file_rows):
    rewrite_manifest(given_root, lambda table: table["partitions"]["s/A"].update(file_rows=file_rows))
    assert open_warehouse(given_root).read("joined_profiles", plate_keys=["s/A"]).num_rows == 3


@pytest.mark.parametrize("door", ["replace", "remove"])
def test_exchanged_files_cost_the_other_plate_no_row(given_root, door):
    """Each file lies under the other plate's name; who replaces one plate would remove the rows of the other."""
    first, second = sorted((given_root / "joined_profiles").glob("part-*.parquet"))
    first.rename(given_root / "between")
    second.rename(first)
    (given_root / "between").rename(second)
    bytes_before = (first.read_bytes(), second.read_bytes())
    warehouse = open_warehouse(given_root)
    act = {
        "replace": lambda: warehouse.replace_partitions("joined_profiles", generation("s/A", 1, 3), ["s/A"]),
        "remove": lambda: warehouse.remove_partitions("joined_profiles", ["s/A"]),
    }[door]
    with pytest.raises(WarehouseError, match=r"should hold rows of 's/A' and holds rows of 's/B'"):
        act()
    assert (first.read_bytes(), second.read_bytes()) == bytes_before
    with pytest.raises(WarehouseError, match="files were exchanged"):
        warehouse.read("joined_profiles", plate_keys=["s/A"])
    with pytest.raises(WarehouseError, match="files were exchanged"):
        warehouse.batches("joined_profiles", plate_keys=["s/A"])
    assert not validate_warehouse_manifest(given_root).is_valid


def test_exchanged_files_of_another_tool_are_told_by_their_rows(tmp_path):
    """Files without our footer: the smallest and largest key of their rows say whose they are."""
    folder = tmp_path / "joined_profiles"
    folder.mkdir()
    for plate in PLATES:
        pq.write_table(cells(plate), folder / f"{plate[-1]}.parquet")
    maintain_warehouse(tmp_path)
    (folder / "A.parquet").rename(folder / "between")
    (folder / "B.parquet").rename(folder / "A.parquet")
    (folder / "between").rename(folder / "B.parquet")
    with pytest.raises(WarehouseError, match="holds rows of 's/B'"):
        open_warehouse(tmp_path).replace_partitions("joined_profiles", generation("s/A", 1, 3), ["s/A"])
    assert open_warehouse(tmp_path).read("joined_profiles").num_rows == 6


def test_an_unreadable_part_is_replaced(given_root):
    part = sorted((given_root / "joined_profiles").glob("part-*.parquet"))[0]
    part.write_bytes(b"PAR1 cut")
    open_warehouse(given_root).replace_partitions("joined_profiles", generation("s/A", 1, 3), ["s/A"])
    assert open_warehouse(given_root).read("joined_profiles").num_rows == 6


def recorded(root: Path, monkeypatch, act) -> bytes:
    """Journal of a change whose writer stops once the change is on record."""

    def stop(self, record, work):
        (root / JOURNAL_NAME).write_bytes(record.to_bytes())
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ChangeJournal, "_record", stop)
        with pytest.raises(KeyboardInterrupt):
            act()
    return (root / JOURNAL_NAME).read_bytes()


ACTS = {
    "one file": lambda root: open_warehouse(root).replace_partitions(
        "joined_profiles", generation("s/A", 1, 3), ["s/A"]
    ),
    "two files": lambda root: open_warehouse(root).overwrite("joined_profiles", generation("s/C", 1, 3)),
    "a new table": lambda root: open_warehouse(root).replace_partitions(
        "image_quality", generation("s/A", 1, 3), ["s/A"], role="profiles"
    ),
    "a conversion": lambda root: convert_layout(root, "namespaced"),
}


@pytest.mark.parametrize("act", ACTS)
def test_what_this_project_records_is_read_back_and_finished(given_root, monkeypatch, act):
    payload = recorded(given_root, monkeypatch, lambda: ACTS[act](given_root))
    record = parse_record(payload)
    assert isinstance(record, MovesRecord if act == "a conversion" else TableRecord)
    assert record.to_bytes() == payload
    assert open_warehouse(given_root).tables()
    assert not (given_root / JOURNAL_NAME).exists()
    assert validate_warehouse_manifest(given_root).is_valid


TEXTS = st.sampled_from(
    ["..", "../precious", "../../../precious", ".", "", "/", "put-00000", "x.parquet", WORK, "next"]
)
VALUES = (
    TEXTS
    | st.none()
    | st.integers()
    | st.booleans()
    | st.lists(TEXTS, max_size=2)
    | st.dictionaries(TEXTS, TEXTS)
)


@pytest.mark.slow
@given(
    keys=st.dictionaries(
        st.sampled_from(["folder", "work", "puts", "drops", "entry", "appears", "exchange", "moves"]),
        VALUES,
        max_size=4,
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_journal_says_the_readers_files_stay(good_root, tmp_path_factory, keys):
    root = lay_out(good_root, tmp_path_factory.mktemp("any"))
    before = outside(root)
    (root / JOURNAL_NAME).write_text(json.dumps({**change(), **keys}))
    look(root)
    assert outside(root) == before
    shutil.rmtree(root.parent)
