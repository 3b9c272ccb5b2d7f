"""Mistakes of a first day: each is said, with the same words, by commands, page and check.

All are built in one project, a dataset for each, so that a command is called once and not once per mistake.
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest

from bioimage_assets.checks.plates import PLATE_CHECKS
from bioimage_assets.cli import progress
from bioimage_assets.cli.main import main
from bioimage_assets.core.finding_codes.catalogue import find_code
from bioimage_assets.core.finding_codes.error_classes import ERRORS
from bioimage_assets.core.storage.standing_findings import read_standing_findings
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.builders import mistakes
from bioimage_assets_tests.builders.mistakes import Spoil
from bioimage_assets_tests.builders.small_screen import write_screen

pytestmark = pytest.mark.slow
GATE = "nothing_wrong_found"
FAILED = "step-failed"
UNLINKED, UNCOUNTED = "cells_found_their_image", "every_cell_is_there_once"
# Mistakes that leave cells without image, or count cells twice or not at all: red where people look, on the joined cells.
RED = {
    mistakes.shift_sites: {UNLINKED},
    mistakes.name_plate_otherwise: {UNLINKED},
    mistakes.copy_half: {UNLINKED},
    mistakes.cut_off_cells: {UNCOUNTED},
    mistakes.name_folder_otherwise: {UNLINKED},
    mistakes.spell_wells_otherwise: {UNLINKED},
    mistakes.spell_rows_in_small_letters: {UNLINKED},
    mistakes.remove_image_table: {UNLINKED},
    mistakes.give_an_image_number_twice: {UNLINKED, UNCOUNTED},
    mistakes.exchange_measurements: {UNLINKED},
    mistakes.shrink_the_store: {UNLINKED},
}
# Fields of blank pixels prove nothing; what is said of that is tested beside the proof.
UNPROVEN = "links-not-proven-by-pixels"
IS_ROOT = os.geteuid() == 0


@dataclass(frozen=True)
class Mistake:
    """What is done to a dataset, and what is said of its plate: code, severity and words of the sentence.

    ``checked`` is the table whose gate shows it; empty where the step failed, or the plate was not taken. Where
    ``is_worst`` is not set, the table of ``status`` shows another finding of the plate, and its ``--json`` this one.
    """

    spoil: Spoil
    code: str
    severity: str
    words: tuple[str, ...]
    checked: str = "joined_profiles"
    plate: str = "P1"
    is_worst: bool = True

    @property
    def dataset(self) -> str:
        return self.spoil.__name__.replace("_", "-")

    @property
    def key(self) -> str:
        return f"{self.dataset}/{self.plate}"


MISTAKES = (
    Mistake(mistakes.shift_sites, "site-offset", "error",
        ("8 well(s)", "profiles 1, 2, images 0, 1", "Write [join] profile_site_offset = 1 in", "dataset.toml")),
    Mistake(mistakes.name_plate_otherwise, "unknown-plate", "error",
        ("64 row(s)", "'BR00117035'", "Write [join] ignore_profile_plate = true in")),
    Mistake(mistakes.copy_half, "missing-well", "error",
        ("listed but has no metadata", "copy the store again"), "image_assets"),
    Mistake(mistakes.cut_off_cells, "cells-missing", "error",
        ("promises other numbers of Cells", "missing", "first ImageNumber"), "single_cells", is_worst=False),
    Mistake(mistakes.remove_platemaps, "platemap-missing", "warning",
        ("There is no folder", "platemaps", "barcode_platemap.csv", "Write [platemaps] dir"), "pycytominer_profiles",
        is_worst=False),
    Mistake(mistakes.name_platemap_otherwise, "step-failed", "error",
        ("barcode_platemap.csv names platemap 'layout-1' for plate 'P1'", "no such file", "layout1.txt"), ""),
    Mistake(mistakes.name_folder_otherwise, "measurements-without-images", "warning",
        ("measurements/Plate1", "have no images of their name", "'P1'", "rename them to"),
        "single_cells", "Plate1", is_worst=False),
    Mistake(mistakes.spell_wells_otherwise, "well-respelt", "error",
        ("list this well as 'A/1'", "its folder is 'A/01'", "Rename the folder to 'A/1'"), "image_assets"),
    Mistake(mistakes.spell_rows_in_small_letters, "well-respelt", "error",
        ("list this well as 'a/01'", "its folder is 'A/01'", "Rename the folder to 'a/01'"), "image_assets"),
    Mistake(mistakes.remove_image_table, "missing-image-table", "warning",
        ("No Image.csv", "Copy it beside the other tables"), "single_cells", is_worst=False),
    Mistake(mistakes.give_an_image_number_twice, "duplicated-image-numbers", "error",
        ("ImageNumber(s) start again inside Image", "give each run a folder"), "single_cells"),
    Mistake(mistakes.add_a_store_of_the_same_name, "plate-name-clash", "error",
        ("2 stores would be plate", "P1.ome.zarr", "P1.zarr", "Rename all but one"), "", ""),
    Mistake(mistakes.take_controls_from_one_plate, "normalised-to-plate", "warning",
        ("Normalised to the whole plate", "0 control wells", "negcon", "expected at least 4 wells"),
        "pycytominer_profiles", "P2", is_worst=False),
    Mistake(mistakes.empty_a_table, "step-failed", "error",
        ("Nuclei.csv", "can be read", "Expected a header line", "Write the file again"), ""),
    Mistake(mistakes.exchange_measurements, "unknown-plate", "error",
        ("64 row(s)", "'P2'", "these are its measurements")),
    Mistake(mistakes.add_wells_to_the_platemap, "platemap-well-without-cells", "warning",
        ("1 well(s) of the platemap have no cells", "C01"), "pycytominer_profiles", is_worst=False),
    Mistake(mistakes.shrink_the_store, "images-gone", "error",
        ("16 images at its last scan", "12 now", "B03, B04", "Copy the store again"), "image_assets"),
)  # fmt: skip
LOCKED = (
    Mistake(mistakes.lock_a_table, "step-failed", "error", ("Nuclei.csv", "Permission denied"), ""),
    Mistake(mistakes.lock_a_field, "unreadable-field", "error",
        ("A/01/0/.zattrs", "permission denied", "owner and mode"), "image_assets"),
)  # fmt: skip
ALL = MISTAKES if IS_ROOT else (*MISTAKES, *LOCKED)
TAKEN = tuple(mistake for mistake in ALL if mistake.plate)
CHECKED = tuple(mistake for mistake in ALL if mistake.checked)


@dataclass(frozen=True)
class Told:
    """What the commands said of all mistakes."""

    project: ProjectResource
    instance: dg.DagsterInstance
    materialized: dict[str, Any]
    text: str
    status: str
    states: dict[str, Any]
    codes: dict[str, int]

    def findings(self, mistake: Mistake, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
        own = [found for found in listed if found["partition"] == mistake.key or not mistake.plate]
        return [found for found in own if found["code"] == mistake.code]


def name(mistake: Mistake) -> str:
    return mistake.dataset


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("mistakes")
    incoming = folder / "data" / "incoming"
    (folder / "home").mkdir()
    for mistake in ALL:
        write_screen(incoming / mistake.dataset)
        if mistake.spoil is not mistakes.shrink_the_store:
            mistake.spoil(incoming / mistake.dataset)
    write_screen(incoming / "healthy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOIMAGE_DATA_DIR", str(folder / "data"))
        patch.setenv("DAGSTER_HOME", str(folder / "home"))
        run = _prepare(patch)
        run("materialize", "--plates", "shrink-the-store/P1")
        mistakes.shrink_the_store(incoming / "shrink-the-store")
        code, out = run("materialize", "--json")
        text_code, text = run("materialize")
        _, status = run("status")
        _, states = run("status", "--json")
        strict_code, _ = run("status", "--strict")
    codes = {"materialize": code, "text": text_code, "strict": strict_code}
    instance = dg.DagsterInstance.from_config(str(folder / "home"))
    project = ProjectResource(data_dir=str(folder / "data"))
    return Told(project, instance, json.loads(out), text, status, json.loads(states), codes)


def _prepare(patch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Commands as a shell calls them, but in this process, plates included."""
    from contextlib import redirect_stderr, redirect_stdout
    from functools import partial
    from io import StringIO

    from bioimage_assets import headless
    from bioimage_assets.sensors import requests

    build = headless.materialize_plates
    patch.setattr(
        headless,
        "materialize_plates",
        lambda instance, **words: build(instance, **{**words, "is_isolated": False, "with_datasets": False}),
    )
    patch.setattr(progress, "FIRST_AFTER_S", 1e6)
    # One run for all, and a run each for the few that are tried again.
    patch.setattr(requests, "SINGLE_RUNS", len(TAKEN) // 2)

    def run(*arguments: str) -> tuple[int, str]:
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()):
            code = main(list(arguments))
        return code, out.getvalue()

    return partial(run)


