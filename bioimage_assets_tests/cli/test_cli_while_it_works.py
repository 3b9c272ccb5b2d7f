"""While `materialize` works it says the step; afterwards what to type next, and where the log is."""

from __future__ import annotations

import io
import sys

import dagster as dg
import pyarrow as pa
import pytest

from bioimage_assets.cli.main import main
from bioimage_assets.cli.step_display import StepDisplay
from bioimage_assets.cli.what_next import find_logs, say_command, say_what_next
from bioimage_assets.headless import HeadlessReport
from bioimage_assets.headless_runs import PlateOutcome
from bioimage_assets.run_progress import StepProgress, count_rows, listen, tell_step
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate

JOIN = StepProgress("join_plates", 3, 9)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_log_a_step_is_one_line_however_often_it_is_told(capsys):
    display = StepDisplay()
    for rows in (0, 1000, 2000):
        display.show_step("scr/P1", StepProgress("join_plates", 3, 9, rows, 100.0))
    display.show_step("scr/P1", StepProgress("plate_completeness", 4, 9))
    assert capsys.readouterr().err.splitlines() == [
        "scr/P1: step 3 of 9, join_plates",
        "scr/P1: step 4 of 9, plate_completeness",
    ]


def test_on_a_terminal_it_stands_in_place_and_gives_way_to_other_lines(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    display = StepDisplay()
    display.show_step("scr/P1", StepProgress("join_plates", 3, 9, 12345, 1000.0))
    display.say("[1/1] scr/P1: built")
    assert sys.stderr.getvalue() == (  # type: ignore[attr-defined]
        "\r\x1b[Kscr/P1: step 3 of 9, join_plates, 12,345 cells, 1,000/s\r\x1b[K[1/1] scr/P1: built\n"
    )


def test_steps_and_streamed_rows_are_told_to_the_listener_of_the_run_alone(monkeypatch):
    monkeypatch.setattr("bioimage_assets.run_progress.EVERY_S", 0.0)
    batches = [pa.record_batch({"a": [1, 2]}), pa.record_batch({"a": [3]})]

    def stream() -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(batches[0].schema, batches)

    told: list[StepProgress] = []
    tell_step("nobody listens")
    with listen(told.append, "plate_pipeline", ["single_cells", "joined_profiles"]):
        tell_step("measure_plates")
        tell_step("join_plates")
        assert count_rows(stream()).read_all().num_rows == 3
        assert count_rows(None) is None
    assert [(one.step, one.number, one.count, one.rows) for one in told] == [
        ("measure_plates", 1, 2, 0), ("join_plates", 2, 2, 0), ("join_plates", 2, 2, 2), ("join_plates", 2, 2, 3)
    ]  # fmt: skip
    reader = stream()
    assert count_rows(reader) is reader


def test_a_failed_plate_says_what_to_type_next():
    report = HeadlessReport(
        [PlateOutcome("scr/P 1", "failed", run_id="r"), PlateOutcome("scr/P2", "built")],
        [PlateOutcome("scr", "current")],
    )
    *_, last = say_what_next(report, {"scr/P 1": "run r"})
    assert last.endswith("bioimage-assets materialize --plates 'scr/P 1' -v")
    assert say_what_next(HeadlessReport(), {}) == []
    assert say_command([f"scr/P{n}" for n in range(9)]) == "bioimage-assets materialize"
    assert say_command([], select=["image_assets"], force=True).endswith("--select image_assets --force")


def test_where_the_log_of_a_failed_run_is(tmp_path):
    instance = dg.DagsterInstance.local_temp(str(tmp_path))
    report = HeadlessReport([PlateOutcome("scr/P1", "failed", run_id="r1"), PlateOutcome("scr/P2", "built")])
    assert find_logs(instance, report) == {"scr/P1": f"run r1 of the Dagster instance {tmp_path}"}
    folder = tmp_path / "storage" / "r1" / "compute_logs"
    folder.mkdir(parents=True)
    assert find_logs(instance, report)["scr/P1"].endswith(f"what its steps printed: {folder}")
    (tmp_path / ".tmp_dagster_home_x").mkdir()
    short_lived = dg.DagsterInstance.local_temp(str(tmp_path / ".tmp_dagster_home_x"))
    assert find_logs(short_lived, report) == {}


def test_an_interrupted_call_says_how_to_go_on(plates, run, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bioimage_assets.headless.materialize_plates", interrupt)
    outcome = run("materialize", "--plates", "screen/p1", "--force")
    assert outcome.code == 130
    assert outcome.err.splitlines() == [
        "To go on: bioimage-assets materialize --plates screen/p1 --force",
        "Error: interrupted; what was stored before is complete",
    ]


def test_an_interrupted_query_is_one_line_and_not_a_traceback(project, run, monkeypatch):
    """DuckDB answers a Ctrl-C with an error of its own."""

    def interrupt(*_: object, **__: object) -> None:
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr("bioimage_assets.cli.query_commands.print_table", interrupt)
    outcome = run("query", "SELECT 1")
    assert outcome.code == 130
    assert outcome.err.splitlines() == ["Error: interrupted; what was stored before is complete"]


@pytest.fixture
def plates(project, monkeypatch):
    home = project / "dagster-home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    write_pixel_plate(project / "data" / "incoming" / "screen" / "p1.ome.zarr", fields=1, levels=1)
    return project


@pytest.mark.slow
def test_the_worker_tells_its_steps_and_with_v_its_log(plates, capfd):
    words = [
        "materialize",
        "--plates",
        "screen/p1",
        "--select",
        "image_assets",
        "single_cells",
        "joined_profiles",
    ]
    assert main(words) == 0
    said = capfd.readouterr().err
    assert "of 3, scan_plates\n" in said
    assert "screen/p1: step 3 of 3, join_plates\n" in said
    assert "STEP_START" not in said
    assert "nanobind" not in said
    assert main([*words, "-v"]) == 0
    assert "STEP_START" in capfd.readouterr().err
