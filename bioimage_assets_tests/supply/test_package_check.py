"""What `make check-package` says where it cannot begin, and where the UI that it tries does not come up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bioimage_assets_tests.supply.test_supply import REPOSITORY, load_script

package = load_script("check_package")


def test_without_uv_it_says_so_in_one_line(tmp_path: Path):
    script = str(REPOSITORY / "deploy" / "supply" / "check_package.py")
    done = subprocess.run(
        [sys.executable, script, "--uv", str(tmp_path / "uv")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: no uv at '{tmp_path / 'uv'}'; python3 -m pip install uv, or --uv PATH\n"


def test_a_ui_that_ended_by_itself_is_told_with_its_last_words(tmp_path: Path):
    log = tmp_path / "dev.log"
    log.write_text("No module named 'nonsense'")
    ui = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"], start_new_session=True)
    ui.wait()
    with pytest.raises(package.PackageError, match="did not answer:\nNo module named 'nonsense'"):
        package.wait_for_assets(ui, "http://127.0.0.1:9/graphql", log)
    package.stop(ui)


def test_what_a_ui_leaves_behind_is_ended_with_it(tmp_path: Path):
    """A child that ignores Ctrl-C outlives the UI that started it."""
    child = "import signal, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    parent = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\ntime.sleep(600)"
    )
    ui = subprocess.Popen([sys.executable, "-c", parent], start_new_session=True, stdout=subprocess.PIPE)
    assert ui.stdout is not None
    assert ui.stdout.readline() == b"up\n"
    package.stop(ui)
    assert ui.stdout.read() == b""  # comes to its end once nobody holds the other one
    ui.stdout.close()
