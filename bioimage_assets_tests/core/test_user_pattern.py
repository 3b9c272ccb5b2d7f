"""Regular expressions that come with data: all that Python knows, none without an end."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bioimage_assets.core import user_pattern
from bioimage_assets.core.discovery.dataset_file import parse_dataset_settings
from bioimage_assets.core.errors import SettingsError, UsageError
from bioimage_assets.core.formats.plate_folders.patterns import build_user_parser, parse_by_user
from bioimage_assets.core.measurements.positions import parse_position
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets.core.settings.dataset_keys import DATASET_KEYS
from bioimage_assets.core.user_pattern import MAX_PATTERN_LENGTH, UserPattern, find_user_pattern
from bioimage_assets_tests.builders.tiff_plates import write_plane

NAMES = [
    "P1_A01_s1_w2.tif",
    "x/P2_B12_s30_w1.tif",
    "Plätte µ_C03_s2_w1.tif",
    "none.tif",
    "a\nb_D04_s4_w1.tif",
    "\udce4",
    "",
]
PATTERNS = [
    r"(?P<well>[A-P]\d{2})_s(?P<site>\d+)_w(?P<channel>\d)\.tif",
    r"(?P<plate>\w+ ?\w*)_(?P<well>[A-P]\d\d)",  # letters beyond ASCII are letters
    r"^(?P<plate>[^_]+)_(?P<well>[A-P]\d\d)_s(?P<site>\d+)(?!0)",  # look-ahead
    r"(?<=_)(?P<well>[A-P]\d\d)(?=_s)",  # look-behind
    r"(?P<row>[A-P])(?P<column>\d)(?P=column)?",  # back reference
    r"(?i)(?P<well>[a-p]\d++)_S(?P<site>\d+)$|(?P<z>\d+)",  # possessive, an open group
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_finds_what_pythons_own_engine_finds(pattern: str) -> None:
    regex = re.compile(pattern)
    matches = [regex.search(name) or regex.search(name.rpartition("/")[2]) for name in NAMES]
    found = UserPattern(pattern)
    assert found.groups == tuple(regex.groupindex)
    assert found.search(NAMES) == [None if match is None else match.groupdict() for match in matches]


ENDLESS = [
    r"(?P<well>(a+)+)$",
    r"(?P<well>(a|aa)+)$",
    r"(?P<well>(?:.*)*x.*)Q",
    r"(?P<well>.*.*.*.*.*.*.*.*)=Q",
]
HOSTILE_NAME = f"{'a' * 200}b.tif"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A twentieth of a second for each name, on a machine that does other things, too."""
    monkeypatch.setitem(user_pattern.LIMITS, "name_s", 0.05)
    find_user_pattern.cache_clear()
    yield
    find_user_pattern.cache_clear()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("pattern", ENDLESS)
