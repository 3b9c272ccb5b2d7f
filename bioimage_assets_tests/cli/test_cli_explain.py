"""`explain` says what a code means and what to do; a code that is misspelt is answered with the nearest."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from bioimage_assets.cli.output import EXPLAIN
from bioimage_assets.core.finding_codes.catalogue import ALL_FAMILIES, list_codes


def test_a_code_is_explained_with_cause_remedy_setting_and_page(run):
    outcome = run("explain", "site-offset")
    assert outcome.code == 0
    said = " ".join(outcome.out.split())
    assert said.startswith("site-offset (error) Sites of profiles and images differ")
    assert "Cause: CellProfiler counts sites from one" in said
    assert "What to do: Write the line of the message into dataset.toml" in said
    assert "[join] profile_site_offset = 1" in said
    assert "docs/joins.md#positions-that-do-not-fit" in said
    assert all(len(line) <= 120 for line in outcome.out.splitlines())


def test_several_codes_and_an_error_are_explained_in_the_order_in_which_they_are_named(run):
    lines = run("explain", "unknown-well", "corruptstoreerror", "missing-extra").out.splitlines()
    heads = [line for line in lines if line and not line.startswith(" ")]
    assert heads == [
        "unknown-well (error or warning)",
        "corrupt-store (error; in Python CorruptStoreError)",
        "missing-extra (error; in Python MissingExtraError)",
    ]


def test_a_code_that_is_misspelt_is_answered_with_the_nearest_and_exit_code_2(run):
    outcome = run("explain", "mising-level")
    assert (outcome.code, outcome.out) == (2, "")
    assert "Did you mean 'missing-level'" in outcome.err


def test_the_known_one_is_explained_beside_one_that_is_not_and_the_exit_code_is_2(run):
    outcome = run("explain", "nope-nope", "missing-level", "--json")
    assert (outcome.code, [one["code"] for one in outcome.json]) == (2, ["missing-level"])
    outcome = run("explain", "missing-level", "nope-nope")
    assert outcome.code == 2
    assert outcome.out.startswith("missing-level (error)")
    (line,) = outcome.err.splitlines()
    assert line.startswith("Error: 'nope-nope' is no code of this project")
    assert line.endswith("(usage-error)")


def test_an_error_line_ends_with_a_code_that_is_explained_and_says_once_where(run, stores):
    (stores / "broken.zarr").mkdir()
    (stores / "broken.zarr" / "zarr.json").write_text("{")
    error, more = run("scan", stores / "broken.zarr").err.splitlines()
    assert error.startswith("Error: ")
    assert error.endswith(" (corrupt-store)")
    assert more == "bioimage-assets explain corrupt-store says more."
    assert run("explain", "corrupt-store").code == 0
    (_, more) = run("scan", stores / "nothing.zarr", "--json").err.splitlines()
    assert more == "bioimage-assets explain store-not-found says more."


def test_a_code_of_an_asset_of_ones_own_is_told_apart(run):
    assert "an asset of your own made it. 'bioimage-assets explain' lists all." in run("explain", "qqq").err


def test_without_a_code_all_are_listed_by_family(run):
    lines = run("explain").out.splitlines()
    named = [line.split()[0] for line in lines if line.startswith("  ")]
    assert sorted(named) == sorted(list_codes())
    assert [line for line in lines if line in {family.title for family in ALL_FAMILIES}] == [
        family.title for family in ALL_FAMILIES
    ]


def test_json_has_everything_that_is_known_of_a_code(run):
    (found,) = run("explain", "missing-level", "--json").json
    assert found["code"] == "missing-level"
    assert found["anchor"] == "docs/finding-codes.md#missing-level"
    assert found["severities"] == ["error"]
    assert {"means", "cause", "remedy", "setting", "page", "family", "seen_in"} <= found.keys()
    assert [one["code"] for one in run("explain", "--json").json] == list_codes()


def test_a_shell_completes_codes(run, monkeypatch):
    monkeypatch.setenv("_BIOIMAGE_ASSETS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "bioimage-assets explain missing-l")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert run().out.split() == ["plain,missing-label", "plain,missing-level"]
    monkeypatch.setenv("COMP_WORDS", "bioimage-assets explain corrupt-")
    assert "plain,corrupt-store" in run().out.split()


def test_explaining_loads_nothing_heavy_and_leaves_nothing_behind(tmp_path):
    code = (
        "import sys\nfrom bioimage_assets.cli.main import main\nmain(['explain', 'missing-level'])\n"
        "print('LOADED', *{name.split('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    loaded = set(done.stdout.rpartition("LOADED ")[2].split())
    assert not loaded & {"dagster", "pyarrow", "numpy", "pandas", "duckdb"}
    assert not list(tmp_path.iterdir())


def test_a_command_that_prints_codes_ends_once_with_where_they_are_explained(run, stores):
    _take_away_full_resolution(stores)
    outcome = run("scan", stores / "experiment.zarr")
    assert outcome.err.startswith("Warning: missing-level: ")
    assert outcome.err.splitlines()[-1] == EXPLAIN
    assert outcome.err.count(EXPLAIN) == 1
    assert EXPLAIN not in run("scan", stores / "experiment.zarr", "--json").err
    assert EXPLAIN not in run("explain", "missing-level").err


def test_every_code_that_a_scan_prints_is_explained(run, stores):
    _take_away_full_resolution(stores)
    codes = re.findall(r"^Warning: ([a-z-]+): ", run("scan", stores / "experiment.zarr").err, re.MULTILINE)
    assert "missing-full-resolution" in codes
    assert run("explain", *codes).code == 0


def test_what_lies_at_the_wrong_place_is_printed_with_its_code(run, project, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(project))
    incoming = project / "data" / "incoming"
    incoming.mkdir()
    (incoming / "Cells.csv").write_text("ImageNumber\n1\n")
    outcome = run("status")
    assert "warning: file-outside-dataset: 'Cells.csv'" in outcome.out
    assert outcome.err.splitlines()[-1:] == [EXPLAIN]
    assert EXPLAIN not in run("status", "--json").err


def _take_away_full_resolution(stores: Path) -> None:
    """The folder of the first level is missing, as where a copy was interrupted."""
    (level,) = [path for path in (stores / "experiment.zarr").iterdir() if path.name == "0"]
    shutil.rmtree(level)
