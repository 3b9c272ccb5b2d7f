"""Puts a staged plate under its dataset: measurements first, images next, the stamp last.

A reader never sees half a plate: every file and folder appears by one rename. A plate without a stamp counts as
not made, so an interrupted run is simply repeated.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from bioimage_assets.demo.make_well import IMAGES_FOLDER, SEGMENTATION_FOLDER
from bioimage_assets.demo.plan import RECIPE_VERSION, PlatePlan

MEASUREMENTS_FOLDER = "measurements"
TRUTH_FOLDER = "truth"


@dataclass(frozen=True, slots=True)
class PlateStamp:
    """What a finished plate was made from, and how much is on it."""

    recipe_version: int
    size: str
    seed: int
    plate_key: str
    layout: str
    well_count: int
    image_count: int
    cell_count: int


@dataclass(frozen=True, slots=True)
class PlatePaths:
    """Where the parts of a plate lie; ``segmentation`` is None for Zarr, which holds its own labels."""

    store: Path
    measurements: Path
    truth: Path
    stamp: Path
    segmentation: Path | None
    staging: Path

    @classmethod
    def of(cls, dataset_dir: Path, plan: PlatePlan) -> PlatePaths:
        """Paths of a plate below its dataset; the staging folder is hidden from discovery by its dot."""
        suffix = ".parquet" if plan.measurement_format == "parquet" else ""
        return cls(
            store=dataset_dir / plan.store_name,
            measurements=dataset_dir / MEASUREMENTS_FOLDER / f"{plan.plate}{suffix}",
            truth=dataset_dir / TRUTH_FOLDER / f"{plan.plate}.parquet",
            stamp=dataset_dir / TRUTH_FOLDER / f"{plan.plate}.json",
            segmentation=None if plan.is_zarr else dataset_dir / SEGMENTATION_FOLDER / plan.plate,
            staging=dataset_dir / f".{plan.plate}.partial",
        )


def build_stamp(plan: PlatePlan, cell_count: int) -> PlateStamp:
    """Stamp of a plate that has just been made."""
    image_count = len(plan.wells) * plan.size.site_count
    return PlateStamp(
        RECIPE_VERSION,
        plan.size.name,
        plan.seed,
        plan.plate_key,
        plan.layout,
        len(plan.wells),
        image_count,
        cell_count,
    )


def read_stamp(plan: PlatePlan, paths: PlatePaths) -> PlateStamp | None:
    """Stamp of the plate on disk if it is complete and was made from this plan, else None."""
    parts = [
        paths.store,
        paths.measurements,
        paths.truth,
        *([paths.segmentation] if paths.segmentation else []),
    ]
    if not all(part.exists() for part in parts):
        return None
    try:
        stamp = PlateStamp(**json.loads(paths.stamp.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # no stamp, not JSON, or of another recipe's shape
        return None
    return stamp if stamp == build_stamp(plan, stamp.cell_count) else None


def publish_plate(paths: PlatePaths, stamp: PlateStamp) -> None:
    """Move a finished plate from its staging folder into place, replacing an older one."""
    paths.stamp.unlink(missing_ok=True)
    _move(paths.staging / paths.truth.name, paths.truth, paths.staging)
    _move(paths.staging / MEASUREMENTS_FOLDER / paths.measurements.name, paths.measurements, paths.staging)
    if paths.segmentation is not None:
        _move(paths.staging / SEGMENTATION_FOLDER, paths.segmentation, paths.staging)
    _move(paths.staging / IMAGES_FOLDER, paths.store, paths.staging)
    staged_stamp = paths.staging / paths.stamp.name
    staged_stamp.write_text(json.dumps(asdict(stamp), indent=2) + "\n", encoding="utf-8")
    os.replace(staged_stamp, paths.stamp)
    shutil.rmtree(paths.staging)


def _move(source: Path, target: Path, staging: Path) -> None:
    """Rename into place; an older folder of that name is first renamed into the staging folder, which goes last."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        os.replace(target, staging / f"old-{target.parent.name}-{target.name}")
    os.replace(source, target)
