"""Temporary folders: gone when they are not needed any more, also when their process was killed."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bioimage_assets.core import scratch
from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.scratch import open_scratch, scratch_place

HOLDS = """
import sys
from bioimage_assets.core.scratch import open_scratch
with open_scratch() as folder:
    (folder / "rows").write_bytes(b"0" * 1000)
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own, for this process and those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def _start() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_killed_process_leaves_a_folder_that_the_next_one_removes_and_a_living_one_keeps_its_own():
    killed, dead = _start()
    living, alive = _start()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert (dead / "rows").exists()
    with open_scratch() as mine:
        assert mine.parent == dead.parent == alive.parent
        assert {path.name for path in mine.parent.iterdir() if path.is_dir()} == {mine.name, alive.name}
        assert (alive / "rows").exists()
    living.communicate("")
    assert living.returncode == 0
    assert list(mine.parent.iterdir()) == []


def test_folders_go_when_the_block_fails_and_do_not_meet():
    folders: list[Path] = []

    def fail() -> None:
        with open_scratch() as first, open_scratch() as second:
            folders.extend((first, second))
            (second / "rows").write_text("")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert len(set(folders)) == 2
    assert list(folders[0].parent.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "open to all"])
def test_a_place_that_somebody_else_may_have_made_is_passed_over(tmp_path: Path, kind: str):
    own = scratch_place()
    own.rmdir()
    if kind == "link":
        (tmp_path / "elsewhere").mkdir()
        own.symlink_to(tmp_path / "elsewhere")
    else:
        own.mkdir()
        own.chmod(0o777)
    with open_scratch() as folder:
        assert own not in folder.parents
    assert list(own.iterdir()) == []


def test_a_temporary_folder_that_cannot_be_written_is_named_with_what_helps(temporary: Path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(scratch, "make_locked_folder", refuse)
    with pytest.raises(BioimageError, match=r"No space left.*TMPDIR") as refused, open_scratch():
        pass
    assert str(temporary) in str(refused.value)
