"""`partitions remove`: it asks, everything of the plate goes, and it says what is still on disk and comes back."""

import io
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.storage.page_index import write_index
from bioimage_assets.core.storage.pages import locate_page, write_page
from bioimage_assets.core.storage.plate_files import locate_files
from bioimage_assets.core.storage.plate_table import Page
from bioimage_assets.core.storage.step_failures import store_failures
from bioimage_assets.core.storage.step_findings import store_findings
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.sensors.store_events import build_taken_event, read_version
from bioimage_assets_tests.cli.conftest import CELLS, Terminal


@pytest.fixture
def stored(measured_plate):
    """A dataset of two plates, P1 on disk and P2 gone from it, with rows, findings, pages and a virtual plate each."""
    found = ProjectResource()
    warehouse = found.warehouse()
    for key in ("scr/P1", "scr/P2", "scr"):
        name = "joined_profiles" if "/" in key else "pycytominer_consensus"
        rows = pa.table({"plate_key": [key] * 3, "join_rule": ["image-id"] * 3})
        warehouse.replace_partitions(name, rows, [key], source_type="test", source_ref="test")
        store_findings(warehouse, key, name, [Finding("odd", "warning", "A01", "Odd.")], "run")
        page = Page("<p>page</p>", {"cells": b"png"}, frozenset({"cells"}))
        write_page(found.settings.reports_dir, key, page, "f1", "run")
    write_index(found.settings.reports_dir)
    for key in ("scr/P1", "scr/P2"):
        place = measured_plate / locate_files(found.settings.virtual_plates_uri, key, ".json")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("{}")
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("plates", ["scr/P1", "scr/P2"])
        instance.add_dynamic_partitions("datasets", ["scr"])
        (source,) = found.discover()[0]
        instance.report_runless_asset_event(build_taken_event(source, source.signature))
    return measured_plate


def files_of(project: Path, word: str) -> list[str]:
    """Files that are named after a plate or hold its key; the watched root and what upkeep clears away aside."""
    aside = {"incoming", "_warehouse"}
    found = [path for path in (project / "data").rglob("*") if path.is_file() and not aside & {*path.parts}]
    return [str(path) for path in found if word in path.read_text(errors="replace") or word in str(path)]


@pytest.mark.slow
def test_it_asks_at_a_terminal_and_removes_nothing_without_a_yes(stored, run, monkeypatch):
    for answers, code in ((Terminal("n\n"), 1), (Terminal(""), 2), (io.StringIO("y\n"), 2)):
        monkeypatch.setattr("sys.stdin", answers)
        outcome = run("partitions", "remove", "scr/P2")
        assert outcome.code == code
        assert "Would remove scr/P2: 3 rows in 1 table, its report page and its partition" in outcome.err
        assert ("--yes" in outcome.err) == (code == 2)
        assert files_of(stored, "P2") != []
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert run("partitions", "remove", "scr/P2").code == 0
    assert files_of(stored, "P2") == []


@pytest.mark.slow
def test_everything_of_a_plate_goes_and_one_that_is_still_on_disk_is_said_to_come_back(stored, run):
    (measured,) = (stored / "data" / "incoming").rglob("P1.csv")
    would = run("partitions", "remove", "scr/P1", "--dry-run", "--json").json
    assert (would["removed"], files_of(stored, "P1") != []) == ([], True)
    outcome = run("partitions", "remove", "scr/P1", "--yes")
    assert outcome.code == 0
    assert f"scr/P1 is still on disk ({measured}): it comes back with the next" in outcome.out
    assert files_of(stored, "P1") == []
    assert files_of(stored, "P2") != []
    assert measured.read_text() == CELLS
    assert validate_warehouse_manifest(stored / "data" / "warehouse", deep=True).to_dict()["errors"] == []
    with dg.DagsterInstance.get() as instance:
        assert read_version(instance, "scr/P1") == "absent"
        assert instance.get_dynamic_partitions("datasets") == ["scr"]
    assert run("status", "--json").json["plates"][0]["state"] == "to be built"
    gone = run("partitions", "remove", "scr/P2", "--yes")
    assert "on disk" not in gone.out


@pytest.mark.slow
def test_a_dataset_goes_with_its_last_plate_and_the_question_names_it(stored, run):
    reports = ProjectResource().settings.reports_dir
    assert "the dataset" not in run("partitions", "remove", "scr/P1", "--dry-run").out
    would = run("partitions", "remove", "scr/P1", "scr/P2", "--dry-run")
    assert (
        "Would remove the dataset scr, which has no other plate: 3 rows in 1 table, its report page and its partition in Dagster."
        in would.out
    )
    assert run("partitions", "remove", "scr/P1", "scr/P2", "--yes").code == 0
    assert not locate_page(reports, "scr").exists()
    assert "scr" not in (reports / "index.html").read_text().partition("<body>")[2]
    assert ProjectResource().warehouse().partitions("pycytominer_consensus") == ()
    with dg.DagsterInstance.get() as instance:
        assert list(instance.get_dynamic_partitions("datasets")) == []


@pytest.mark.slow
def test_a_name_that_is_not_known_removes_nothing_and_says_which_may_be_meant(stored, run):
    meant = {"scr/P22": "Did you mean 'scr/P2'", "P2": "DATASET/PLATE: scr/P2.", "scr": "scr/P1, scr/P2."}
    for name, words in meant.items():
        outcome = run("partitions", "remove", name, "scr/P1", "--yes")
        assert outcome.code == 1
        assert f"Nothing is stored or registered as {name!r}; nothing was removed." in outcome.out
        assert words in outcome.out
        assert files_of(stored, "P1") != []


@pytest.mark.slow
def test_a_call_that_was_stopped_can_be_made_again(stored, run, monkeypatch):
    forgotten = dg.DagsterInstance.delete_dynamic_partition

    def stop_at_the_last(instance, name, key):
        if key == "scr/P2":
            raise KeyboardInterrupt
        forgotten(instance, name, key)

    monkeypatch.setattr(dg.DagsterInstance, "delete_dynamic_partition", stop_at_the_last)
    assert run("partitions", "remove", "scr/P1", "scr/P2", "--yes").code == 130
    assert ProjectResource().warehouse().partitions("pycytominer_consensus") == ()
    monkeypatch.setattr(dg.DagsterInstance, "delete_dynamic_partition", forgotten)
    again = run("partitions", "remove", "scr/P2", "--yes")
    assert (again.code, again.out) == (0, "Removed scr/P2: its partition in Dagster.\n")
    assert run("partitions", "list", "--json").json == {"plates": []}


@pytest.mark.slow
def test_a_plate_of_which_a_failure_alone_is_kept_can_be_forgotten(stored, run):
    store_failures(ProjectResource().warehouse(), "measure_plates", {"other/P9": "No Parquet."}, "run")
    outcome = run("partitions", "remove", "other/P9", "--yes")
    assert (outcome.code, outcome.out) == (0, "Removed other/P9: what its steps noted.\n")
    assert files_of(stored, "P9") == []
