"""Every code that the source can make is explained, and every code that is explained can be made; what is said of it exists."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from itertools import pairwise
from pathlib import Path

import click
import pytest

from bioimage_assets.cli.findings_reference import build_codes_page
from bioimage_assets.cli.main import COMMANDS, program
from bioimage_assets.core import errors
from bioimage_assets.core.finding_codes.catalogue import (
    ALL_FAMILIES,
    FAMILIES,
    find_code,
    find_near_codes,
    list_codes,
)
from bioimage_assets.core.finding_codes.record import CodeFamily, FindingCode
from bioimage_assets.core.findings import SEVERITIES
from bioimage_assets.core.model.table_specs import STEPS, TABLES
from bioimage_assets.core.settings.campaign_keys import CAMPAIGN_KEYS
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.settings.dataset_keys import DATASET_KEYS
from bioimage_assets.core.settings.toml_keys import read_keys
from bioimage_assets_tests.core.finding_codes.code_scan import PACKAGE, CodeScan, list_by_code, scan_codes

DOCS = PACKAGE.parent / "docs"
_KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
# Findings that are handed on, or read from a table: they were made elsewhere.
_HANDED_ON = ("finding.code", "issue.code", "g.code", "row['code']", "Finding(**found)")
# What no scan can follow: the expression, and the codes that it stands for. A module's name stands for all of its literals.
_BY_HAND: dict[tuple[str, str], tuple[str, ...]] = {
    ("core/formats/finding_log.py", "code"): (),
    ("core/formats/ome_tiff/ifds.py", "code"): ("ifd-loop", "ifd-chain-broken"),
    ("core/formats/ome_tiff/image_draft.py", "code"): (
        "missing-planes", "data-cut-off", "data-short", "page-broken", "page-differs", "chunks-missing",
    ),
    ("core/formats/ome_zarr/images.py", "f'missing-{where}'"): ("missing-field", "missing-label", "missing-image"),
    ("core/formats/ome_zarr/images.py", "f'unreadable-{where}'"): (
        "unreadable-field", "unreadable-label", "unreadable-image",
    ),
    ("core/joins/build_report.py", "f'unknown-{what}'"): ("unknown-plate", "unknown-dataset"),
    ("core/profiling/profiling_report.py", "code"): (
        "cells-without-well", "well-without-platemap", "platemap-well-without-cells", "feature-unscaled",
        "feature-not-sphered", "value-not-finite", "well-few-cells", "value-extreme",
    ),
    ("core/samplesheets/nf_core.py", "reason"): (
        "several-planes-per-file", "several-time-points", "site-not-a-number", "not-a-tiff",
    ),
    ("core/samplesheets/planes.py", "reason"): ("label-not-listed", "zarr-not-listed", "well-not-known"),
}  # fmt: skip
# Rows of a failed step are written without a finding.
_WRITTEN_AS_ROWS = {"step-failed"}
# Severities that are not literals where the finding is made.
_OTHER_SEVERITIES = {"reserved-folder-holds-stores": {"info"}, "unclear-axis": {"info"}}

# Seen only where something else is written; the setting that is shown is that of no such line.
_UNDO_A_CHOICE = {
    "controls-centered", "harmony-moves-all", "image-quality-as-measured", "no-sphered-profiles", "wells-not-sphered",
}  # fmt: skip


@pytest.fixture(scope="module")
def scan() -> CodeScan:
    return scan_codes()


@pytest.fixture(scope="module")
def by_hand() -> set[str]:
    return {code for codes in _BY_HAND.values() for code in codes} | _WRITTEN_AS_ROWS


def _declared() -> dict[str, tuple[CodeFamily, FindingCode]]:
    return {code.code: (family, code) for family in FAMILIES for code in family.codes}


def _slugs(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#{1,6} (.+)$", page.read_text(), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()).strip() for heading in headings)
    return {re.sub(r"[ ]", "-", heading) for heading in plain}


def test_every_code_that_the_source_can_make_is_explained(scan, by_hand):
    unexplained = {
        code: [one.place for one in found]
        for code, found in list_by_code(scan).items()
        if code not in _declared()
    }
    assert not unexplained, "declare them in bioimage_assets/core/finding_codes/"
    assert by_hand <= _declared().keys()


def test_every_code_that_is_explained_can_be_made(scan, by_hand):
    assert not _declared().keys() - list_by_code(scan).keys() - by_hand


def test_every_place_of_a_code_is_followed_to_its_literals(scan):
    unknown = {
        (module, text)
        for module, text in scan.unresolved
        if text not in _HANDED_ON and not text.endswith("shard.key")
    }
    assert unknown == _BY_HAND.keys()


def test_codes_that_were_followed_by_hand_stand_in_their_modules():
    for (name, expression), codes in _BY_HAND.items():
        text = (PACKAGE / name).read_text()
        words = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
        assert all(
            code in words or (expression.startswith("f'") and code.partition("-")[2] in text)
            for code in codes
        )


def test_severities_are_those_of_the_source(scan, by_hand):
    wrong = {}
    for code, found in list_by_code(scan).items():
        known = {severity for one in found for severity in one.severities}
        declared = set(_declared()[code][1].severities)
        exact = None not in known and code not in by_hand
        expected = (known - {None}) | _OTHER_SEVERITIES.get(code, set())
        if expected - declared or (exact and expected != declared):
            wrong[code] = (sorted(expected), sorted(declared))
    assert not wrong


def test_severities_are_listed_once_the_worst_first():
    for family in ALL_FAMILIES:
        for code in family.codes:
            ranks = [SEVERITIES.index(severity) for severity in code.severities]
            assert ranks
            assert all(one < other for one, other in pairwise(ranks)), code.code


def test_no_code_is_explained_twice_and_each_is_kebab_case():
    counts = Counter(code.code for family in ALL_FAMILIES for code in family.codes)
    assert not [code for code, count in counts.items() if count > 1 or not _KEBAB.fullmatch(code)]


def test_meaning_cause_and_remedy_are_sentences_of_their_own():
    for family in ALL_FAMILIES:
        for code in family.codes:
            texts = (code.means, code.cause, code.remedy)
            assert len(set(texts)) == 3, code.code
            for text in texts:
                assert re.fullmatch(r"[`A-Z0-9].*\.", text, re.DOTALL), (code.code, text)
                assert text.count("`") % 2 == 0, (code.code, text)
                assert " " in text or text == "Nothing.", (code.code, text)


def test_every_setting_is_a_key_of_dataset_toml():
    keys = {key.path for key in DATASET_KEYS}
    named = 0
    for family in ALL_FAMILIES:
        for code in family.codes:
            for path in _list_paths(tomllib.loads(code.setting)):
                assert any(path == key or path.startswith(f"{key}.") for key in keys), (code.code, path)
                named += 1
    assert named > 50


def test_every_setting_is_taken_as_it_stands_and_changes_something():
    """Who copies a setting that holds already has changed nothing; but for those that undo another choice."""
    defaults = DatasetSettings()
    undone = set()
    for family in ALL_FAMILIES:
        for code in family.codes:
            for key, value in read_keys(tomllib.loads(code.setting), DATASET_KEYS, code.code):
                if value == getattr(defaults, key.field):
                    undone.add(code.code)
    assert undone == _UNDO_A_CHOICE


def _list_paths(table: dict[str, object], start: str = "") -> list[str]:
    paths = []
    for name, value in table.items():
        path = f"{start}{name}"
        paths += _list_paths(value, f"{path}.") if isinstance(value, dict) else [path]
    return paths


def test_every_key_that_a_message_names_stands_in_the_table_that_it_names():
    """Of all texts in the source: `[images] file_pattern`."""
    paths = {key.path for key in (*DATASET_KEYS, *CAMPAIGN_KEYS)}
    names = {path.rpartition(".")[2] for path in paths}
    wrong, right = [], 0
    for module in PACKAGE.rglob("*.py"):
        for table, name in re.findall(r"\[([a-z_]+)\] ([a-z_]+)", module.read_text()):
            if name in names and f"{table}.{name}" not in paths:
                wrong.append((module.name, table, name))
            right += name in names
    assert not wrong
    assert right > 50


def test_commands_files_and_keys_that_remedies_name_exist():
    keys = {key.path.rpartition(".")[2] for key in DATASET_KEYS}
    tables = {key.table for key in DATASET_KEYS}
    for family in ALL_FAMILIES:
        for code in family.codes:
            text = f"{code.means} {code.cause} {code.remedy}"
            for command in re.findall(r"`bioimage-assets ([a-z][a-z-]*)", text):
                assert command in COMMANDS, (code.code, command)
            for table, name in re.findall(r"`\[(?!campaigns)([a-z_.]+)\](?: ([a-z_]+))?", text):
                assert table in tables, (code.code, table)
                assert not name or name in keys, (code.code, name)


def test_options_that_remedies_name_are_those_of_the_command():
    found = 0
    for family in ALL_FAMILIES:
        for code in family.codes:
            for text in re.findall(r"`([^`]*)`", code.remedy):
                command = re.match(r"bioimage-assets ([a-z][a-z-]*)", text)
                names = [command[1]] if command else list(COMMANDS) if text.startswith("--") else []
                for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", text) if names else ():
                    assert option in _list_options(names), (code.code, text)
                    found += 1
    assert found > 5


def _list_options(names: list[str]) -> set[str]:
    context = click.Context(program)
    commands = [command for name in names if (command := program.get_command(context, name))]
    return {option for command in commands for param in command.params for option in param.opts}


def test_other_codes_that_remedies_name_are_explained_too():
    known = {code.lower() for code in list_codes()}
    for family in ALL_FAMILIES:
        for code in family.codes:
            for name in re.findall(
                r"(?:see|such as|or) `([a-z]+(?:-[a-z]+)+)`", f"{code.cause} {code.remedy}"
            ):
                assert name in known, (code.code, name)


def test_every_page_that_is_named_has_the_section_that_is_named():
    for family in ALL_FAMILIES:
        for code in family.codes:
            page, _, anchor = family.page_of(code).partition("#")
            assert (DOCS / page).is_file(), (code.code, page)
            assert not anchor or anchor in _slugs(DOCS / page), (code.code, page, anchor)


def test_every_table_and_command_where_codes_are_seen_exists():
    known = {*COMMANDS, *TABLES, *(step.name for step in STEPS), "plate_findings"}
    assert not {name for family in ALL_FAMILIES for name in family.seen_in} - known


def test_every_error_that_is_raised_on_purpose_is_explained():
    """Those that only gather others are not: `StoreError` is never what a message is of."""
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.BioimageError)
    }
    explained = {code.error_class for code in ALL_FAMILIES[-1].codes}
    assert classes - explained == {"BioimageError", "StoreError"}
    assert explained <= classes


def test_an_error_is_found_by_its_code_and_by_its_class_and_no_finding_has_a_class():
    for code in ALL_FAMILIES[-1].codes:
        assert getattr(errors, code.error_class).code == code.code
        assert find_code(code.error_class) is find_code(code.code)
    assert not [code for family in FAMILIES for code in family.codes if code.error_class]


def test_every_code_that_tests_of_hostile_files_and_formats_expect_is_explained():
    seen = set()
    for path in (PACKAGE.parent / "bioimage_assets_tests").rglob("test_*.py"):
        text = path.read_text()
        seen |= set(re.findall(r"\.code == \"([a-z-]+)\"", text))
        seen |= set(re.findall(r"Mistake\(mistakes\.\w+, \"([a-z-]+)\"", text))
    assert len(seen) > 50
    made_up = {"plate-lost"}  # by the test of a page
    assert not seen - made_up - _declared().keys()


def test_the_page_is_up_to_date():
    assert (DOCS / "finding-codes.md").read_text() == build_codes_page(), (
        "python -m bioimage_assets.cli.findings_reference"
    )


def test_links_to_pages_are_named_by_their_titles():
    text = (DOCS / "finding-codes.md").read_text()
    assert text.count("\nMore: [") == len(list_codes())
    assert not re.findall(r"\nMore: \[[^]]*\.md\]", text)
    assert "\nMore: [Orchestration › What is a plate](orchestration.md#what-is-a-plate)\n" in text


def test_every_code_has_an_anchor_of_its_own():
    text = (DOCS / "finding-codes.md").read_text()
    for name in list_codes():
        assert text.count(f"### {name}\n") == 1
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= _slugs(DOCS / "finding-codes.md")


def test_a_code_is_found_in_any_case_and_what_is_near_is_proposed():
    found = find_code("Missing-Level")
    assert found is not None
    assert (found.code.code, found.anchor) == ("missing-level", "missing-level")
    assert find_code("my-own-check") is None
    assert "missing-level" in find_near_codes("mising-level")
    assert "corrupt-store" in find_near_codes("corrupt-store-error")
    assert find_near_codes("CorruptStorError")[0] == "corrupt-store"
    assert find_near_codes("") == []