def test_a_pattern_that_does_not_end_is_an_error_that_names_it_the_place_and_the_name(pattern: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_user_parser(pattern)(HOSTILE_NAME)
    message = str(caught.value)
    for words in (repr(pattern), "[images] in dataset.toml", HOSTILE_NAME[:100], "write [^_]+"):
        assert words in message
    assert build_user_parser(pattern)("b") is None  # the next question is answered by a new process


@pytest.mark.usefixtures("impatient")
def test_a_pattern_that_does_not_end_stops_the_scan_of_its_plate_alone(tmp_path: Path) -> None:
    write_plane(tmp_path / HOSTILE_NAME)
    with pytest.raises(UsageError, match="without end"):
        scan_store_records(str(tmp_path), options=ScanOptions(file_pattern=ENDLESS[0]))
    with pytest.raises(UsageError, match="without end"):
        parse_position(HOSTILE_NAME, ENDLESS[0])
    assert len(scan_store_records(str(tmp_path)).images) == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(" * 3_000, "regular expression"), ("a{99999999999}(?P<well>x)", "too large"), ("(?P<well>x", "unterminated"),
        (r"(?<well>x)", "unknown extension"), ("x" * (MAX_PATTERN_LENGTH + 1), "at most 4,096"),
        ("(?i)" + "[\x00-\U0010ffff]" * 300, "too long to compile"),
    ],
    ids=["deep", "huge repeat", "open group", "other dialect", "long", "slow to compile"],
)  # fmt: skip
def test_a_pattern_that_cannot_be_compiled_is_an_error_of_the_settings_file(pattern: str, words: str) -> None:
    text = f"[images]\nfile_pattern = {_toml(pattern)}\n"
    with pytest.raises(SettingsError, match=words) as caught:
        parse_dataset_settings(text, "screen/dataset.toml")
    assert str(caught.value).startswith("screen/dataset.toml: images.file_pattern: ")
    assert len(str(caught.value)) < 1_000
    with pytest.raises(UsageError, match="no regular expression"):
        build_user_parser(pattern)


def _toml(text: str) -> str:
    return '"' + "".join(f"\\U{ord(sign):08x}" if not sign.isalnum() else sign for sign in text) + '"'


def test_names_longer_than_any_path_are_not_searched_and_cost_nothing() -> None:
    pattern = UserPattern(r"(?P<well>A01)|^$")
    assert pattern.search(["A01" * 10_000, "A01", "x" * 10**6]) == [None, {"well": "A01"}, None]


def test_the_pattern_of_the_documentation_reads_its_names() -> None:
    (key,) = [key for key in DATASET_KEYS if key.name == "file_pattern"]
    pattern = key.example.strip("'")
    parts = parse_by_user(pattern, ["P1_B03_s7_w2.tif"])["P1_B03_s7_w2.tif"]
    assert parts is not None
    assert (parts.plate, parts.well_id, parts.site_id, parts.channel) == ("P1", "B03", "7", "2")


def search_in_threads(pattern: UserPattern) -> list[str | None]:
    def search(number: int) -> str | None:
        (groups,) = pattern.search([f"x{number}_A{number % 24 + 1:02d}"])
        return None if groups is None else groups["well"]

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(search, range(200)))


def test_one_process_serves_all_threads_and_ends_with_its_pattern() -> None:
    pattern = UserPattern(r"(?P<well>[A-P]\d\d)")
    assert pattern._process is not None
    child = pattern._process._child
    assert search_in_threads(pattern) == [f"A{number % 24 + 1:02d}" for number in range(200)]
    assert pattern._process._child is child
    del pattern
    gc.collect()
    assert child.poll() is not None


def test_a_name_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = UserPattern(r"(?P<well>[A-P]\d\d)")
    process = pattern._process
    assert process is not None
    asked: list[object] = []
    ask = process.ask
    monkeypatch.setattr(process, "ask", lambda question: (asked.append(question), ask(question))[1])
    for _ in range(3):
        pattern.search(["A01", "B02", "A01"])
        pattern.search(["B02"])
    assert asked == [["A01", "B02"]]


def test_a_process_that_was_killed_or_does_not_answer_is_an_error_and_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pattern = UserPattern(r"(?P<well>[A-P]\d\d)")
    assert pattern._process is not None
    os.kill(pattern._process._child.pid, 9)
    with pytest.raises(UsageError):
        pattern.search(["A01"])
    assert pattern.search(["A01"]) == [{"well": "A01"}]
    monkeypatch.setattr(user_pattern, "_ANSWER_WITHIN_S", 0.2)
    os.kill(pattern._process._child.pid, 19)  # SIGSTOP: as a machine that stands still
    with pytest.raises(UsageError):
        pattern.search(["B02"])
    monkeypatch.undo()
    assert pattern.search(["B02"]) == [{"well": "B02"}]


def test_a_forked_process_asks_a_child_of_its_own() -> None:
    pattern = find_user_pattern(r"(?P<well>[A-P]\d\d)_forked")
    pattern.search(["A01_forked"])
    pid = os.fork()
    if pid == 0:
        os._exit(0 if pattern.search(["B02_forked"]) == [{"well": "B02"}] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert pattern.search(["C03_forked"]) == [{"well": "C03"}]
