"""Makes the demo screens below a watched root: plates with known truth, in the layouts that labs have.

``screen-a`` is OME-Zarr (0.4 on Zarr v2, 0.5 on Zarr v3 with shards, in turn), ``screen-b`` is TIFF (one-channel
ImageXpress files and multi-channel OME-TIFFs, in turn). Everything follows from the seed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock

from bioimage_assets.core.errors import SettingsError, StoreChangedError, UsageError
from bioimage_assets.demo import (
    make_well,
    write_cellprofiler_csv,
    write_settings,
    write_tables,
    write_tiff,
    write_zarr,
)
from bioimage_assets.demo.plan import MadeField, MeasurementFormat, PlateLayout, PlatePlan
from bioimage_assets.demo.pool import WellJob, refuse_unguarded_main, run_wells
from bioimage_assets.demo.publish import (
    MEASUREMENTS_FOLDER,
    PlatePaths,
    PlateStamp,
    build_stamp,
    publish_plate,
    read_stamp,
)
from bioimage_assets.demo.sizes import ScreenSize, build_layout, find_size

DEFAULT_SEED = 20_240_613
LOCK_NAME = ".demo.lock"

# Layout and measurement format of a dataset's plates, in turn.
DATASETS: dict[str, tuple[str, tuple[tuple[PlateLayout, MeasurementFormat], ...]]] = {
    "screen-a": ("SA", (("ome-zarr-0.4", "parquet"), ("ome-zarr-0.5", "parquet"))),
    "screen-b": ("SB", (("imagexpress", "parquet"), ("ome-tiff", "csv"))),
}
# Not part of the demo: what `bioimage-assets example-data` writes, without mistakes and with.
EXAMPLES: dict[str, tuple[str, tuple[tuple[PlateLayout, MeasurementFormat], ...]]] = {
    "example": (
        "EX",
        (
            ("ome-zarr-0.5", "parquet"),
            ("ome-tiff", "csv"),
            ("imagexpress", "parquet"),
            ("ome-zarr-0.4", "parquet"),
        ),
    ),
    "my-screen": (
        "MY",
        (
            ("ome-zarr-0.5", "parquet"),
            ("ome-zarr-0.4", "parquet"),
            ("imagexpress", "parquet"),
            ("ome-zarr-0.5", "parquet"),
        ),
    ),
}

# Called with (wells done, wells in all, what was done last).
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class DemoPlate:
    """One plate on disk: its paths, how much is on it, and whether this call made it."""

    dataset_id: str
    plate: str
    paths: PlatePaths
    stamp: PlateStamp
    was_made: bool

    @property
    def plate_key(self) -> str:
        """Partition key of the plate."""
        return self.stamp.plate_key


@dataclass(frozen=True, slots=True)
class DemoScreens:
    """All plates of the demo in plan order."""

    root: Path
    plates: tuple[DemoPlate, ...]

    def plate(self, plate_key: str) -> DemoPlate:
        """Plate by its partition key; UsageError for one that was not asked for."""
        for plate in self.plates:
            if plate.plate_key == plate_key:
                return plate
        keys = ", ".join(plate.plate_key for plate in self.plates)
        raise UsageError(f"No demo plate {plate_key!r} here: expected one of {keys}.")


def build_screens(
    root: Path | str,
    *,
    size: str = "demo",
    seed: int = DEFAULT_SEED,
    workers: int | None = None,
    progress: Progress | None = None,
    datasets: Iterable[str] | None = None,
    n_plates: int | None = None,
) -> DemoScreens:
    """Make the demo screens; plates that are already there as asked are left alone.

    Parameters
    ----------
    root
        Watched root (``data/incoming``); created where missing.
    size
        ``ci``, ``demo`` or ``standard``.
    seed
        The same seed gives the same bytes.
    workers
        Processes; None for one per core, but for the small ``ci`` size none beside the caller's. With more
        than one the caller's main module must be importable (``if __name__ == "__main__":``).
    progress
        Called in this process after every well.
    datasets
        ``screen-a``, ``screen-b``; both where None.
    n_plates
        Plates per dataset; the size decides where None (2, and 3 for ``standard``).

    Raises
    ------
    SettingsError
        Unknown size or dataset.
    BioimageError
        A worker process died; plates that were finished stay.

    Examples
    --------
    >>> screens = build_screens("data/incoming", size="ci")  # doctest: +SKIP
    >>> [plate.plate_key for plate in screens.plates]  # doctest: +SKIP
    ['screen-a/SA-P1', 'screen-a/SA-P2', 'screen-b/SB-P1', 'screen-b/SB-P2']
    """
    refuse_unguarded_main()
    root = Path(root).absolute()
    root.mkdir(parents=True, exist_ok=True)
    plans = build_plans(find_size(size), seed, datasets=datasets, n_plates=n_plates)
    with filelock.FileLock(root / LOCK_NAME):
        _write_dataset_files(root, plans)
        missing = [plan for plan in plans if read_stamp(plan, _paths(root, plan)) is None]
        made = set()
        try:
            for plan, fields in _make_plates(root, missing, _worker_count(size, workers), progress):
                _finish_plate(_paths(root, plan), plan, fields)
                made.add(plan.plate_key)
        finally:
            for plan in missing:
                shutil.rmtree(_paths(root, plan).staging, ignore_errors=True)
        return DemoScreens(root, tuple(_describe_plate(root, plan, plan.plate_key in made) for plan in plans))


def build_plans(
    size: ScreenSize, seed: int, *, datasets: Iterable[str] | None = None, n_plates: int | None = None
) -> tuple[PlatePlan, ...]:
    """Plans of all plates asked for."""
    plans, known = [], DATASETS | EXAMPLES
    for dataset_id in DATASETS if datasets is None else datasets:
        if dataset_id not in known:
            raise SettingsError(
                f"Unknown demo dataset {dataset_id!r}: expected one of {', '.join(DATASETS)}."
            )
        prefix, kinds = known[dataset_id]
        wells = build_layout(size, seed, dataset_id)
        for index in range(size.plate_count if n_plates is None else n_plates):
            layout, table = kinds[index % len(kinds)]
            plans.append(
                PlatePlan(dataset_id, f"{prefix}-P{index + 1}", index, layout, table, size, seed, wells)
            )
    return tuple(plans)


def _paths(root: Path, plan: PlatePlan) -> PlatePaths:
    return PlatePaths.of(root / plan.dataset_id, plan)


def _describe_plate(root: Path, plan: PlatePlan, was_made: bool) -> DemoPlate:
    paths = _paths(root, plan)
    stamp = read_stamp(plan, paths)
    if stamp is None:
        raise StoreChangedError(
            f"{paths.store} changed while the demo was made: its stamp {paths.stamp} is gone."
        )
    return DemoPlate(plan.dataset_id, plan.plate, paths, stamp, was_made)


def _worker_count(size: str, workers: int | None) -> int:
    if workers is not None:
        return max(1, workers)
    return (
        1
        if size == "ci"
        else len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )


def _write_dataset_files(root: Path, plans: Sequence[PlatePlan]) -> None:
    for dataset_id in dict.fromkeys(plan.dataset_id for plan in plans):
        own = [plan for plan in plans if plan.dataset_id == dataset_id]
        write_settings.write_dataset_files(root / dataset_id, own[0].wells, [plan.plate for plan in own])


def _make_plates(
    root: Path, plans: Sequence[PlatePlan], worker_count: int, progress: Progress | None
) -> Iterator[tuple[PlatePlan, list[MadeField]]]:
    """Make the wells of all plates and give each plate as soon as its last well is done."""
    total = sum(len(plan.wells) for plan in plans)
    fields: dict[str, list[tuple[MadeField, ...]]] = {plan.plate_key: [] for plan in plans}
    for done, (plan, well_index, made) in enumerate(_make_wells(root, plans, worker_count), start=1):
        fields[plan.plate_key].append(made)
        if progress is not None:
            progress(done, total, f"{plan.plate_key} {plan.wells[well_index].well_id}")
        if len(fields[plan.plate_key]) == len(plan.wells):
            wells = sorted(fields.pop(plan.plate_key), key=lambda well: well[0].well_index)
            yield plan, [field for well in wells for field in well]


def _make_wells(
    root: Path, plans: Sequence[PlatePlan], worker_count: int
) -> Iterator[tuple[PlatePlan, int, tuple[MadeField, ...]]]:
    for plan in plans:
        _start_plate(_paths(root, plan), plan)
    jobs = [
        WellJob(plan, index, str(_paths(root, plan).staging))
        for plan in plans
        for index in range(len(plan.wells))
    ]
    for job, made in run_wells(jobs, worker_count):
        yield job.plan, job.well_index, made


def _start_plate(paths: PlatePaths, plan: PlatePlan) -> None:
    """Begin an empty staging folder; what an interrupted run left there is removed."""
    shutil.rmtree(paths.staging, ignore_errors=True)
    paths.staging.mkdir(parents=True)
    images = paths.staging / make_well.IMAGES_FOLDER
    if plan.is_zarr:
        write_zarr.write_plate_group(images, plan)
    else:
        write_tiff.write_plate_sidecar(images, plan)


def _finish_plate(paths: PlatePaths, plan: PlatePlan, fields: Sequence[MadeField]) -> None:
    truth = write_tables.build_truth_table(plan, fields)
    write_tables.write_parquet(truth, paths.staging / paths.truth.name)
    measurements = paths.staging / MEASUREMENTS_FOLDER / paths.measurements.name
    if plan.measurement_format == "csv":
        write_cellprofiler_csv.write_cellprofiler_csv(plan, fields, measurements)
    else:
        write_tables.write_parquet(write_tables.build_cell_table(plan, fields), measurements)
    publish_plate(paths, build_stamp(plan, truth.num_rows))