def _holds(text: str, words: tuple[str, ...]) -> bool:
    return all(word in text for word in words)


@pytest.mark.parametrize("mistake", TAKEN, ids=name)
def test_it_stands_found_with_its_severity_and_says_what_to_do(told: Told, mistake: Mistake):
    groups = read_standing_findings(told.project.tables(), [mistake.key])[mistake.key]
    (found,) = [group for group in groups if group.code == mistake.code]
    assert found.severity == mistake.severity
    assert _holds(found.message, mistake.words), found.message


@pytest.mark.parametrize("mistake", ALL, ids=name)
def test_materialize_says_it_at_its_end_and_in_json(told: Told, mistake: Mistake):
    (found,) = told.findings(mistake, told.materialized["findings"])
    assert found["severity"] == mistake.severity
    assert _holds(found["message"], mistake.words), found["message"]
    if not mistake.plate:  # about the watched roots, not about a plate that was built: on standard error
        return
    start = f"failed: {mistake.key}" if mistake.code == FAILED else f"{mistake.severity}: {mistake.code}"
    lines = [line for line in told.text.splitlines() if line.startswith(start) and mistake.key in line]
    assert any(_holds(line, (*mistake.words, mistake.code)) for line in lines), lines


@pytest.mark.parametrize("mistake", [mistake for mistake in TAKEN if mistake.code == FAILED], ids=name)
def test_a_plate_that_failed_has_the_code_of_its_error_on_the_screen_and_in_json(
    told: Told, mistake: Mistake
):
    (line,) = [line for line in told.text.splitlines() if line.startswith(f"failed: {mistake.key}: ")]
    code = line.removesuffix(f", {FAILED})").rpartition(" (")[2]
    explained = find_code(code)
    assert explained is not None, line
    assert explained.family is ERRORS
    (outcome,) = [o for o in told.materialized["outcomes"] if o["partition"] == mistake.key]
    assert outcome["code"] == code
    (row,) = [row for row in told.states["plates"] if row["plate"] == mistake.key]
    assert row["failure_code"] == code
    assert f"({code}, {FAILED})" in next(line for line in told.status.splitlines() if mistake.dataset in line)


