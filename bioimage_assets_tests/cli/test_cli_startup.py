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
    assert "argparse" in loaded
    assert not set(HEAVY) & set(loaded)


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
    assert "usage:" in outcome.err


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
