"""Checks say what stands found, block where that is asked for, and are never green where they did not run."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.checks.tables import check_join_coverage, check_qc_fail_rate
from bioimage_assets.checks.verdict import Verdict
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.joins.report import JoinOutcome, JoinReport
from bioimage_assets.core.model.table_specs import list_steps
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.definitions import defs
from bioimage_assets_tests.builders.measurement_plates import PlateSpec, write_cellprofiler_folder
from bioimage_assets_tests.dagster.plate_runs import QUIET, know_plates
from bioimage_assets_tests.dagster.step_inputs import give_check_inputs, store_table
from bioimage_assets_tests.dagster.store_ticks import write_plate

pytestmark = pytest.mark.slow  # runs of Dagster, three seconds each

KEY = "scr/P1"
NOTHING_WRONG = "nothing_wrong_found"
JOINED = (
    "image_assets",
    "single_cells",
    "measured_images",
    "joined_profiles",
    "join_report",
    "image_quality",
)
# A step that finds something, and one that reads what it made.
JUDGED = ("cosmicqc_profiles", "pycytominer_profiles")


def _write_dataset(data: Path) -> Path:
    folder = data / "incoming" / "scr"
    write_plate(folder / "P1.zarr", ("A/1", "A/2"), fields=3, name="P1")
    return folder


@pytest.fixture
def dataset(tmp_path: Path, use_data_dir) -> Path:
    use_data_dir(tmp_path / "data")
    return _write_dataset(tmp_path / "data")


@pytest.fixture(scope="module")
def joined_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose plate is built as far as its joined cells."""
    data = tmp_path_factory.mktemp("joined") / "data"
    _measure(_write_dataset(data))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOIMAGE_DATA_DIR", str(data))
        assert _run(*JOINED)["run", ""]
    return data


@pytest.fixture
def joined(joined_once: Path, tmp_path: Path, use_data_dir) -> Path:
    """The dataset of a copy of that project; quality control was not run yet."""
    shutil.copytree(joined_once, tmp_path / "data")
    use_data_dir(tmp_path / "data")
    return tmp_path / "data" / "incoming" / "scr"


def _measure(dataset: Path, plate: str = "P1") -> None:
    write_cellprofiler_folder(dataset / "measurements" / "P1", PlateSpec(plate=plate))


def _run(*names: str) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """Verdicts of a run of the plate by table and check; the run itself under ``("run", "")``."""
    instance = know_plates([KEY])
    result = defs.resolve_job_def("plate_pipeline").execute_in_process(
        partition_key=KEY,
        instance=instance,
        raise_on_error=False,
        asset_selection=[dg.AssetKey(name) for name in names] or None,
        run_config=QUIET,
    )
    verdicts = {(e.asset_key.path[-1], e.check_name): e for e in result.get_asset_check_evaluations()}
    return verdicts | {("run", ""): result.success}


def _find(monkeypatch, *severities: str) -> None:
    """Have quality control find something."""
    from bioimage_assets.assets import wells

    build = wells.build_qc

    def build_with_findings(inputs):
        table = build(inputs)
        table.findings = [Finding(f"odd-{level}", level, "A01", f"An {level}.") for level in severities]
        return table

    monkeypatch.setattr(wells, "build_qc", build_with_findings)


def test_every_step_of_a_plate_has_the_gate_on_its_first_table():
    first = {step.tables[0].name for step in list_steps("plate") if step.name != "cytomining_warehouse"}
    gated = {
        table.name
        for step in list_steps("plate")
        for table in step.tables
        for check in table.checks
        if check.name == NOTHING_WRONG and check.is_blocking
    }
    # Completeness has its own check, pictures that were not drawn stand on the page, and nothing is made of virtual plates.
    assert gated == first - {"plate_completeness", "plate_report", "virtual_plates"}


@pytest.mark.parametrize(
    ("severities", "passes", "words"),
    [
        ((), True, "nothing was found"),
        (("info",), True, "1 note(s); odd-info"),
        (
            ("info", "warning"),
            False,
            "1 warning(s), 1 note(s); odd-warning: An warning. `bioimage-assets explain odd-warning` says more.",
        ),
        (
            ("warning", "error"),
            False,
            "1 error(s), 1 warning(s); odd-error: An error. `bioimage-assets explain odd-error` says more.",
        ),
    ],
)
def test_what_a_step_found_is_its_verdict_and_blocks_nothing_by_itself(
    joined, monkeypatch, severities, passes, words
):
    _find(monkeypatch, *severities)
    verdicts = _run(*JUDGED)
    verdict = verdicts["cosmicqc_profiles", NOTHING_WRONG]
    assert verdict.passed is passes
    assert passes or verdict.severity == dg.AssetCheckSeverity.WARN
    assert words in verdict.description
    assert verdicts["run", ""]
    assert ("pycytominer_profiles", NOTHING_WRONG) in verdicts


@pytest.mark.parametrize("says", ["variable", "dataset"])
@pytest.mark.parametrize(("severity", "stops"), [("error", True), ("warning", False)])
def test_strict_stops_what_is_made_of_a_table_with_an_error(joined, monkeypatch, says, severity, stops):
    _find(monkeypatch, severity)
    if says == "variable":
        monkeypatch.setenv("BIOIMAGE_STRICT", "on")
    else:
        (joined / "dataset.toml").write_text("[checks]\nstrict = true\n")
    verdicts = _run(*JUDGED)
    verdict = verdicts["cosmicqc_profiles", NOTHING_WRONG]
    assert not verdict.passed
    assert (verdict.severity == dg.AssetCheckSeverity.ERROR) is stops
    assert verdicts["run", ""] is not stops
    assert (("pycytominer_profiles", NOTHING_WRONG) in verdicts) is not stops


def test_of_a_plate_without_measurements_no_check_is_green_that_has_nothing_to_look_at(dataset):
    verdicts = _run()
    assert verdicts.pop(("run", ""))
    not_checked = {
        name for (_, name), verdict in verdicts.items() if "not checked" in (verdict.description or "")
    }
    assert not_checked >= {
        "rows_in_are_rows_out",
        "cells_found_their_image",
        "qc_failures_are_few",
        "normalisation_is_sane",
    }
    for (_, name), verdict in verdicts.items():
        if name in not_checked:
            assert (verdict.passed, verdict.severity) == (False, dg.AssetCheckSeverity.WARN), name


def test_names_of_files_in_columns_are_not_counted_among_the_cells(dataset, use_data_dir):
    """Each cell of CellProfiler names an overlay per channel."""
    project = use_data_dir(dataset.parents[1])
    outcomes = (JoinOutcome("matched", "plate_well_site", 2), JoinOutcome("linked-column", "path", 10))
    report = JoinReport(KEY, "scr", profile_rows=2, joined_rows=2, image_count=1, outcomes=outcomes)
    store_table(project, "join_report", KEY, PlateTable(report.to_table()))
    verdict = check_join_coverage(give_check_inputs(project, KEY))
    assert verdict.passed
    assert verdict.metadata == {"matched_fraction": 1.0, "matched": 2}


def test_cells_without_an_image_are_an_error(dataset, use_data_dir):
    _measure(dataset, "another")
    _run(*JOINED)
    inputs = give_check_inputs(use_data_dir(dataset.parents[1]), KEY)
    verdict: Verdict = check_join_coverage(inputs)
    assert (verdict.passed, verdict.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert verdict.description.startswith("0 of 5 cells (0.0%) have an image")
    assert check_qc_fail_rate(inputs).description == "not checked: no measured cells"
