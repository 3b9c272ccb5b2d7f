"""Campaigns as runs of Dagster: built once, left alone, built again for what changed; killed in the middle, old or new is read."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.standing_findings import read_standing_findings
from bioimage_assets.core.storage.write import replace_tables
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.definitions import defs
from bioimage_assets.failure_messages import describe_failures
from bioimage_assets.partitions import register_campaigns
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.retire import retire_plates
from bioimage_assets_tests.builders.campaign_plates import make_cells, make_wells, store_rows, write_campaign
from bioimage_assets_tests.builders.disk_steps import watched_steps
from bioimage_assets_tests.builders.every_step import Killed, kill_at
from bioimage_assets_tests.dagster.plate_runs import QUIET

KEY = "campaign:both"
PLATES = ("day-1/P1", "day-1/P2", "day-2/P1", "day-2/P3")
CAMPAIGN = '[campaigns.both]\ndatasets = ["day-1", "day-2"]\ncells.aggregate = "mean"\n'
TABLES = (
    "campaign_features",
    "campaign_consensus",
    "campaign_replicates",
    "campaign_hits",
    "campaign_cell_profiles",
)
# Ends this process as the system does when memory is full, while the first part of a table is written.
KILLED_RUN = """
import os, signal, sys
import dagster as dg
from bioimage_assets.core.storage import write
from bioimage_assets.core.warehouse.changes import journal
from bioimage_assets.definitions import defs
from bioimage_assets.partitions import register_campaigns

instance = dg.DagsterInstance.local_temp(sys.argv[1])
register_campaigns(instance, ["campaign:both"])
replace, move = write.replace_tables, os.replace

def replace_tables(tables, name, *arguments, **options):
    if name == "campaign_consensus":
        def end(source, target, **words):
            if str(target).endswith(".parquet"):
                os.kill(os.getpid(), signal.SIGKILL)
            return move(source, target, **words)
        os.replace = os.rename = end
    return replace(tables, name, *arguments, **options)

from bioimage_assets.io_managers import plate_batch
plate_batch.replace_tables = replace_tables
defs.resolve_job_def("campaign_pipeline").execute_in_process(partition_key="campaign:both", instance=instance)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProjectResource:
    """Two datasets of two plates whose wells are stored."""
    monkeypatch.setenv("BIOIMAGE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BIOIMAGE_PICTURES", "off")
    write_campaign(tmp_path / "data" / "incoming", PLATES, CAMPAIGN)
    project = ProjectResource()
    for seed, key in enumerate(PLATES):
        wells = make_wells(key, seed)
        store_rows(project.tables(), "pycytominer_profiles", key, wells, f"wells {seed}")
        for name, rows in zip(("joined_profiles", "cosmicqc_profiles"), make_cells(wells, seed), strict=True):
            store_rows(project.tables(), name, key, rows, f"{name} {seed}")
    return project


def run(instance: dg.DagsterInstance) -> None:
    register_campaigns(instance, [KEY])
    job = defs.resolve_job_def("campaign_pipeline")
    result = job.execute_in_process(
        partition_key=KEY, instance=instance, run_config=QUIET, raise_on_error=False
    )
    assert result.success, describe_failures(result.all_events)


def read_stored(project: ProjectResource) -> dict[str, list[dict[str, object]]]:
    """Rows of every table of the campaign, as a reader has them."""
    tables = project.tables()
    return {name: [] if (rows := tables.find(name, KEY)) is None else rows.to_pylist() for name in TABLES}


def list_files(folder: Path) -> dict[str, tuple[int, int]]:
    found = [path for path in folder.rglob("*") if path.is_file() and "lock" not in path.name]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in found}


@pytest.mark.slow
def test_a_campaign_is_built_once_and_again_for_what_changed(project, tmp_path):
    instance, data = dg.DagsterInstance.ephemeral(), tmp_path / "data"
    run(instance)
    for name in (*TABLES, "campaign_report"):
        assert instance.get_materialized_partitions(dg.AssetKey(name)) == {KEY}
    first, files = read_stored(project), list_files(data)
    assert all(first.values())
    assert read_standing_findings(project.tables(), [KEY])[KEY] == ()
    run(instance)
    assert list_files(data) == files

    other = make_wells("day-2/P1", 99)
    store_rows(project.tables(), "pycytominer_profiles", "day-2/P1", other, "other wells")
    run(instance)
    again = read_stored(project)
    assert again["campaign_consensus"] != first["campaign_consensus"]
    assert len(again["campaign_consensus"]) == len(first["campaign_consensus"])

    assert retire_plates(instance, project, [KEY]) == [KEY]
    assert instance.get_dynamic_partitions("campaigns") == []
    assert not any(read_stored(project).values())
    assert not list((data / "reports" / "campaigns").glob("*.html"))
    assert project.tables().count("pycytominer_profiles", "day-1/P1") == 12


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_stores_leaves_old_or_new_tables_and_the_next_run_ends_it(
    project, tmp_path
):
    (tmp_path / "instance").mkdir()
    instance = dg.DagsterInstance.local_temp(str(tmp_path / "instance"))
    run(instance)
    before = read_stored(project)
    for seed, key in enumerate(PLATES):
        store_rows(project.tables(), "pycytominer_profiles", key, make_wells(key, 50 + seed), f"new {seed}")
    command = [sys.executable, "-c", KILLED_RUN, str(tmp_path / "instance")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    left = read_stored(project)
    assert left["campaign_replicates"] == before["campaign_replicates"]
    run(instance)
    after = read_stored(project)
    assert after["campaign_consensus"] != before["campaign_consensus"]
    assert after["campaign_replicates"] != before["campaign_replicates"]
    assert left["campaign_consensus"] in (before["campaign_consensus"], after["campaign_consensus"])


@pytest.mark.slow
def test_a_campaign_table_that_is_killed_at_any_step_is_the_old_or_the_new_one(project, tmp_path):
    old, new = (pa.table({"campaign_key": [KEY] * 3, "campaign_id": ["both"] * 3, "value": values})
                for values in ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]))  # fmt: skip
    store_rows(project.tables(), "campaign_consensus", KEY, old, "old")
    kept = tmp_path / "kept"
    shutil.copytree(tmp_path / "data" / "warehouse", kept)

    def store_new() -> None:
        built = {KEY: PlateTable(new, fingerprint="new")}
        _, failures = replace_tables(
            project.tables(), "campaign_consensus", built, run_id="run", watch=lambda key: nullcontext()
        )
        assert not failures

    with watched_steps() as steps:
        store_new()
    seen = set()
    for number in range(1, len(steps.names) + 1):
        shutil.rmtree(tmp_path / "data" / "warehouse")
        shutil.copytree(kept, tmp_path / "data" / "warehouse")
        with pytest.raises(Killed), watched_steps(kill_at(number)):
            store_new()
        root = open_warehouse(str(tmp_path / "data" / "warehouse"))
        rows = root.read("campaign_consensus", plate_keys=[KEY])
        assert json.dumps(rows.to_pylist()) in (json.dumps(old.to_pylist()), json.dumps(new.to_pylist()))
        seen.add(rows["value"][0].as_py())
    assert seen == {1.0, 4.0}
