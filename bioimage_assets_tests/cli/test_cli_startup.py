"""Starting the command line loads nothing heavy; version, help and usage errors behave as a shell expects."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "numpy",
    "pyarrow",
    "pandas",
    "duckdb",
    "pyiceberg",
    "zarr",
    "tifffile",
    "dagster",
    "sqlalchemy",
    "obstore",
)


def test_help_loads_no_heavy_module():
    code = (
        "import sys\n"
        "from bioimage_assets.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print('LOADED', *sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "export-cytomining-catalog" in done.stdout
    loaded = done.stdout.rpartition("LOADED ")[2].split()
    assert "click" in loaded
    assert not set(HEAVY) & set(loaded)


def test_a_command_loads_its_own_module_and_no_other():
    code = (
        "import sys\nfrom bioimage_assets.cli.main import main\nmain(['scan', '--help'])\n"
        "print('LOADED', *sorted(name for name in sys.modules if name.endswith(('_command', '_commands'))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rpartition("LOADED ")[2].split() == ["bioimage_assets.cli.scan_commands"]


@pytest.mark.parametrize(
    ("arguments", "guess"),
    [(("regster",), "'register'"), (("partitions", "lst"), "'list'"), (("scan", "--jsn"), "'--json'")],
)
def test_a_name_that_is_misspelt_is_answered_with_the_nearest(run, arguments, guess):
    outcome = run(*arguments)
    assert (outcome.code, "Did you mean" in outcome.err, guess in outcome.err) == (2, True, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("scan", "--dataset-id", "--json", "data/experiment.zarr"),
        ("materialize", "--plates", "--force"),
        ("tag", "v1", "--tables"),
    ],
)
def test_an_option_without_its_value_does_not_take_the_next_one_for_it(run, arguments):
    outcome = run(*arguments)
    assert outcome.code == 2
    assert "requires an argument" in outcome.err


def test_an_empty_name_is_that_of_the_settings(run, stores):
    """As a script says it whose variable is not set: ``--catalog "$CATALOG"``."""
    result = run("register", "--catalog", "", "--namespace=", "data/experiment.zarr").json
    assert (result["catalog"], result["namespace"]) == ("embedded", "bioimage.cytotable")


def test_a_statement_may_begin_with_a_comment_and_a_number_with_a_sign(run, project):
    assert run("query", "-- six times seven\nSELECT 42 AS n", "--json").json == [{"n": 42}]
    assert "-1 is not in the range" in run("maintain", "--keep-snapshots", "-1").err


def test_the_console_command_is_installed_and_prints_its_version(run):
    outcome = run("--version")
    assert outcome.code == 0
    assert outcome.out.startswith("bioimage-assets 0.")


@pytest.mark.parametrize(
    "arguments", [(), ("nonsense",), ("scan",), ("query", "select 1", "--json", "--csv")]
)
def test_a_call_that_makes_no_sense_is_exit_2(run, arguments):
    outcome = run(*arguments)
    assert outcome.code == 2
    assert "Usage:" in outcome.err


@pytest.mark.slow
def test_a_reader_that_closes_early_is_no_error(stores):
    command = (
        f"{sys.executable} -m bioimage_assets.cli.main summarize data/experiment.zarr --json | head -c 1"
    )
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, cwd=stores.parent
    )
    assert done.stdout == "{"
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def test_long_work_says_that_it_goes_on_and_short_work_says_nothing(capsys):
    import time

    from bioimage_assets.cli.progress import show_progress

    with show_progress("Scanning x", first_after_s=0.01):
        deadline = time.monotonic() + 30
        while not (shown := capsys.readouterr().err) and time.monotonic() < deadline:
            time.sleep(0.005)
    assert shown.startswith("Scanning x … ")
    with show_progress("Scanning y", first_after_s=60):
        pass
    assert capsys.readouterr().err == ""
