"""A clone of the repository as a reader has it after `make demo`, made once for all pages."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bioimage_assets_tests.documents.blocks import ROOT
from bioimage_assets_tests.documents.shell import Shell

# The demo of the pages in its smallest size: the same plates, fewer wells.
_SMALL = {"DEMO_SIZE": "ci"}


def copy_repository(folder: Path) -> None:
    """Copy the files that a clone has, and link what `make setup` installed."""
    stamp = ROOT / ".venv" / ".installed"
    assert stamp.exists(), (
        f"{stamp} is not there: the pages run with what `make setup` installs; type that first"
    )
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
    for name in ("pyproject.toml", "constraints.txt"):  # older than the stamp: `make setup` has been here
        os.utime(folder / name, (0, 0))


def list_variables(folder: Path) -> dict[str, str]:
    """The environment of a reader in this clone, with `.venv/bin` at hand and pictures on."""
    kept = {name: value for name, value in os.environ.items() if name != "BIOIMAGE_PICTURES"}
    path = f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}"
    return kept | _SMALL | {"PYTHONPATH": str(folder), "PATH": path}


def list_files(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Kind, size in bytes and time of change in nanoseconds of all that is below a folder, by its place; folders have a kind only."""
    found = {}
    for at, folders, files in os.walk(folder):
        for path in (os.path.join(at, name) for name in (*folders, *files)):
            state = os.lstat(path)
            kind = stat.S_IFMT(state.st_mode)
            told = (0, 0) if stat.S_ISDIR(kind) else (state.st_size, state.st_mtime_ns)
            found[os.path.relpath(path, folder)] = (kind, *told)
    return found


def put_back(kept: Path, folder: Path) -> None:
    """Make a folder what its copy is, by the files in which they differ: most pages read only."""
    before, now = list_files(kept), list_files(folder)
    for name in sorted(now, reverse=True):  # what is in a folder before the folder
        if before.get(name) != now[name]:
            (folder / name).rmdir() if stat.S_ISDIR(now[name][0]) else (folder / name).unlink()
    for name in sorted(before):
        if before[name] == now.get(name):
            continue
        if stat.S_ISDIR(before[name][0]):
            (folder / name).mkdir()
        else:
            shutil.copy2(kept / name, folder / name, follow_symlinks=False)
    for name in (name for name, (kind, *_) in before.items() if stat.S_ISDIR(kind)):
        shutil.copystat(kept / name, folder / name)  # folders have change times, too


@pytest.fixture(scope="module")
def made_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The clone after its first `make demo`, and a copy of it beside it."""
    folder = tmp_path_factory.mktemp("clone") / "bioimage_assets"
    folder.mkdir()
    copy_repository(folder)
    done = subprocess.run(
        ["make", "demo"],
        cwd=folder,
        env=list_variables(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Installing" not in done.stdout
    shutil.copytree(folder, folder.with_name("kept"), symlinks=True)
    yield folder
    shutil.rmtree(folder.parent)


@pytest.fixture
def shell(made_demo: Path, tmp_path: Path) -> Shell:
    """A reader in the clone as it was after `make demo`.

    It is put back in its place, since a catalog names its files by their full paths; stores keep their change times.
    """
    put_back(made_demo.with_name("kept"), made_demo)
    return Shell(made_demo, list_variables(made_demo), tmp_path / "state.sh")
