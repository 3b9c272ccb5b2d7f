"""What `materialize` says at its end: a row per plate, one line per code that stands found, reasons and pages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bioimage_assets.cli.finding_lines import say_findings
from bioimage_assets.cli.run_report import build_run_json, print_run_report
from bioimage_assets.cli.taken_up import TakenUp
from bioimage_assets.core.findings import Finding, FindingGroup
from bioimage_assets.failed_plates import FailedPartition
from bioimage_assets.headless import HeadlessReport
from bioimage_assets.headless_runs import PlateOutcome
from bioimage_assets.summary import PlateSummary, StoredSummary

OFFSET = "Every site is off by one. Write [join] profile_site_offset = 1 in data/incoming/scr/dataset.toml."
PLACES = ("A01/0", "A01/1", "A02/0", "A02/1")


def group(partition: str, code: str = "site-offset", severity: str = "error", count: int = 4) -> FindingGroup:
    return FindingGroup(partition, code, severity, count, PLACES[:count], OFFSET)  # type: ignore[arg-type]


def test_a_line_has_severity_code_count_first_places_and_what_to_write():
    (line,) = say_findings([group("scr/P1")])
    assert line == f"error: site-offset, 4 times in scr/P1 (A01/0, A01/1, A02/0 …): {OFFSET}"


def test_plates_of_one_dataset_share_a_line_and_those_of_another_have_their_own_file():
    keys = [f"scr/P{number}" for number in range(5)]
    lines = say_findings([*(group(key, count=1) for key in keys), group("other/P1", count=1)])
    assert lines[0].startswith("error: site-offset, 5 times in 5 plates (scr/P0, scr/P1, scr/P2 …): ")
    assert lines[1].startswith("error: site-offset, in other/P1 (A01/0): ")
    assert len(lines) == 2


def test_a_dataset_is_not_counted_among_plates():
    (line,) = say_findings([group("scr", count=1), group("scr/P1", count=1)])
    assert line.startswith("error: site-offset, 2 times in 2 plates and datasets (scr, scr/P1): ")


def test_errors_come_before_warnings_of_earlier_plates():
    lines = say_findings([group("scr/P1", "few-cells", "warning"), group("scr/P2")])
    assert [line.partition(",")[0] for line in lines] == ["error: site-offset", "warning: few-cells"]


@pytest.fixture
def report() -> HeadlessReport:
    return HeadlessReport(
        plates=[
            PlateOutcome("scr/P1", "current"),
            PlateOutcome(
                "scr/P2", "failed", 2.5, "run", "measure_plates: Cells.csv is cut off (measurement-error)"
            ),
        ],
        datasets=[PlateOutcome("scr", "built", 1.0, "run")],
        findings=[Finding("unreadable-root", "error", "roots/b", "It cannot be listed.", "roots/b")],
    )


@pytest.fixture
def summary(tmp_path: Path) -> StoredSummary:
    return StoredSummary(
        (PlateSummary("scr/P1", 12, 0, 30, 207, 100, 3, 12), PlateSummary("scr/P2", *[0] * 3, *[None] * 4)),
        (group("scr/P1"), group("scr", "a-note", "info")),
        {**{f"scr/P{n}": tmp_path / f"P{n}.html" for n in range(13)}, "scr": tmp_path / "scr.html"},
    )


def test_the_table_the_findings_the_reason_and_the_pages_are_printed(report, summary, tmp_path, capsys):
    print_run_report(report, summary, tmp_path)
    text = capsys.readouterr().out
    table, said, pages = text.split("\n\n")
    assert table.startswith("plate   images  cells  matched  QC failed  wells  seconds  status\n")
    assert [line.split() for line in table.splitlines()[1:]] == [
        ["scr/P1", "12", "207", "100", "3", "12", "0.0", "up", "to", "date"],
        ["scr/P2", "0", "-", "-", "-", "-", "2.5", "failed"],
        ["scr", "-", "-", "-", "-", "-", "1.0", "built"],
    ]
    assert said.splitlines() == [
        f"error: site-offset, 4 times in scr/P1 (A01/0, A01/1, A02/0 …): {OFFSET}",
        "failed: scr/P2: measure_plates: Cells.csv is cut off (measurement-error, step-failed)",
    ]
    assert [name for name in ("P9.html", "P10.html") if name in pages] == ["P9.html"]
    assert f"… and 3 more below {tmp_path / 'plates'}" in pages
    assert pages.rstrip().endswith("scr.html")
    assert "bioimage-assets browse" in pages.splitlines()[0]


def test_why_a_plate_failed_is_said_once_and_a_failure_that_stands_of_another_is_a_finding(
    report, summary, tmp_path, capsys
):
    failed = [
        FindingGroup(
            key, "step-failed", "error", 1, ("measure_plates",), "measure_plates: Cells.csv is cut off"
        )
        for key in ("scr/P1", "scr/P2")
    ]
    print_run_report(report, replace(summary, findings=tuple(failed)), tmp_path)
    said = [line for line in capsys.readouterr().out.splitlines() if "cut off" in line]
    assert said == [
        "error: step-failed, in scr/P1 (measure_plates): measure_plates: Cells.csv is cut off",
        "failed: scr/P2: measure_plates: Cells.csv is cut off (measurement-error, step-failed)",
    ]


def test_a_plate_that_failed_and_is_gone_says_why_it_failed_and_how_to_forget_it():
    gone = FailedPartition("scr/P3", "measure_plates", "Cells.csv is cut off. (measurement-error)")
    (outcome,) = TakenUp(gone=[gone]).list_gone()
    assert outcome.status == "failed"
    assert outcome.message == (
        "measure_plates: Cells.csv is cut off. It is in no watched root any more: bring it back, or forget it with "
        "'bioimage-assets partitions remove scr/P3'. (measurement-error)"
    )


def test_json_has_all_of_it(report, summary, tmp_path):
    found = json.loads(json.dumps(build_run_json(report, summary), default=str))
    assert [o["status"] for o in found["outcomes"]] == ["current", "failed", "built"]
    assert [o["code"] for o in found["outcomes"]] == ["", "measurement-error", ""]
    root, offset, note = found["findings"]
    assert {"code", "severity", "location", "message", "store_uri", "partition", "count", "places"} <= set(
        root
    )
    assert set(root) == set(offset) == set(note)
    assert (root["partition"], root["location"], root["places"]) == ("", "roots/b", ["roots/b"])
    assert (offset["partition"], offset["count"], offset["places"]) == ("scr/P1", 4, list(PLACES))
    assert (offset["message"], note["severity"]) == (OFFSET, "info")
    assert found["summary"][0]["matched"] == 100
    assert found["summary"][1]["status"] == "failed"
    assert len(found["pages"]) == 14
    assert found["pages"][0] == {"partition": "scr/P0", "page": str(tmp_path / "P0.html")}


def test_what_could_not_be_read_is_said(report, summary, tmp_path, capsys):
    print_run_report(report, replace(summary, plates=(), unread=("rows could not be counted: x",)), tmp_path)
    assert "Warning: rows could not be counted: x" in capsys.readouterr().err
