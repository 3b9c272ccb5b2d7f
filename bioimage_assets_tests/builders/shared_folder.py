"""A folder that is filled once for all test processes of a run."""

import shutil
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest


def fill_once(factory: pytest.TempPathFactory, name: str, fill: Callable[[Path], object]) -> Path:
    """Fill a folder of the run unless another process has done so; nobody may change it afterwards.

    Parameters
    ----------
    factory
        The fixture ``tmp_path_factory``.
    name
        Of the folder; one name, one content.
    fill
        Is given the folder, which exists and is empty.
    """
    run = factory.getbasetemp()
    # Every process of pytest-xdist has a folder of its own below the folder of the run.
    if run.name.startswith("popen-"):
        run = run.parent
    folder, done = run / "shared" / name, run / "shared" / f"{name}.done"
    folder.parent.mkdir(exist_ok=True)
    with filelock.FileLock(run / "shared" / f"{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that was stopped on the way
            folder.mkdir()
            fill(folder)
            done.touch()
    return folder
