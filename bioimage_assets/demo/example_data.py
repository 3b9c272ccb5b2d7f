"""Turns an empty folder into a small complete dataset: plates, measurements, platemap with doses, settings."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bioimage_assets.core.errors import UsageError
from bioimage_assets.demo.example_mistakes import MISTAKEN_PLATES, MISTAKES
from bioimage_assets.demo.screens import Progress, build_screens

EXAMPLE_SIZE = "demo"  # 24 wells, two fields of 192 pixels each, four doses


@dataclass(frozen=True, slots=True)
class ExamplePlate:
    """One plate that was written: its images and its measurements, by their places below the dataset's folder."""

    plate: str
    layout: str
    images: str
    measurements: str
    well_count: int
    image_count: int
    cell_count: int


def write_example_data(
    folder: Path | str,
    *,
    plate_count: int = 2,
    with_mistakes: bool = False,
    size: str = EXAMPLE_SIZE,
    progress: Progress | None = None,
    workers: int | None = None,
) -> tuple[ExamplePlate, ...]:
    """Write the dataset, with the same bytes each time; nothing is in the folder before all of it is made.

    Parameters
    ----------
    folder
        Is made, or is there and empty. Its name is the dataset's.
    plate_count
        OME-Zarr 0.5, OME-TIFF, ImageXpress, OME-Zarr 0.4, in turn.
    with_mistakes
        Write other plates instead, which have what ``MISTAKES`` says wrong with them.
    size
        A name in ``SIZES``.
    progress
        Called after every well.
    workers
        Processes; None for one per core.

    Raises
    ------
    UsageError
        The folder is not empty, is a file, is not on this disk, or cannot be made.
    """
    if "://" in str(folder):
        raise UsageError(
            f"Example data are written to a local folder, and {folder} is none. Name another one."
        )
    target = Path(folder).resolve()
    _require_empty(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that one rename moves it there; discovery passes over a name with a dot.
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UsageError(
            f"Example data cannot be written to {target}: {error}. Name another folder."
        ) from error
    dataset_id = "my-screen" if with_mistakes else "example"
    try:
        screens = build_screens(
            staging,
            size=size,
            datasets=[dataset_id],
            n_plates=MISTAKEN_PLATES if with_mistakes else plate_count,
            progress=progress,
            workers=workers,
        )
        made = staging / dataset_id
        plates = tuple(
            ExamplePlate(
                plate.plate,
                plate.stamp.layout,
                plate.paths.store.relative_to(made).as_posix(),
                plate.paths.measurements.relative_to(made).as_posix(),
                plate.stamp.well_count,
                plate.stamp.image_count,
                plate.stamp.cell_count,
            )
            for plate in screens.plates
        )
        for mistake in MISTAKES if with_mistakes else ():
            mistake.spoil(made)
        shutil.rmtree(screens.plates[0].paths.truth.parent)  # for the tests of the demo; no dataset has it
        _move_whole(made, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return plates


def _move_whole(made: Path, target: Path) -> None:
    """A new folder appears with everything in it; one that is there stays the same folder: a shell may stand in it."""
    _require_empty(target)
    if not target.exists():
        os.replace(made, target)
        return
    for path in sorted(made.iterdir()):
        shutil.move(path, target / path.name)


def _require_empty(target: Path) -> None:
    if target.is_dir():
        if not any(target.iterdir()):
            return
        found = "it holds files"
    elif target.exists():
        found = "it is a file"
    else:
        return
    raise UsageError(
        f"Example data go into a new or empty folder, and {target} is none: {found}. Name another one."
    )
