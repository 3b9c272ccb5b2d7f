"""What a plain installation, without any extra, builds, leaves out and says about it: in a process that finds no optional library."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bioimage_assets_tests.builders.plain_installation import build_plain_environment
from bioimage_assets_tests.builders.small_screen import write_screen

pytestmark = pytest.mark.slow

INSTALL = "needs the extra: pip install 'bioimage_assets[cytomining]'"
LEFT_OUT = (
    f"left out, {INSTALL}: cosmicqc_profiles, pycytominer_profiles, normalized_cells, plate_report, the 9 tables of datasets, "
    "the 6 tables of campaigns"
)
# What the UI and the daemon load and run, asked in a process of its own.
ASK_DAGSTER = """
import json, pkgutil, sys
from importlib import import_module
import dagster as dg
import bioimage_assets
from bioimage_assets.definitions import defs
from bioimage_assets.sensors.campaigns import campaign_rollup_sensor
from bioimage_assets.sensors.rollups import dataset_rollup_sensor
from bioimage_assets.resources.project import ProjectResource

def keys(name):
    return sorted(key.to_user_string() for key in defs.resolve_job_def(name).asset_layer.selected_asset_keys)

with dg.instance_for_test() as instance:
    instance.add_dynamic_partitions("plates", ["screen/P1"])
    run = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, partition_key="screen/P1", raise_on_error=False,
        asset_selection=[dg.AssetKey("cosmicqc_profiles")],
    )
    failure = next(event for event in run.all_events if event.is_step_failure).step_failure_data.user_failure_data
    datasets = dataset_rollup_sensor(dg.build_sensor_context(instance, cursor="7"))
    campaigns = campaign_rollup_sensor(
        dg.build_sensor_context(instance, cursor="7", resources={"project": ProjectResource()})
    )
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}

for room in ("cli", "browse", "sensors", "jobs", "resources", "io_managers"):
    for module in pkgutil.iter_modules(import_module(f"bioimage_assets.{room}").__path__):
        import_module(f"bioimage_assets.{room}.{module.name}")
for name in bioimage_assets.PUBLIC_NAMES:
    getattr(bioimage_assets, name)

print(json.dumps({
    "jobs": {name: keys(name) for name in ("plate_pipeline", "dataset_pipeline")},
    "listed": [node.name for node in defs.resolve_job_def("plates_by_list").nodes],
    "failure": failure.description,
    "skipped": [[str(one.skip_reason.skip_message), one.cursor] for one in (datasets, campaigns)],
    "description": specs["plate_report"].description,
    "automatic": specs["plate_report"].automation_condition is not None,
}))
"""


@dataclass(frozen=True)
class PlainProject:
    """A folder with one plate in which commands run as in a plain installation."""

    folder: Path
    environment: dict[str, str]

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return self.call("-m", "bioimage_assets", *arguments)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> PlainProject:
    folder = tmp_path_factory.mktemp("plain")
    (folder / "home").mkdir()
    (folder / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")
    (folder / "hidden").mkdir()
    write_screen(folder / "data" / "incoming" / "screen")
    environment = build_plain_environment(
        folder / "hidden", DAGSTER_HOME=str(folder / "home"), BIOIMAGE_QUIET_SECONDS="0"
    )
    return PlainProject(folder, environment)


@pytest.fixture(scope="module")
def built(plain) -> subprocess.CompletedProcess[str]:
    return plain.run("materialize")


@pytest.fixture(scope="module")
def of_dagster(plain) -> dict[str, object]:
    done = plain.call("-W", "ignore", "-c", ASK_DAGSTER)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_plain_installation_says_what_it_leaves_out_before_the_first_plate_and_builds_the_rest(built):
    assert built.returncode == 0, built.stderr
    said = built.stderr.splitlines()
    assert said[:2] == [LEFT_OUT, "[1/1] screen/P1: running"]
    assert LEFT_OUT in built.stdout.splitlines()
    assert "No module named" not in built.stderr + built.stdout


def test_everything_up_to_the_join_is_stored_and_up_to_date(plain, built):
    status = json.loads(plain.run("status", "--json").stdout)
    assert [(row["plate"], row["state"]) for row in status["plates"]] == [("screen/P1", "up to date")]
    tables = json.loads((plain.folder / "data" / "warehouse" / "warehouse_manifest.json").read_text())[
        "tables"
    ]
    stored = {table["table_name"].rpartition(".")[2] for table in tables}
    assert {"joined_profiles", "join_report", "image_quality", "plate_completeness", "image_assets"} <= stored
    assert status["left_out"][0]["extra"] == "cytomining"
    assert {"cosmicqc_profiles", "hits", "campaign_report"} <= set(status["left_out"][0]["tables"])


def test_a_strict_run_counts_what_is_left_out(plain, built):
    done = plain.run("materialize", "--strict", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["left_out"][0]["message"]) == (1, LEFT_OUT)
    assert [outcome["status"] for outcome in found["outcomes"]] == ["current"]


def test_a_table_that_cannot_be_built_is_refused_at_once(plain):
    done = plain.run("materialize", "--select", "joined_profiles", "cosmicqc_profiles")
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: cosmicqc_profiles {INSTALL} (not installed: cosmicqc, ")
    assert done.stderr.splitlines()[1:] == ["bioimage-assets explain missing-extra says more."]


def test_jobs_leave_out_what_cannot_be_built_and_a_run_of_it_fails_with_the_remedy(of_dagster):
    jobs = of_dagster["jobs"]
    assert "joined_profiles" in jobs["plate_pipeline"]
    assert not {"cosmicqc_profiles", "plate_report"} & {*jobs["plate_pipeline"], *of_dagster["listed"]}
    assert "hits" in jobs["dataset_pipeline"]  # nothing of it can be built: its run fails with the remedy
    assert of_dagster["failure"].startswith(f"cosmicqc_profiles {INSTALL}")
    assert f"Not built here: {INSTALL}." in of_dagster["description"]
    assert not of_dagster["automatic"]


def test_sensors_of_tables_that_cannot_be_built_wait_and_lose_nothing(of_dagster):
    assert of_dagster["skipped"] == [
        [f"The tables of {what} are left out: each {INSTALL}.", "7"] for what in ("datasets", "campaigns")
    ]


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("-m", "bioimage_assets.demo.run"), "demo"),
        (("-m", "bioimage_assets", "export-anndata", "wells.h5ad"), "anndata"),
        (("-m", "bioimage_assets", "release", "first"), "release"),
        (("-m", "bioimage_assets", "virtual-plate", "screen/P1", "--format", "icechunk"), "virtual"),
    ],
)
def test_a_command_that_needs_an_extra_says_so_in_one_line(plain, built, arguments, extra):
    done = plain.call(*arguments)
    assert done.returncode == 2
    assert f"needs the extra: pip install 'bioimage_assets[{extra}]' (not installed: " in done.stderr
    assert done.stderr.splitlines()[1:] in ([], ["bioimage-assets explain missing-extra says more."]), (
        done.stderr
    )
