"""What wants attention is said once, with count and places, and what nobody may miss stands in the head of a page."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from bioimage_assets.core.findings import Finding, group_findings
from bioimage_assets.core.page_html import Link
from bioimage_assets.core.pictures.dataset_report import DatasetTables, build_dataset_report
from bioimage_assets.core.pictures.html import build_html_report
from bioimage_assets.core.pictures.page_parts import PageFrame, ReportSection
from bioimage_assets.core.pictures.plate_report import build_plate_report
from bioimage_assets.core.pictures.plate_tables import PlateTables
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.pictures.page_reader import read_page

SETTINGS = DatasetSettings()
FIELDS = [f"A{number:02d}/0" for number in range(1, 25)]
LEVELS = tuple(
    Finding("missing-level", "warning", place, f"Field {place} has one level.") for place in FIELDS
)
LOST = Finding("plate-lost", "error", "", "Everything is lost.")
NOTE = Finding("repaired", "info", "A01", "A name was repaired.")
CONFIRMED = Finding("links-confirmed-by-pixels", "info", "", "40 of 40 cells.")
CONTRADICTED = Finding("links-contradicted-by-pixels", "error", "", "Site offset 1 fits better.")
NOT_PROVEN = Finding("links-not-proven-by-pixels", "warning", "", "Not proven by pixels: too few cells.")


def joined(matched: int, lost: int) -> pa.Table:
    return pa.table(
        {
            "outcome": ["matched", "profiles-without-image"],
            "join_rule": ["plate_well_site", None],
            "row_count": [matched, lost],
        }
    )


def test_findings_of_one_code_are_one_entry_with_count_and_places() -> None:
    page = read_page(build_plate_report(PlateTables("s/P1", SETTINGS, findings=(NOTE, *LEVELS, LOST))).html)
    assert [(f.severity, f.code) for f in page.findings] == [
        ("error", "plate-lost"), ("warning", "missing-level"), ("info", "repaired"),
    ]  # fmt: skip
    levels = page.findings[1]
    assert "24 times" in levels.head
    assert levels.places == f"24 places: {', '.join(FIELDS[:12])} and 12 more"
    assert levels.text == "Field A01/0 has one level."
    assert page.findings[2].places == "place: A01"
    whole = page.folded["All 26 findings"]
    assert all(place in whole.split("\n") for place in FIELDS)


def test_the_whole_list_of_findings_is_bounded() -> None:
    many = tuple(Finding("missing-level", "warning", f"field {n}", f"Level of {n}.") for n in range(5000))
    page = read_page(build_plate_report(PlateTables("s/P1", SETTINGS, findings=many)).html)
    assert "field 399\n" in page.folded["All 5,000 findings"]
    assert "field 400\n" not in page.folded["All 5,000 findings"]
    assert "and 4,600 more rows" in page.text


def test_a_dataset_page_names_the_plates_of_a_finding() -> None:
    plates = {f"s/P{number}": LEVELS[:number] for number in range(1, 4)} | {"s/P%209": (LOST,)}
    groups = tuple(group for key, found in plates.items() for group in group_findings(key, found))
    report = build_dataset_report(DatasetTables("s", SETTINGS, findings=(NOTE,), of_plates=groups))
    page = read_page(report.html)
    found = {finding.code: finding for finding in page.findings}
    assert page.findings[0].code == "plate-lost"
    assert found["plate-lost"].places == "plate: P 9"
    assert found["missing-level"].places == "3 plates: P1, P2 (2), P3 (3)"
    assert "6 times" in found["missing-level"].head
    assert found["missing-level"].text == "Plate P1: Field A01/0 has one level."
    assert "P3" in page.folded["Findings of each plate"]


def test_names_in_findings_and_links_are_text() -> None:
    evil = "<img src=x onerror=alert(1)>'\""
    finding = Finding(evil, "warning", evil, evil, evil)
    frame = PageFrame(links=(Link(evil, "a%20b.html"),))
    report = build_html_report(
        evil, evil, [(evil, evil)], (finding, replace(finding, location="b")), (), frame
    )
    page = read_page(report.html)
    assert page.sources == []
    assert "img" not in page.tags
    assert page.findings[0].text == evil
    assert page.links == ["a%20b.html"]


def test_a_plate_without_measurements_says_so_in_its_head() -> None:
    page = read_page(build_plate_report(PlateTables("s/P1", SETTINGS, is_unmeasured=True)).html)
    ((tone, text),) = page.notices
    assert tone == "warning"
    assert text.startswith("No measurements: ")
    assert "No measurements, so that there is nothing to judge." in page.text
    assert "step has not run yet" not in page.text


def test_a_plate_without_a_linked_cell_says_that_as_an_error_and_nothing_good() -> None:
    findings = (CONFIRMED,)
    report = build_plate_report(PlateTables("s/P1", SETTINGS, join_report=joined(0, 207), findings=findings))
    ((tone, text),) = read_page(report.html).notices
    assert tone == "error"
    assert text.startswith("0 of 207 cells are linked to an image")
    assert "Every cell is accounted for" not in report.html
    assert "0 profile rows are linked" in report.html


@pytest.mark.parametrize(
    ("matched", "lost", "notices"),
    [
        (207, 0, []),
        (1, 206, [("warning", "1 of 207 cells is linked to an image.")]),
        (0, 0, []),
    ],
)
def test_linked_cells_are_counted_in_the_head_where_some_are_not(
    matched: int, lost: int, notices: list[tuple[str, str]]
) -> None:
    report = build_plate_report(PlateTables("s/P1", SETTINGS, join_report=joined(matched, lost)))
    assert read_page(report.html).notices == notices
    alone = PlateTables("s/P1", SETTINGS, join_report=joined(matched, lost), is_imageless=True)
    assert read_page(build_plate_report(alone).html).notices == []


@pytest.mark.parametrize(
    ("finding", "notice"),
    [
        (CONFIRMED, ("good", "40 of 40 cells.")),
        (CONTRADICTED, ("error", "Site offset 1 fits better.")),
        (NOT_PROVEN, ("warning", "Not proven by pixels: too few cells.")),
        (replace(NOT_PROVEN, severity="info"), ("info", "Not proven by pixels: too few cells.")),
    ],
)
def test_the_verdict_of_the_pixels_stands_in_the_head(finding: Finding, notice: tuple[str, str]) -> None:
    page = build_plate_report(
        PlateTables("s/P1", SETTINGS, join_report=joined(207, 0), findings=(finding,))
    ).html
    assert read_page(page).notices == [notice]


def test_pictures_are_links_to_their_files_and_pages_fit_a_phone() -> None:
    tables = PlateTables("s/P1", SETTINGS, join_report=joined(200, 7))
    frame = PageFrame(pictures_path="P1_pictures")
    report = build_plate_report(tables, frame)
    page = read_page(report.html)
    files = [f"P1_pictures/{picture.name}.png" for picture in report.pictures]
    assert files
    assert [link for link in page.links if not link.startswith("#")] == files
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.metas


def test_terms_are_explained_once_below_their_table() -> None:
    section = ReportSection("S", "text", terms=(("strength", "one <thing>"),))
    html = build_html_report("t", "", (), (), [section]).html
    assert "<dt>strength</dt><dd>one &lt;thing&gt;</dd>" in html


def test_cause_remedy_and_setting_of_a_code_stand_on_the_page_itself() -> None:
    offset = Finding("site-offset", "error", "A01", "Off by one.")
    page = read_page(build_plate_report(PlateTables("s/P1", SETTINGS, findings=(offset, NOTE))).html)
    explained = {finding.code: finding.explained for finding in page.findings}
    assert "Cause. CellProfiler counts sites from one" in explained["site-offset"]
    assert "What to do. Write the line of the message" in explained["site-offset"]
    assert explained["site-offset"].endswith("[join]\nprofile_site_offset = 1")
    assert "`" not in explained["site-offset"], "code is told by its letters"
    assert explained[NOTE.code] == "", "no code of this project"
