"""`tables drop`: a table goes with all that is its own, after a question, and nothing else does."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from bioimage_assets.core.catalog.history import list_snapshots
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.cli.conftest import Run, Terminal

NAMESPACE = "bioimage.cytotable"


def rows(key: str = "screen/P1") -> pa.Table:
    return pa.table({"plate_key": [key] * 3, "v": [1, 2, 3]})


def fill_catalog(*names: str) -> None:
    for name in names:
        for key in ("screen/P1", "screen/P2"):
            replace_partitions(open_catalog("embedded"), f"{NAMESPACE}.{name}", rows(key), [key])


def fill_warehouse(root: Path, *names: str) -> None:
    for name in names:
        for key in ("screen/P1", "screen/P2"):
            open_warehouse(root).replace_partitions(name, rows(key), [key], role="reports")


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and "catalog.db" not in str(path)}


def test_a_catalog_table_goes_with_its_files_and_says_what_went(run: Run, project: Path) -> None:
    fill_catalog("kept")
    kept = files_below(project)
    fill_catalog("gone")
    own = files_below(project) - kept
    would = run("tables", "drop", "gone", "--dry-run", "--json").json["dropped"]
    assert files_below(project) == kept | own
    done = run("tables", "drop", "gone", "--yes", "--json")
    assert done.code == 0
    assert done.json["dropped"] == {**would, "is_dry_run": False}
    assert (would["row_count"], would["snapshot_count"], would["file_count"]) == (6, 2, len(own))
    assert would["bytes"] > 0
    assert would["location"].endswith("/gone")
    assert files_below(project) == kept
    assert len(list_snapshots(open_catalog("embedded"), f"{NAMESPACE}.kept")) == 2
    again = run("tables", "drop", "gone", "--yes")
    assert (again.code, again.out) == (
        1, "There is no table 'gone' in catalog or warehouse; nothing was removed.\n",
    )  # fmt: skip


def test_a_warehouse_table_goes_with_its_entry_and_the_root_stays_valid(run: Run, project: Path) -> None:
    root = project / "data" / "warehouse"
    fill_warehouse(root, "kept", "gone")
    done = run("tables", "drop", "gone", "--yes")
    assert done.code == 0
    assert "Removed the warehouse table gone: 6 rows, 2 files of" in done.out
    assert open_warehouse(root).tables() == ("kept",)
    assert not (root / "gone").exists()
    assert not [path for path in files_below(root) if "gone" in path.name or "gone" in path.parent.name]
    assert "gone" not in (root / "views.sql").read_text()
    assert validate_warehouse_manifest(root, deep=True).to_dict()["errors"] == []
    assert run("tables", "drop", "gone", "--yes").code == 1


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 2)], ids=["yes", "no", "nobody"])
def test_it_asks_and_removes_nothing_without_a_yes(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    fill_catalog("asked")
    before = files_below(project)
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    outcome = run("tables", "drop", "asked")
    assert outcome.code == code
    assert "6 rows, 2 snapshots" in outcome.err
    assert (files_below(project) == before) == (code != 0)
    assert ("--yes" in outcome.err) == (code == 2)


def test_a_name_that_catalog_and_warehouse_share_has_to_be_told_apart(run: Run, project: Path) -> None:
    fill_catalog("both")
    fill_warehouse(project / "data" / "warehouse", "both")
    refused = run("tables", "drop", "both", "--yes")
    assert refused.code == 2
    assert "--only" in refused.err
    assert run("tables", "drop", "both", "--yes", "--only", "warehouse").code == 0
    listed = json.loads(run("tables", "--json").out)["tables"]
    assert [(table["where"], table["table"]) for table in listed] == [("catalog", "both")]


def test_files_that_are_not_the_table_s_own_stay(run: Run, project: Path) -> None:
    fill_catalog("renamed", "other")
    catalog = open_catalog("embedded")
    location = Path(catalog.load_table(f"{NAMESPACE}.renamed").location().removeprefix("file://"))
    catalog.rename_table(f"{NAMESPACE}.renamed", f"{NAMESPACE}.first")
    fill_catalog("renamed")  # in the same folder
    elsewhere = project / "elsewhere.parquet"
    elsewhere.write_bytes(b"x")
    (location / "data" / "link.parquet").symlink_to(elsewhere)
    (location / "notes.txt").write_text("by hand")
    assert run("tables", "drop", "first", "--yes").code == 0
    assert elsewhere.exists()
    assert (location / "notes.txt").exists()
    assert run("query", "SELECT count(*) AS n FROM renamed", "--json").json == [{"n": 6}]
