"""What `status` says: where plates stand, what is wrong with them, why they failed, what is gone, what is not understood."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.storage.step_failures import store_failures
from bioimage_assets.core.storage.step_findings import store_findings
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.cli.conftest import CELLS

OFFSET = "Every well shows the same offset of sites, which is what CellProfiler beside OME-Zarr does, so nothing is linked."


@pytest.fixture
def plates(measured_plate):
    """One plate of measurements in the watched root."""
    return measured_plate


@pytest.fixture
def warehouse(plates):
    return ProjectResource().warehouse()


def _find(warehouse, key: str, severity: str = "error") -> None:
    found = Finding("site-offset", severity, "A01", OFFSET, setting="[join] profile_site_offset = 1")  # type: ignore[arg-type]
    store_findings(warehouse, key, "joined_profiles", [found.name_file("data/incoming/scr")], "run")


def _store_cells(warehouse, key: str, rows: int) -> None:
    cells = pa.table({"join_rule": ["image-id"] * rows})
    warehouse.replace_partitions("joined_profiles", cells, [key], source_type="test", source_ref="test")


def test_a_fresh_project_has_no_catalog_afterwards(plates, run):
    assert run("status").code == 0
    assert not (plates / "data" / "catalog").exists()


def test_the_worst_finding_is_shortened_in_the_table_and_whole_in_json(plates, warehouse, run):
    _find(warehouse, "scr/P1")
    text = run("status").out
    assert "error: site-offset: Every well shows the same offset" in text
    assert "Write [join]" not in text
    assert all(len(line) < 300 for line in text.splitlines())
    (row,) = run("status", "--json").json["plates"]
    assert row["finding"]["code"] == "site-offset"
    assert row["finding"]["message"].endswith(
        "Write [join] profile_site_offset = 1 in data/incoming/scr/dataset.toml."
    )
    assert row["failure"] is None


def test_where_codes_are_explained_is_said_where_a_code_is_shown(plates, warehouse, run):
    for severity, is_shown in (("info", False), ("warning", True)):
        _find(warehouse, "scr/P1", severity)
        outcome = run("status")
        assert ("site-offset" in outcome.out, "explain CODE" in outcome.err) == (is_shown, is_shown)


@pytest.mark.slow
def test_the_last_failure_is_said_with_its_step_until_it_is_cleared(plates, warehouse, run):
    store_failures(warehouse, "measure_plates", {"scr/P1": "Cells.csv is cut off"}, "run")
    assert "failed: measure_plates: Cells.csv is cut off" in run("status").out
    found = run("status", "--json").json
    assert found["plates"][0]["failure"] == "measure_plates: Cells.csv is cut off"
    assert found["plates"][0]["finding"] is None
    assert [group["code"] for group in found["standing"]] == ["step-failed"]


@pytest.mark.slow
def test_a_plate_that_is_gone_and_stored_says_what_is_stored_and_what_removes_it(plates, warehouse, run):
    _store_cells(warehouse, "scr/P2", 96)
    _store_cells(warehouse, "theirs/P9", 5)
    run("partitions", "add", "scr/P2")
    rows = {row["plate"]: row for row in run("status", "--json").json["plates"]}
    gone = "gone, 96 cells stored; `bioimage-assets partitions remove scr/P2`"
    assert (rows["scr/P2"]["state"], rows["scr/P2"]["note"]) == ("gone", gone)
    assert rows["theirs/P9"]["state"] == "elsewhere"
    assert gone in run("status").out
    assert run("partitions", "remove", "scr/P2", "--yes").code == 0
    assert "scr/P2" not in run("status").out


def test_a_plate_is_not_called_gone_where_its_root_could_not_be_looked_at(
    plates, warehouse, run, monkeypatch
):
    _store_cells(warehouse, "scr/P2", 96)
    run("partitions", "add", "scr/P2")
    monkeypatch.setenv("BIOIMAGE_INCOMING", f"data/incoming,{plates / 'not-mounted'}")
    rows = {row["plate"]: row for row in run("status", "--json").json["plates"]}
    assert rows["scr/P2"]["state"] == "not seen"


def test_what_is_not_understood_in_the_watched_root_is_named(plates, run):
    (plates / "data" / "incoming" / "Cells.csv").write_text(CELLS)
    (plates / "data" / "incoming" / "empty").mkdir()
    text = run("status").out
    assert "warning: file-outside-dataset: 'Cells.csv' at the top of the watched root" in text
    assert "warning: dataset-without-plates: No plate is found in the folder 'empty'" in text
    found = run("status", "--json").json["not_understood"]
    assert {finding["code"] for finding in found} == {"file-outside-dataset", "dataset-without-plates"}


@pytest.mark.parametrize("way", ["option", "environment", "file", "elsewhere"])
def test_strict_makes_an_error_exit_code_1_and_a_warning_does_not(plates, warehouse, run, monkeypatch, way):
    words = ["status"]
    if way == "option":
        words.append("--strict")
    if way == "environment":
        monkeypatch.setenv("BIOIMAGE_STRICT", "on")
    if way == "file":
        (plates / "data" / "incoming" / "scr" / "dataset.toml").write_text("[checks]\nstrict = true\n")
    _find(warehouse, "scr/P1", "warning")
    assert run(*words).code == 0
    _find(warehouse, "scr/P1")
    outcome = run(*words, "--json")
    assert outcome.code == (0 if way == "elsewhere" else 1)
    assert ("site-offset" in outcome.err) == (outcome.code == 1)
    assert json.loads(outcome.out)["standing"]


def test_strict_counts_errors_about_the_watched_roots_too(plates, run, monkeypatch):
    (plates / "data" / "incoming" / "campaign.toml").write_text("[campaigns")
    outcome = run("status")
    assert outcome.code == 0
    assert "error: campaign-file-refused: " in outcome.out
    assert run("status", "--strict").code == 1


def test_a_dataset_that_a_campaign_misspells_has_its_code_before_anything_is_built(plates, run):
    (plates / "data" / "incoming" / "campaign.toml").write_text('[campaigns.all]\ndatasets = ["scrn"]\n')
    outcome = run("status")
    assert "error: campaign-dataset-missing: " in outcome.out
    assert "bioimage-assets explain CODE says more." in outcome.err
    (campaign,) = run("status", "--json").json["campaigns"]
    assert campaign["finding"]["code"] == "campaign-dataset-missing"
    assert "Did you mean 'scr'?" in campaign["finding"]["message"]


@pytest.mark.slow
def test_a_watched_root_that_is_missing_is_said_and_no_success(plates, run, monkeypatch):
    there = str(plates / "data" / "incoming")
    monkeypatch.setenv("BIOIMAGE_INCOMING", f"{there},{plates / 'nowhere'}")
    outcome = run("status")
    assert outcome.code == 1
    assert (
        f"error: unreadable-root: The watched folder {plates / 'nowhere'} does not exist; create it or set"
        in outcome.out
    )
    found = run("status", "--json")
    assert found.code == 1
    assert [row["plate"] for row in found.json["plates"]] == ["scr/P1"]
    assert [one["code"] for one in found.json["not_understood"]] == ["unreadable-root"]


@pytest.mark.slow
def test_a_folder_without_a_project_is_no_success_and_says_where_to_go(plates, run, monkeypatch, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    outcome = run("status", "--json")
    assert outcome.code == 1
    assert [one["code"] for one in outcome.json["not_understood"]] == ["no-project", "unreadable-root"]
    assert f"There is no project in {elsewhere}: expected the watched folder" in outcome.json["findings"][0]
    assert "BIOIMAGE_DATA_DIR" in run("status").out
    assert list(elsewhere.iterdir()) == []
