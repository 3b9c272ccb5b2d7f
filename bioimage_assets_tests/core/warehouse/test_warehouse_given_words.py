"""Words of a root that somebody hands over (footers, names, counts, records) cost no row, no other file and no open."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from hashlib import blake2b
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bioimage_assets.core.errors import BioimageError, UsageError, WarehouseError
from bioimage_assets.core.warehouse.convert import convert_layout
from bioimage_assets.core.warehouse.files.bucket_files import object_files
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.manifest.layout import (
    JOURNAL_NAME,
    MANIFEST_NAME,
    SCHEMAS_DIR,
    STAGING_DIR,
    build_part_name,
)
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.core.warehouse.tables import cells, generation
from bioimage_assets_tests.core.warehouse.test_warehouse_handed_over import (
    ACTS,
    PLATES,
    WORK,
    change,
    lay_out,
    recorded,
    rewrite_manifest,
)
from bioimage_assets_tests.core.warehouse.whole_manifest import read_whole

TABLE = "joined_profiles"
A, B = PLATES


@pytest.fixture(scope="module")
def good_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("given") / "root"
    for plate in PLATES:
        open_warehouse(root).replace_partitions(TABLE, cells(plate), [plate])
    return root


@pytest.fixture
def given_root(good_root, tmp_path) -> Path:
    return lay_out(good_root, tmp_path)


def replace_first(root: Path | str) -> None:
    open_warehouse(root).replace_partitions(TABLE, generation(A, 1, 5), [A])


def rows_by_plate(root: Path | str) -> Counter[str]:
    return Counter(open_warehouse(root).read(TABLE).column("plate_key").to_pylist())


FOOTERS = [
    b"{no json", b"[]", b"{}", b'{"role": 5, "join_keys": 5, "partition": 5, "table_name": [], "fingerprint": {}}',
    b'{"role": "joined_profiles", "partition": ["s/A"], "partition_column": [2]}', b'{"role": "joined_profiles", "empty_columns": [[1]]}',
    b'{"role": "joined_profiles", "empty_columns": 3, "join_keys": {"a": 1}}',
]  # fmt: skip


@pytest.mark.parametrize("words", FOOTERS)
def test_a_footer_of_any_kind_is_that_of_another_tool(given_root, words):
    given = cells("s/C").replace_schema_metadata({b"bioimage_assets": words})
    pq.write_table(given, given_root / TABLE / "given.parquet")
    assert not validate_warehouse_manifest(given_root).is_valid  # the manifest does not name the file
    assert rows_by_plate(given_root) == {A: 3, B: 3, "s/C": 3}
    replace_first(given_root)
    assert not maintain_warehouse(given_root).problems
    assert rows_by_plate(given_root) == {A: 5, B: 3, "s/C": 3}
    assert validate_warehouse_manifest(given_root).is_valid


def exchange_names(root: Path) -> None:
    """Files and manifest agree; each plate only has the file name that the other one would get."""
    first, second = (root / TABLE / build_part_name(key) for key in PLATES)
    first.rename(root / "between")
    second.rename(first)
    (root / "between").rename(second)

    def edit(table):
        parts = table["partitions"]
        parts[A]["files"], parts[B]["files"] = parts[B]["files"], parts[A]["files"]

    rewrite_manifest(root, edit)


def take_name(root: Path) -> None:
    """The only plate of the table lies under the name that a plate to come would get."""
    (root / TABLE / build_part_name(A)).unlink()
    (root / TABLE / build_part_name(B)).rename(root / TABLE / build_part_name(A))

    def edit(table):
        del table["partitions"][A]
        table["partitions"][B]["files"] = [build_part_name(A)]

    rewrite_manifest(root, edit)


@pytest.mark.parametrize("prepare", [exchange_names, take_name])
@pytest.mark.parametrize("is_local", [True, False])
def test_a_file_name_that_another_plate_uses_is_not_taken_from_it(given_root, prepare, is_local):
    prepare(given_root)
    root: Path | str = given_root
    if not is_local:
        root = f"memory://{given_root.name}-{prepare.__name__}"
        fsspec.filesystem("memory").put(f"{given_root}/", f"{root}/", recursive=True)
    replace_first(root)
    assert rows_by_plate(root) == {A: 5, B: 3}
    replace_first(root)
    assert rows_by_plate(root) == {A: 5, B: 3}
    assert not validate_warehouse_manifest(root).errors


@pytest.mark.parametrize("is_local", [True, False])
def test_a_table_whose_name_leads_out_of_the_root_is_not_changed(given_root, is_local):
    elsewhere = given_root.parent / "precious/cells.parquet"
    pq.write_table(cells(A), elsewhere)
    content = read_whole(given_root)
    own = content["tables"][0]
    partitions = {A: {"files": ["cells.parquet"], "rows": 3}}
    content["tables"].append(
        {**own, "table_name": "../precious", "partitions": partitions, "gone_files": {"x": "1"}}
    )
    (given_root / MANIFEST_NAME).write_text(json.dumps(content))
    root, before = str(given_root), elsewhere.read_bytes()
    memory = fsspec.filesystem("memory")
    if not is_local:
        memory.put(f"{given_root.parent}/", f"memory://leads-out-{given_root.parent.name}/", recursive=True)
        root = f"memory://leads-out-{given_root.parent.name}/root"
    for act in (
        lambda: open_warehouse(root).remove_partitions("../precious", [A]),
        lambda: open_warehouse(root).replace_partitions("../precious", cells(A), [A], role="profiles"),
        lambda: open_warehouse(root).overwrite("../precious", cells(A), role="profiles"),
    ):
        with pytest.raises(BioimageError):
            act()
    assert not validate_warehouse_manifest(root).is_valid
    maintain_warehouse(root)
    assert rows_by_plate(root) == {A: 3, B: 3}
    kept = elsewhere if is_local else None
    found = (
        kept.read_bytes() if kept else memory.cat_file(f"{root.removesuffix('/root')}/precious/cells.parquet")
    )
    assert found == before


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "a//b", "..\\x", "a\0b", "."])
def test_a_path_that_leads_out_of_a_bucket_root_is_never_asked_for(path):
    files = object_files("memory://names/root", {})
    for act in (
        files.read,
        files.remove_file,
        files.list_parts,
        lambda path: files.replace_file(path, Path("x")),
    ):
        with pytest.raises(WarehouseError, match="no path below the warehouse root"):
            act(path)


@pytest.mark.parametrize("number", [2**64 - 1, 2**63, 2**200, -1, 1e300, "7", None, [], {}])
def test_counts_that_nobody_can_have_counted_stop_no_write(given_root, number):
    content = read_whole(given_root)
    content["generation"] = number
    content["tables"][0] |= {"row_count": number, "snapshot_id": number}
    content["tables"][0]["partitions"][B] |= {"rows": number, "file_rows": [number, number]}
    (given_root / MANIFEST_NAME).write_text(json.dumps(content))
    assert rows_by_plate(given_root) == {A: 3, B: 3}
    replace_first(given_root)
    maintain_warehouse(given_root)
    assert validate_warehouse_manifest(given_root).is_valid
    assert open_warehouse(given_root).row_count(TABLE) == 8


def drop_a_folder(root: Path) -> dict[str, object]:
    (root / TABLE / "folder.parquet").mkdir()
    return change(drops=["folder.parquet"])


def put_over_a_folder(root: Path) -> dict[str, object]:
    (root / TABLE / "folder.parquet").mkdir()
    return change(puts={"folder.parquet": "put-00000"})


def put_a_folder(root: Path) -> dict[str, object]:
    (root / STAGING_DIR / WORK / "put-00001").mkdir()
    return change(puts={"x.parquet": "put-00001"})


def table_below_a_file(root: Path) -> dict[str, object]:
    (root / "file").write_text("x")
    return change(folder="file/table", drops=["x.parquet"])


def table_that_is_a_file(root: Path) -> dict[str, object]:
    (root / "file").write_text("x")
    return change(folder="file", drops=["x.parquet"])


def next_that_is_a_file(root: Path) -> dict[str, object]:
    (root / STAGING_DIR / WORK / "next").write_text("x")
    return change(appears=TABLE)


def work_that_is_a_file(root: Path) -> dict[str, object]:
    shutil.rmtree(root / STAGING_DIR / WORK)
    (root / STAGING_DIR / WORK).write_text("x")
    return change()


def moves_without_work(root: Path) -> dict[str, object]:
    shutil.rmtree(root / STAGING_DIR / WORK)
    return {"moves": [[TABLE, f"profiles/{TABLE}", 1]], "work": WORK}


def name_of_many_letters(root: Path) -> dict[str, object]:
    return change(folder="/".join(["x" * 250] * 20), drops=["x.parquet"])


IMPOSSIBLE = [
    drop_a_folder, put_over_a_folder, put_a_folder, table_below_a_file, table_that_is_a_file, next_that_is_a_file,
    work_that_is_a_file, moves_without_work, name_of_many_letters,
]  # fmt: skip


@pytest.mark.parametrize("prepare", IMPOSSIBLE)
def test_a_change_that_can_never_happen_is_dropped_and_the_root_opens(given_root, prepare):
    (given_root / JOURNAL_NAME).write_text(json.dumps(prepare(given_root)))
    assert rows_by_plate(given_root) == {A: 3, B: 3}
    assert not (given_root / JOURNAL_NAME).exists()
    replace_first(given_root)
    assert rows_by_plate(given_root) == {A: 5, B: 3}


def test_folders_in_place_of_own_files_stop_nobody(given_root):
    (given_root / JOURNAL_NAME / "deep").mkdir(parents=True)
    (given_root / JOURNAL_NAME / "deep/out").symlink_to(given_root.parent / "precious")
    (given_root / "_warehouse/views.sql.x").mkdir()
    assert rows_by_plate(given_root) == {A: 3, B: 3}
    replace_first(given_root)
    assert validate_warehouse_manifest(given_root).is_valid
    assert (given_root.parent / "precious/thesis.txt").read_text() == "mine"


def test_a_conversion_cut_off_in_a_root_that_was_copied_is_finished(given_root, monkeypatch, tmp_path):
    """In a copy every folder has another inode, and its tables may not stay behind when the manifest switches."""
    recorded(given_root, monkeypatch, lambda: convert_layout(given_root, "namespaced"))
    copied = tmp_path / "copied"
    shutil.copytree(given_root, copied)
    assert rows_by_plate(copied) == {A: 3, B: 3}
    assert open_warehouse(copied).tables() == (f"profiles.{TABLE}",)
    assert (copied / "profiles" / TABLE).is_dir()
    assert validate_warehouse_manifest(copied).is_valid


def test_exchanged_files_without_statistics_are_told_by_their_rows(tmp_path):
    folder = tmp_path / TABLE
    folder.mkdir()
    for plate in PLATES:
        pq.write_table(cells(plate), folder / f"{plate[-1]}.parquet", write_statistics=False)
    maintain_warehouse(tmp_path)
    (folder / "A.parquet").rename(folder / "between")
    (folder / "B.parquet").rename(folder / "A.parquet")
    (folder / "between").rename(folder / "B.parquet")
    with pytest.raises(WarehouseError, match="holds rows of 's/B'"):
        replace_first(tmp_path)
    assert rows_by_plate(tmp_path) == {A: 3, B: 3}


def test_a_name_that_no_change_may_have_is_refused_before_anything_changes(given_root):
    """Whoever opened the root after a kill would drop such a record, and the change would be half done."""
    odd = given_root / TABLE / "back\\slash.parquet"
    pq.write_table(cells("s/C"), odd)
    with pytest.raises(WarehouseError, match="whoever opens the root would not take"):
        open_warehouse(given_root).overwrite(TABLE, cells(A))
    assert not (given_root / JOURNAL_NAME).exists()
    odd.rename(odd.with_name("no-slash.parquet"))
    assert open_warehouse(given_root).overwrite(TABLE, cells(A)).changed


def test_a_name_that_no_folder_can_have_is_said_where_it_is_written(given_root):
    with pytest.raises(UsageError):
        open_warehouse(given_root).overwrite("../precious", cells(A), role="profiles")


def sentinel(root: Path) -> dict[str, bytes]:
    """All that lies beside a root, byte by byte."""
    beside = (path for path in root.parent.rglob("*") if root not in (path, *path.parents))
    return {
        str(path): blake2b(path.read_bytes()).digest() if path.is_file() else b""
        for path in sorted(beside)
        if path.name != "root"
    }


NAMES = st.sampled_from(
    [
        "..", ".", "", "/", "../precious", "../precious/deep", "../../precious/thesis.txt", "..%2fprecious", "C:\\x",
        "_warehouse", STAGING_DIR, SCHEMAS_DIR, "next", "put-00000", WORK, "thesis.txt", "cells.parquet", TABLE,
        "../../precious/deep/cells.parquet", "a\0b", "\u202e", "x" * 300, MANIFEST_NAME, "image_assets", "s/A",
    ]
)  # fmt: skip
VALUES = st.recursive(
    NAMES | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def mutated(draw: st.DrawFn, document: object) -> object:
    """A valid document with some of its keys, names and values exchanged, at any depth."""
    if draw(st.integers(0, 9)) == 0:
        return draw(VALUES)
    if isinstance(document, dict):
        keys = {key: draw(NAMES) if draw(st.integers(0, 19)) == 0 else key for key in document}
        return {keys[key]: draw(mutated(value)) for key, value in document.items()}
    if isinstance(document, list) and len(document) < 4:
        more = [draw(NAMES)] if draw(st.integers(0, 3)) == 0 else []
        return [draw(mutated(value)) for value in document] + more
    return document


def use(root: Path) -> None:
    """Look, read, replace, remove, convert and maintain; what is not understood is said in the project's words."""
    for act in (
        lambda: validate_warehouse_manifest(root),
        lambda: [open_warehouse(root).read(name) for name in open_warehouse(root).tables()],
        lambda: replace_first(root),
        lambda: [
            open_warehouse(root).remove_partitions(name, [B, "s/A", ".."])
            for name in open_warehouse(root).tables()
        ],
        lambda: convert_layout(root, "namespaced"),
        lambda: maintain_warehouse(root),
    ):
        try:
            act()
        except BioimageError:
            continue


@pytest.fixture(scope="module")
def records(good_root, tmp_path_factory) -> dict[str, Path]:
    """Roots with a valid change on record, one of each kind."""
    roots: dict[str, Path] = {}
    for act in ACTS:
        root = lay_out(good_root, tmp_path_factory.mktemp("record"))
        with pytest.MonkeyPatch.context() as patch:
            recorded(root, patch, lambda act=act, root=root: ACTS[act](root))
        roots[act] = root
    return roots


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_becomes_of_a_valid_record_or_manifest_nothing_outside_changes(
    records, tmp_path_factory, data
):
    given = records[data.draw(st.sampled_from(sorted(records)))]
    folder = tmp_path_factory.mktemp("any")
    root = folder / "root"
    shutil.copytree(given, root, symlinks=True)
    shutil.copytree(given.parent / "precious", folder / "precious")
    before = sentinel(root)
    name = data.draw(st.sampled_from([JOURNAL_NAME, MANIFEST_NAME]))
    document = json.loads((root / name).read_text())
    (root / name).write_text(json.dumps(data.draw(mutated(document))))
    use(root)
    assert sentinel(root) == before
    shutil.rmtree(folder)
