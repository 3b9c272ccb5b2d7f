"""Why a plate failed stands among its findings until the step succeeds, whoever ran it and wherever."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.core.findings import FindingGroup
from bioimage_assets.core.storage.standing_findings import read_standing_findings
from bioimage_assets.core.storage.step_failures import CODE, clear_failures, keep_failure, store_failures
from bioimage_assets.core.storage.step_findings import store_findings
from bioimage_assets.headless import materialize_plates
from bioimage_assets_tests.dagster.step_inputs import read_findings
from bioimage_assets_tests.dagster.store_ticks import write_plate

KEY = "screen/P1"


def _failures(project) -> list[FindingGroup]:
    return [group for group in read_standing_findings(project.tables(), [KEY])[KEY] if group.code == CODE]


def test_a_failure_is_kept_beside_what_the_step_found_and_goes_when_it_succeeds(tmp_path, use_data_dir):
    warehouse = use_data_dir(tmp_path).warehouse()
    store_findings(warehouse, KEY, "cosmicqc_profiles", (), "run")
    clear_failures(warehouse, ["cosmicqc_profiles"], [KEY])
    store_failures(warehouse, "cosmicqc_profiles", {KEY: "no cells", "screen/P2": "no cells"}, "run")
    (found,) = read_findings(warehouse, KEY)
    assert (found.code, found.severity, found.message) == (CODE, "error", "cosmicqc_profiles: no cells")
    clear_failures(warehouse, ["join_plates"], [KEY])
    assert read_findings(warehouse, KEY)
    clear_failures(warehouse, ["cosmicqc_profiles"], [KEY])
    assert read_findings(warehouse, KEY) == ()
    assert read_findings(warehouse, "screen/P2")


def test_the_death_of_a_worker_is_kept_by_whoever_saw_it_and_a_failure_of_the_step_is_not_said_twice(
    tmp_path, use_data_dir
):
    warehouse = use_data_dir(tmp_path).warehouse()
    keep_failure(warehouse, KEY, "join_plates: the worker ended by SIGSEGV (signal 11)", "run")
    keep_failure(warehouse, KEY, "something else", "run")
    (found,) = read_findings(warehouse, KEY)
    assert (found.location, found.message[:16]) == ("join_plates", "join_plates: the")
    keep_failure(warehouse, KEY, "the worker ended before its first step", "later")
    assert {found.location for found in read_findings(warehouse, KEY)} == {"join_plates", "scan_plates"}


@pytest.mark.slow
def test_a_failed_plate_says_why_until_it_is_mended(tmp_path: Path, use_data_dir):
    project = use_data_dir(tmp_path / "data")
    write_plate(tmp_path / "data" / "incoming" / f"{KEY}.zarr", name="P1")
    measured = tmp_path / "data" / "incoming" / "screen" / "measurements"
    (tmp_path / "instance").mkdir()
    instance = dg.DagsterInstance.local_temp(str(tmp_path / "instance"))
    assert materialize_plates(instance).is_ok
    measured.mkdir()
    (measured / "P1.parquet").write_bytes(b"no table")
    assert not materialize_plates(instance, with_datasets=False).is_ok
    (failure,) = _failures(project)
    assert failure.message.startswith("measure_plates: ")
    assert "P1.parquet" in failure.message
    shutil.rmtree(measured)  # as it was: nothing is built, and nothing failed any more
    report = materialize_plates(instance, with_datasets=False)
    assert [outcome.status for outcome in report.plates] == ["current"]
    assert _failures(project) == []
