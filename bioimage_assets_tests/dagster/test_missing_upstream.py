"""A step whose inputs were never built fails and names them; a plate that has no measurements or no images fails nowhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.core.errors import MissingTableError, UsageError
from bioimage_assets.core.model.step_spec import StepSpec
from bioimage_assets.core.model.table_specs import STEPS
from bioimage_assets.core.storage.standing_findings import read_standing_findings
from bioimage_assets.core.storage.upstream import require_inputs
from bioimage_assets.definitions import defs
from bioimage_assets.failure_messages import describe_failures
from bioimage_assets.headless import materialize_plates
from bioimage_assets_tests.builders.measurement_plates import write_cellprofiler_folder
from bioimage_assets_tests.dagster.plate_runs import QUIET, know_plates
from bioimage_assets_tests.dagster.store_ticks import write_plate

pytestmark = pytest.mark.slow

READING = [step for step in STEPS if step.inputs or step.of_plates]
OF_PLATES_AND_DATASETS = [step for step in READING if step.dimension != "campaign"]


@pytest.fixture
def incoming(tmp_path: Path, use_data_dir) -> Path:
    """Two plates without measurements."""
    use_data_dir(tmp_path / "data")
    folder = tmp_path / "data" / "incoming" / "scr"
    for name in ("P1", "P2"):
        write_plate(folder / f"{name}.zarr", name=name)
    return folder


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return know_plates(["scr/P1", "scr/P2"])


def _run(instance, partition: str, *names: str) -> str:
    """Why the run of some tables failed, empty where it succeeded."""
    job = defs.resolve_job_def("plate_pipeline" if "/" in partition else "dataset_pipeline")
    selection = [dg.AssetKey(name) for name in names] or None
    result = job.execute_in_process(
        partition_key=partition,
        instance=instance,
        raise_on_error=False,
        asset_selection=selection,
        run_config=QUIET,
    )
    return "" if result.success else describe_failures(result.all_events) or "failed"


@pytest.mark.parametrize("step", OF_PLATES_AND_DATASETS, ids=lambda step: step.name)
def test_every_step_that_reads_tables_names_those_that_were_never_built(incoming, instance, step: StepSpec):
    partition = "scr/P1" if step.dimension == "plate" else "scr"
    why = _run(instance, partition, step.names[0])
    for name in step.inputs or step.of_plates:
        assert name in why
    assert "not stored; materialize" in why
    assert instance.get_materialized_partitions(dg.AssetKey(step.names[0])) == set()


def test_the_message_says_what_to_type(incoming, instance):
    assert _run(instance, "scr/P2", "image_assets", "chunk_index", "plate_layout", "single_cells") == ""
    assert (
        "joined_profiles, image_quality of scr/P2 are not stored; materialize them first (or --select +key:cosmicqc_profiles)."
        in _run(instance, "scr/P2", "cosmicqc_profiles")
    )
    made = ("measured_images", "joined_profiles", "join_report", "image_quality", "cosmicqc_profiles")
    assert _run(instance, "scr/P2", *made) == ""


def test_a_plate_without_images_by_design_is_no_failure(tmp_path, use_data_dir, instance):
    use_data_dir(tmp_path / "data")
    write_cellprofiler_folder(tmp_path / "data" / "incoming" / "scr" / "measurements" / "P1")
    assert _run(instance, "scr/P1") == ""


def test_a_dataset_is_made_of_the_plates_that_are_built_and_names_the_others_none_has_measurements(
    incoming, instance, use_data_dir
):
    assert _run(instance, "scr/P1") == ""
    assert _run(instance, "scr") == ""
    tables = use_data_dir(incoming.parents[1]).tables()
    (found,) = read_standing_findings(tables, ["scr"])["scr"]
    assert (found.code, found.severity, found.places) == ("plates-not-built", "warning", ("scr/P2",))
    assert "1 of 2 plates of scr are not built" in found.message
    assert _run(instance, "scr/P2") == ""
    assert _run(instance, "scr") == ""
    assert read_standing_findings(tables, ["scr"])["scr"] == ()


@pytest.mark.parametrize("step", [step for step in READING if step.inputs], ids=lambda step: step.name)
def test_the_selection_of_the_message_holds_all_that_the_table_is_made_of(step: StepSpec):
    with pytest.raises(MissingTableError) as refusal:
        require_inputs(step, "scr/P1", lambda name, partition: False, lambda partition: False)
    words = re.search(r"--select (\S+)\)", str(refusal.value))
    assert words is not None
    graph = defs.resolve_asset_graph()
    chosen = {key.path[-1] for key in dg.AssetSelection.from_string(words[1]).resolve(graph)}
    needed = {step.names[0]}
    for other in reversed(STEPS[: STEPS.index(step) + 1]):
        if not needed.isdisjoint(other.names):
            needed |= {*other.inputs}
    assert chosen >= needed


# What ``python -m dagster`` calls, once for each line of words, in one start of Python; a line ends with the exit code.
DAGSTER = """
import sys
from dagster._cli import main
for line in sys.stdin:
    sys.argv = ["dagster", "asset", "materialize", "-m", "bioimage_assets.definitions", "--select", *line.split()]
    try:
        main()
    except SystemExit as end:
        print("ended with", end.code, file=sys.stderr, flush=True)
"""


def test_dagsters_own_command_ends_with_exit_code_one(incoming, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    environ = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "BIOIMAGE_DATA_DIR": str(incoming.parents[1]),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }
    asked = {
        "plate_registry": "",
        "joined_profiles --partition scr/P2": "of scr/P2 are not stored; materialize them first (or --select +joined",
        "plate_report --partition scr/P1": "of scr/P1 are not stored",
        "pycytominer_selected_features --partition scr": "pycytominer_profiles of scr/P1, scr/P2 (plates: 2) not stored",
    }
    done = subprocess.run(
        [sys.executable, "-c", DAGSTER],
        env=environ,
        input="\n".join(asked),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    said = re.split(r"ended with (\S+)\n", done.stdout)
    assert said[1::2] == ["0", "1", "1", "1"], done.stdout
    for words, text in zip(asked.values(), said[::2], strict=False):
        assert words in text


def test_what_the_message_says_can_be_typed(incoming, instance):
    report = materialize_plates(
        instance, plate_keys=["scr/P1"], select=["+key:cosmicqc_profiles"], with_datasets=False
    )
    assert [outcome.status for outcome in report.plates] == ["built"]
    built = [
        name
        for name in ("single_cells", "joined_profiles", "cosmicqc_profiles", "pycytominer_profiles")
        if instance.get_materialized_partitions(dg.AssetKey(name))
    ]
    assert built == ["single_cells", "joined_profiles", "cosmicqc_profiles"]
    with pytest.raises(UsageError, match=r"'joined_profile' is no table of a plate.*joined_profiles"):
        materialize_plates(instance, plate_keys=["scr/P1"], select=["+joined_profile"])
