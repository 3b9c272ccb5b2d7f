"""Changes are told apart by what they change, wherever it stands, and a test that fails is seen to fail."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bioimage_assets_tests.mutants.changes import list_changes
from bioimage_assets_tests.mutants.explained import find_stale, read_explained
from bioimage_assets_tests.mutants.rooms import ROOMS, ROOT

SOURCE = '''
"""Docstring."""
LIMIT = 5
BUDGET = 4096

def f(values, ddof=0):
    """Docstring."""
    total = 0
    for value in values:
        if value > LIMIT:
            total |= value
        elif not value:
            continue
    print(total)
    return total
'''


def _names(source: str) -> list[str]:
    return [change.name for change in list_changes(source)]


def test_comparisons_numbers_assignments_and_statements_are_changed_one_at_a_time() -> None:
    names = _names(SOURCE)
    assert {
        "<module>: LIMIT = 5 → LIMIT = 6",
        "<module>: LIMIT = 5 → LIMIT = 4",
        "f: 0 → 1",  # of the default
        "f: total = 0 → total = 1",
        "f: value > LIMIT → value >= LIMIT",
        "f: total |= value → total &= value",
        "f: total |= value → total = value",
        "f: not value → value",
        "f: continue → break",
        "f: print(total) → pass",
        "f: return total → return None",
    } == set(names)
    assert len(names) == len(set(names))


def test_a_change_changes_nothing_else() -> None:
    for change in list_changes(SOURCE):
        lines = zip(
            ast.unparse(ast.parse(SOURCE)).splitlines(),
            ast.unparse(change.build_tree()).splitlines(),
            strict=True,
        )
        assert sum(before != after for before, after in lines) == 1, change.name


def test_moved_lines_do_not_rename_a_change_and_the_same_code_twice_has_numbers() -> None:
    assert _names("\n\n# more\n" + SOURCE) == _names(SOURCE)
    assert _names("def f(a):\n    g(a > 1)\n    h(a > 1)\n")[1] == "f: g(a > 1) → g(a >= 1)"
    twice = _names("def f(a):\n    g(a)\n    g(a)\n")
    assert twice == ["f: g(a) → pass", "f: g(a) → pass (2)"]


@pytest.mark.slow
def test_every_explained_change_is_one_of_the_code_and_every_room_has_modules_and_tests() -> None:
    core, names = ROOT / "bioimage_assets" / "core", {}
    for room in ROOMS:
        assert room.test_paths(), room.name
        for path in room.module_paths():
            names[str(path.relative_to(core))] = _names(path.read_text(encoding="utf-8"))
    explained = read_explained()
    assert find_stale(explained, names) == []
    assert {module for module, _ in explained} <= names.keys()


def test_an_explanation_without_a_reason_or_given_twice_is_refused(tmp_path: Path) -> None:
    entry = '[[change]]\nmodule = "a.py"\nfunction = "f"\nchange = "x → y"\nwhy = "{}"\n'
    path = tmp_path / "explained.toml"
    path.write_text(entry.format("no"), encoding="utf-8")
    with pytest.raises(ValueError, match="has no reason"):
        read_explained(path)
    path.write_text(entry.format("nobody can see it") * 2, encoding="utf-8")
    with pytest.raises(ValueError, match="twice"):
        read_explained(path)
    path.write_text(entry.format("nobody can see it"), encoding="utf-8")
    assert find_stale(read_explained(path), {"a.py": ["f: x → z"]}) == ["a.py: f: x → y"]


_TRY_TWICE = """
import json, sys
from pathlib import Path
from bioimage_assets_tests.mutants.changes import list_changes
from bioimage_assets_tests.mutants.trial import record_baseline, start_trial

module, test, folder, name = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
baseline = record_baseline([module], [test])
(change,) = [change for change in list_changes(module.read_text()) if change.name == name]
reaching = baseline.tests_of(module, change.lines)
for number, tests in enumerate((reaching, [test for test in reaching if "longest" not in test])):
    (folder / str(number)).mkdir()
    print(json.dumps(start_trial(module, change.build_tree(), tests, folder / str(number), 120).wait()))
"""


@pytest.mark.slow
def test_a_change_is_killed_by_the_test_that_notices_it_and_survives_the_others(tmp_path: Path) -> None:
    module = ROOT / "bioimage_assets" / "core" / "model" / "identity.py"
    test = ROOT / "bioimage_assets_tests" / "core" / "model" / "test_identity.py"
    before = module.read_bytes()
    name = "build_key_part: len(encoded) > _KEY_PART_MAX → len(encoded) >= _KEY_PART_MAX"
    done = subprocess.run(
        [sys.executable, "-c", _TRY_TWICE, module, test, tmp_path, name],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    noticed, unnoticed = map(json.loads, done.stdout.splitlines())
    assert noticed["failed"].endswith(
        "::test_a_name_of_the_longest_length_stays_and_a_longer_one_ends_in_a_hash_of_all_of_it"
    )
    assert unnoticed == {"code": 0, "failed": ""}
    assert module.read_bytes() == before
