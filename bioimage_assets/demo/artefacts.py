"""Injects the faults that quality control has to find: blur, saturation, debris, merged cells.

The truth is kept per object in `DrawnField.artefacts`: ``clean blur saturation debris merged``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bioimage_assets.demo.camera import Exposure
from bioimage_assets.demo.render import CHANNELS, DrawnField
from bioimage_assets.demo.sizes import ScreenSize

BLUR_SIGMA_PX = 6.0  # some µm out of focus
SATURATION_FACTOR = 22.0  # beyond the 16 bits of the camera
SATURATED_CHANNEL = CHANNELS.index("DNA")
MERGE_PROBABILITY = 0.02
MERGE_DISTANCE_PX = 45.0
DEBRIS_PER_FIELD = 2
DEBRIS_RADIUS_PX = (3.0, 4.0)
DEBRIS_HALO_PX = 3
DEBRIS_LIGHT = 7000.0


@dataclass(frozen=True, slots=True)
class SpoiltFields:
    """Positions (well index, site) of the fields that are spoilt on one plate."""

    blurred: frozenset[tuple[int, int]]
    saturated: frozenset[tuple[int, int]]
    with_debris: frozenset[tuple[int, int]]


def choose_spoilt_fields(rng: np.random.Generator, size: ScreenSize) -> SpoiltFields:
    """Pick the fields to spoil; never two in one well, so that no well loses everything where it has two sites."""
    wanted = (size.blurred_field_count, size.saturated_field_count, size.debris_field_count)
    wells = [int(well) for well in rng.permutation(size.well_count)[: sum(wanted)]]
    sites = [int(site) for site in rng.integers(0, size.site_count, sum(wanted))]
    positions = list(zip(wells, sites, strict=True))
    first, second = wanted[0], wanted[0] + wanted[1]
    return SpoiltFields(
        frozenset(positions[:first]), frozenset(positions[first:second]), frozenset(positions[second:])
    )


def spoil_exposure(
    exposure: Exposure, spoilt: SpoiltFields, position: tuple[int, int]
) -> tuple[Exposure, str | None]:
    """Exposure of a field with its fault, and the artefact that all its cells then carry."""
    if position in spoilt.blurred:
        return replace(exposure, blur_sigma_px=BLUR_SIGMA_PX), "blur"
    if position in spoilt.saturated:
        gains = list(exposure.gains)
        gains[SATURATED_CHANNEL] *= SATURATION_FACTOR
        return replace(exposure, gains=tuple(gains)), "saturation"
    return exposure, None


def mark_all(field: DrawnField, artefact: str) -> DrawnField:
    """The same field with every object carrying one artefact."""
    return replace(field, artefacts=(artefact,) * len(field.artefacts))


def merge_neighbours(rng: np.random.Generator, field: DrawnField) -> DrawnField:
    """Give some touching cells one label, as a failed segmentation does; labels stay without gaps."""
    count = len(field.artefacts)
    rows, columns = np.nonzero(field.nuclei)
    owner = field.nuclei[rows, columns] - 1
    sums = np.stack([np.bincount(owner, axis, count) for axis in (rows, columns)], axis=1)
    centres = sums / np.bincount(owner, minlength=count)[:, None]
    target = np.arange(count)
    chosen = np.flatnonzero(rng.random(count) < MERGE_PROBABILITY)
    for cell in chosen if count > 1 else ():
        distance = np.hypot(*(centres - centres[cell]).T)
        distance[cell] = np.inf
        neighbour = int(np.argmin(distance))
        if (
            distance[neighbour] <= MERGE_DISTANCE_PX
            and target[neighbour] == neighbour
            and target[cell] == cell
        ):
            target[cell] = neighbour
    merged_into = set(target[target != np.arange(count)].tolist())
    survivors = np.flatnonzero(target == np.arange(count))
    number = np.zeros(count + 1, dtype=np.uint16)
    number[survivors + 1] = np.arange(1, len(survivors) + 1)
    # Label 0, the background, stays 0.
    number[1:] = number[target + 1]
    artefacts = tuple("merged" if int(cell) in merged_into else field.artefacts[cell] for cell in survivors)
    return DrawnField(field.light, number[field.cells], number[field.nuclei], artefacts)


def add_debris(rng: np.random.Generator, field: DrawnField) -> DrawnField:
    """Put bright specks between the cells, segmented as small nuclei with a ring of `DEBRIS_HALO_PX` as cytoplasm."""
    light, cells, nuclei = field.light.copy(), field.cells.copy(), field.nuclei.copy()
    artefacts = list(field.artefacts)
    grid_y, grid_x = np.mgrid[0 : cells.shape[0], 0 : cells.shape[1]]
    for _ in range(DEBRIS_PER_FIELD):
        position = _free_position(rng, cells)
        if position is None:
            break
        distance = np.hypot(grid_y - position[0], grid_x - position[1])
        radius = rng.uniform(*DEBRIS_RADIUS_PX)
        artefacts.append("debris")
        cells[distance <= radius + DEBRIS_HALO_PX] = len(artefacts)
        nuclei[distance <= radius] = len(artefacts)
        light[:, distance <= radius] = light[:, distance <= radius] + 0.15 * DEBRIS_LIGHT
        light[SATURATED_CHANNEL, distance <= radius] += DEBRIS_LIGHT
    return DrawnField(light, cells, nuclei, tuple(artefacts))


def _free_position(rng: np.random.Generator, cells: NDArray[np.uint16]) -> tuple[int, int] | None:
    """A random place whose whole halo is on background and inside the field."""
    padded = np.pad(cells == 0, 1)
    room = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
    free = np.flatnonzero(room > DEBRIS_RADIUS_PX[1] + DEBRIS_HALO_PX + 1)
    if not len(free):
        return None
    row, column = np.unravel_index(int(rng.choice(free)), cells.shape)
    return int(row), int(column)
