"""Plates as partitions from the shell: list, sync, add, remove, status; and a headless build of one table."""

from __future__ import annotations

import pytest

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.storage.step_findings import store_findings
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate


@pytest.fixture
def plates(project, monkeypatch):
    """Two plates of one dataset in the watched root, and a Dagster instance of their own."""
    home = project / "dagster-home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("BIOIMAGE_QUIET_SECONDS", "0")
    for name in ("p1", "p2"):
        write_pixel_plate(project / "data" / "incoming" / "screen" / f"{name}.ome.zarr", fields=1, levels=1)
    return project


@pytest.mark.slow
def test_partitions_are_synced_listed_and_removed(plates, run):
    assert run("partitions", "sync", "--json").json["new"] == ["screen/p1", "screen/p2"]
    assert run("partitions", "sync", "--json").json["new"] == []
    assert run("partitions", "list").out.split() == ["screen/p1", "screen/p2"]
    assert run("partitions", "remove", "screen/p1", "--yes").code == 0
    assert run("partitions", "list", "--json").json == {"plates": ["screen/p2"]}
    assert run("partitions", "add", "screen/p1", "--json").json["new"] == ["screen/p1"]


@pytest.mark.slow
def test_a_partition_key_that_is_none_is_refused(plates, run):
    outcome = run("partitions", "add", "no-plate-key")
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


@pytest.mark.slow
def test_status_says_what_is_to_be_built(plates, run):
    rows = run("status", "--json").json["plates"]
    assert [(row["plate"], row["stores"], row["state"]) for row in rows] == [
        ("screen/p1", 1, "to be built"),
        ("screen/p2", 1, "to be built"),
    ]


@pytest.mark.slow
def test_status_and_sync_take_plates_of_measurements_and_doubt_names_that_may_be_misspelt(plates, run):
    measured = plates / "data" / "incoming" / "screen" / "measurements"
    measured.mkdir()
    for name in ("p1", "P2"):
        (measured / f"{name}.csv").write_text("Metadata_Well,Cells_AreaShape_Area\nA01,1\n")
    found = run("status", "--json").json
    rows = {row["plate"]: row for row in found["plates"]}
    assert (rows["screen/P2"]["stores"], rows["screen/P2"]["measurements"]) == (0, 1)
    assert "misspelt" in rows["screen/P2"]["note"]
    assert "'screen/measurements/p2.csv'" in found["findings"][0]
    (measured / "p2.csv").write_text("Metadata_Well,Cells_AreaShape_Area\nA01,1\n")
    found = run("status", "--json").json
    assert found["findings"] == []
    assert {row["plate"]: row["note"] for row in found["plates"]}["screen/P2"] == "measurements alone"
    assert run("partitions", "sync", "--json").json["new"] == ["screen/P2", "screen/p1", "screen/p2"]


@pytest.mark.slow
def test_a_root_that_is_not_there_is_no_success_and_a_table_that_is_none_is_refused(plates, run, monkeypatch):
    refused = run("materialize", "--select", "image_assets", "nonsense")
    assert refused.code == 2
    assert "'nonsense' is no table of a plate. Expected one of image_assets, " in refused.err
    named = run("materialize", "--plates", "screen/p9")
    assert named.code == 2
    assert "found: screen/p1, screen/p2." in named.err
    monkeypatch.setenv("BIOIMAGE_INCOMING", str(plates / "nowhere"))
    missing = run("materialize")
    assert missing.code == 1
    assert f"error: unreadable-root: The watched folder {plates / 'nowhere'} does not exist" in missing.err
    (plates / "nowhere").mkdir()
    empty = run("materialize")
    assert empty.code == 0
    assert "No plate is there yet" in empty.err