@pytest.mark.parametrize("mistake", ALL, ids=name)
def test_status_says_it(told: Told, mistake: Mistake):
    listed = told.states["standing" if mistake.plate else "not_understood"]
    (found,) = told.findings(mistake, listed)
    assert _holds(found["message"], mistake.words)
    if not mistake.is_worst:
        return
    lines = [line for line in told.status.splitlines() if mistake.dataset in line]
    wanted = "failed: " if mistake.code == FAILED else mistake.code
    assert any(wanted in line or _holds(line, mistake.words) for line in lines), lines


@pytest.mark.parametrize("mistake", TAKEN, ids=name)
def test_the_page_of_the_plate_says_it(told: Told, mistake: Mistake):
    page = told.project.settings.reports_dir / "plates" / f"{mistake.key}.html"
    assert mistake.code in page.read_text()


Verdicts = dict[tuple[str, str], dict[str, dg.AssetCheckEvaluation]]


@pytest.fixture(scope="module")
def verdicts(told: Told) -> Verdicts:
    """The latest verdict of each check, by table and plate; the history of a check is long and read once."""
    found: Verdicts = defaultdict(dict)
    tables = {"joined_profiles", *(mistake.checked for mistake in CHECKED)}
    for check in (key for definition in PLATE_CHECKS for key in definition.check_keys):
        table = check.asset_key.to_user_string()
        if table not in tables:
            continue
        records = told.instance.event_log_storage.get_asset_check_execution_history(check, limit=500)
        for event in (record.event.dagster_event for record in records):  # the latest first
            if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                one = event.asset_check_evaluation_data
                found[table, one.partition].setdefault(check.name, one)
    return found


@pytest.mark.parametrize("mistake", CHECKED, ids=name)
def test_the_check_of_the_table_shows_it_as_a_warning(verdicts: Verdicts, mistake: Mistake):
    last = verdicts[mistake.checked, mistake.key][GATE]
    assert (last.passed, last.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert mistake.code in str(last.metadata["findings"].value)


@pytest.mark.parametrize("mistake", CHECKED, ids=name)
def test_what_is_wrong_with_the_join_is_red_on_the_joined_cells_and_nothing_else_is(
    verdicts: Verdicts, mistake: Mistake
):
    joined = verdicts["joined_profiles", mistake.key]
    assert set(joined) == {
        GATE, UNLINKED, UNCOUNTED, "rows_in_are_rows_out", "pixels_confirm_the_join"
    }  # fmt: skip
    red = {
        name
        for name, verdict in joined.items()
        if not verdict.passed and verdict.severity is dg.AssetCheckSeverity.ERROR
    }
    assert red == RED.get(mistake.spoil, set())


def test_plates_that_fail_or_are_not_taken_make_the_exit_code(told: Told):
    failed = {
        o["partition"]
        for o in told.materialized["outcomes"]
        if o["status"] == "failed" and "/" in o["partition"]
    }
    assert failed == {mistake.key for mistake in ALL if mistake.code == FAILED}
    assert told.codes == {"materialize": 1, "text": 1, "strict": 1}


def test_nothing_is_said_of_a_healthy_plate(told: Told):
    standing = read_standing_findings(told.project.tables(), ["healthy/P1", "healthy"])
    codes = {group.code for groups in standing.values() for group in groups if group.severity != "info"}
    assert codes <= {UNPROVEN}
    (row,) = [row for row in told.materialized["summary"] if row["plate"] == "healthy/P1"]
    assert (row["images"], row["cells"], row["matched"]) == (16, 64, 64)


@pytest.mark.skipif(not IS_ROOT, reason="who is not root has these among all mistakes")
def test_files_that_may_not_be_read_need_a_user_that_is_not_root():
    assert all(mistake not in ALL for mistake in LOCKED)
