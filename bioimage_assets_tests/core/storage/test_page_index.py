"""The index of all pages is what lies in the folder: after every page that is stored or removed, whoever else writes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.model.identity import build_key_part, build_plate_key
from bioimage_assets.core.page_html import MADE_HERE, build_document
from bioimage_assets.core.storage import page_index
from bioimage_assets.core.storage.page_index import list_pages, write_index
from bioimage_assets.core.storage.pages import (
    link_index,
    link_page,
    locate_page,
    locate_pictures,
    read_page_fingerprint,
    remove_page,
    write_page,
)
from bioimage_assets.core.storage.plate_table import Page, PageSummary
from bioimage_assets_tests.builders.at_once import run_at_once
from bioimage_assets_tests.core.pictures.page_reader import ReadPage, read_page

BAD = PageSummary(cells=207, linked=0, errors=1, warnings=2, worst="no-cell-linked")
HOSTILE = ("<img src=x onerror=alert(1)>", "a b#c?d%e", "index", "..", "ä" * 200, "P1.v2", "\"&'", "-- >")


def store(reports: Path, key: str, summary: PageSummary = PageSummary()) -> Path:  # noqa: B008 (frozen)
    page = Page(
        build_document(key, f"<p>{MADE_HERE}</p>"), {"plate_overview": b"png"}, frozenset({"plate_overview"}), summary
    )  # fmt: skip
    return write_page(reports, key, page, "abc", "run-<1>")


def read_index(reports: Path) -> ReadPage:
    return read_page((reports / "index.html").read_text())


def test_the_index_lists_datasets_and_plates_with_links_that_resolve(tmp_path: Path) -> None:
    store(tmp_path, "screen")
    store(tmp_path, "screen/P1", BAD)
    store(tmp_path, "screen/P2", PageSummary(cells=10, linked=10, worst="all-is-well"))
    store(tmp_path, "alone/P1", PageSummary())
    page = read_page(write_index(tmp_path).read_text())
    assert page.broken_links(tmp_path / "index.html") == []
    assert sorted(page.links) == [
        "datasets/screen.html", "plates/alone/P1.html", "plates/screen/P1.html", "plates/screen/P2.html",
    ]  # fmt: skip
    assert page.facts == {
        "datasets": "2", "plates": "3", "cells": "217", "cells linked to an image": "10", "plates with errors": "1",
    }  # fmt: skip
    assert "1 error, 2 warnings" in page.text
    assert "no-cell-linked" in page.text
    assert "all-is-well" not in page.text  # neither an error nor a warning


def test_the_worst_finding_of_a_plate_says_what_to_do_where_the_pointer_rests(tmp_path: Path) -> None:
    store(tmp_path, "screen/P1", PageSummary(errors=1, worst="missing-well"))
    store(tmp_path, "screen/P2", BAD)
    html = write_index(tmp_path).read_text()
    assert (
        '<code title="Copy the well (folder `&lt;row&gt;/&lt;column&gt;`) again and scan again.">missing-well</code>'
        in html
    )
    assert "<code>no-cell-linked</code>" in html, "no code of this project"


def test_a_page_says_when_it_was_made_by_which_run_and_the_summary_says_the_same(tmp_path: Path) -> None:
    path = store(tmp_path, "screen/P1", BAD)
    html = path.read_text()
    assert MADE_HERE not in html
    assert read_page_fingerprint(tmp_path, "screen/P1") == "abc"
    summary = json.loads((tmp_path / "plates" / "screen" / "P1.json").read_text())
    assert f"Made {summary['made_at']} by run run-&lt;1&gt;." in html
    assert (summary["partition"], summary["linked"], summary["worst"]) == ("screen/P1", 0, "no-cell-linked")


def test_the_same_page_stored_again_differs_in_its_date_and_run_alone(tmp_path: Path) -> None:
    first = store(tmp_path / "one", "screen/P1").read_text().splitlines()
    second = store(tmp_path / "two", "screen/P1").read_text().splitlines()
    assert [a for a, b in zip(first, second, strict=True) if a != b and 'class="made"' not in a] == []


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text_and_their_links_resolve(tmp_path: Path, name: str) -> None:
    key, dataset = build_plate_key(name, name), build_key_part(name)
    paths = {part: store(tmp_path, part, PageSummary(worst=name)) for part in (key, dataset)}
    write_index(tmp_path)
    page = read_index(tmp_path)
    assert page.broken_links(tmp_path / "index.html") == []
    assert len(page.links) == 2
    assert "img" not in page.tags
    for here, there in ((key, dataset), (dataset, key)):
        links = (link_page(here, there), link_index(here))
        parsed = read_page("".join(f'<a href="{link}">x</a>' for link in links))
        assert parsed.broken_links(paths[here]) == []


def test_a_removed_page_leaves_the_index_and_takes_its_files_along(tmp_path: Path) -> None:
    store(tmp_path, "screen/P1")
    kept = store(tmp_path, "screen/P2")
    write_index(tmp_path)
    for _ in range(2):
        remove_page(tmp_path, "screen/P1")
    write_index(tmp_path)
    assert read_index(tmp_path).links == ["plates/screen/P2.html"]
    assert not locate_pictures(locate_page(tmp_path, "screen/P1")).exists()
    assert {path.name for path in kept.parent.iterdir()} == {"P2.html", "P2.json", "P2_pictures"}


@pytest.mark.parametrize(
    "content", [None, b"", b"[1]", b"{" * 5000, b'{"cells": "<b>", "worst": 7}', b"\xff\xfe"]
)
def test_a_page_whose_summary_cannot_be_read_is_listed_by_its_name(
    tmp_path: Path, content: bytes | None
) -> None:
    path = store(tmp_path, "screen/P1").with_suffix(".json")
    path.unlink() if content is None else path.write_bytes(content)
    write_index(tmp_path)
    page = read_index(tmp_path)
    assert page.links == ["plates/screen/P1.html"]
    assert page.facts["cells"] == "0"


def test_writers_at_the_same_time_leave_an_index_of_all_pages_and_nothing_else(tmp_path: Path) -> None:
    def work(number: int) -> None:
        for plate in range(5):
            store(tmp_path, f"screen/P{number}-{plate}")
            write_index(tmp_path)

    run_at_once(work, 6)
    assert len(read_index(tmp_path).links) == 30
    assert not list(tmp_path.rglob(".*"))


def test_a_page_that_another_writer_stores_meanwhile_is_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other has written its index already; ours, with the older look, is renamed over it."""
    store(tmp_path, "screen/P1")
    build, late = page_index.build_index, ["screen/P2"]

    def build_then_wait(reports: Path, pages: page_index.Stamps) -> str:
        html = build(reports, pages)
        if late:
            store(tmp_path, late.pop())
        return html

    monkeypatch.setattr(page_index, "build_index", build_then_wait)
    write_index(tmp_path)
    assert read_index(tmp_path).links == ["plates/screen/P1.html", "plates/screen/P2.html"]


def test_two_thousand_plates_are_an_index_within_seconds_and_no_page_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2000):
        path = locate_page(tmp_path, f"screen/P{number:04d}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff not a page")
        path.with_suffix(".json").write_text('{"cells": 3, "linked": 3}')
    started = time.perf_counter()
    write_index(tmp_path)
    assert time.perf_counter() - started < 5
    page = read_index(tmp_path)
    assert (len(page.links), page.facts["cells"]) == (2000, "6,000")
    monkeypatch.setattr(page_index, "MAX_LISTED", 100)
    write_index(tmp_path)
    assert "and 1,900 more plates" in read_index(tmp_path).text


def test_a_folder_that_cannot_be_written_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BioimageError, match="BIOIMAGE_REPORTS"):
        write_index(tmp_path / "file" / "reports")


def test_temporary_files_and_others_are_no_pages(tmp_path: Path) -> None:
    store(tmp_path, "screen/P1")
    for name in (".P2.html.abc", "notes.txt", ".P3.html"):
        (tmp_path / "plates" / "screen" / name).write_text("")
    (tmp_path / "plates" / "loose.html").write_text("")
    assert list(list_pages(tmp_path)) == ["screen/P1"]