@pytest.mark.parametrize(
    ("home", "file"),
    [("nowhere", None), ("relative", None), ("home", "nonsense: ["), ("home", "nonsense: 3")],
)
def test_an_instance_that_cannot_be_used_is_one_line(plates, run, monkeypatch, home, file):
    folder = plates / home
    if file is not None:
        folder.mkdir()
        (folder / "dagster.yaml").write_text(file)
    monkeypatch.setenv("DAGSTER_HOME", home if home == "relative" else str(folder))
    outcome = run("materialize")
    assert outcome.code == 2
    assert (
        len([line for line in outcome.err.splitlines() if not line.startswith("bioimage-assets explain ")])
        == 1
    )
    assert (
        f"Error: The Dagster instance of DAGSTER_HOME='{home if home == 'relative' else folder}'"
        in outcome.err
    )


@pytest.mark.slow
def test_materialize_builds_a_plate_headless_and_says_what_stands_found_about_it(plates, run):
    found = Finding("site-offset", "error", "A01", "Off by one.", setting="[join] profile_site_offset = 1")
    warehouse = ProjectResource().tables().warehouse
    for key in ("screen/p1", "screen/p2"):
        store_findings(warehouse, key, "joined_profiles", [found.name_file("data/incoming/screen")], "run")
    words = ("materialize", "--plates", "screen/p1", "--select", "image_assets", "chunk_index")
    outcome = run(*words, "--json")
    assert outcome.code == 0, outcome.err
    (standing,) = outcome.json["findings"]
    assert (standing["partition"], standing["code"], standing["places"]) == (
        "screen/p1",
        "site-offset",
        ["A01"],
    )
    (row,) = outcome.json["summary"]
    assert (row["plate"], row["images"], row["cells"], row["status"]) == ("screen/p1", 2, None, "built")
    strict = run(*words, "--strict")
    assert strict.code == 1
    assert "Strict: findings of level error stand: site-offset." in strict.err
    said = run(*words).out.splitlines()
    assert said[1].split()[:3] == ["screen/p1", "2", "-"]
    assert (
        "error: site-offset, in screen/p1 (A01): Off by one. Write [join] profile_site_offset = 1 in "
        "data/incoming/screen/dataset.toml." in said
    )
    assert {o["partition"]: o["status"] for o in outcome.json["outcomes"]}["screen/p1"] != "failed"
    rows = run(
        "query", "SELECT plate_key, count(*) AS n FROM catalog.image_assets GROUP BY ALL", "--json"
    ).json
    assert rows == [{"plate_key": "screen/p1", "n": 2}]


@pytest.mark.slow
def test_a_misspelt_key_is_told_once_before_scanning_and_other_datasets_go_on(plates, run):
    write_pixel_plate(plates / "data" / "incoming" / "other" / "p1.ome.zarr", fields=1, levels=1)
    settings = plates / "data" / "incoming" / "screen" / "dataset.toml"
    settings.write_text("[image_quality]\nz_limitt = 4\n")
    nearest = "unknown key 'image_quality.z_limitt'. Did you mean 'image_quality.z_limit'?"
    said = run("status")
    assert said.out.count(nearest) == 1
    notes = {row["plate"]: row["note"] for row in run("status", "--json").json["plates"]}
    assert notes["screen/p1"] == notes["screen/p2"] == "waits: the dataset.toml of its dataset cannot be used"
    assert notes["other/p1"] == ""
    outcome = run("materialize")
    assert outcome.code == 1
    assert (outcome.out + outcome.err).count(nearest) == 1
    assert f"error: dataset-file-refused: {settings}" in outcome.err
    assert "no plate of it was built (settings-error, step-failed)" in outcome.out
    assert outcome.err.index(nearest) < outcome.err.index("other/p1: running")
    assert "screen/p1: running" not in outcome.err
    stored = run("query", "SELECT DISTINCT plate_key FROM catalog.image_assets", "--json").json
    assert stored == [{"plate_key": "other/p1"}]
    settings.write_text("[image_quality]\nz_limit = 4\n")
    assert run("status").out.count("waits:") == 0
