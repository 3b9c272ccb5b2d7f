"""Fields of view as arrays, seeded: cells of two stains, with faults planted in some and honest differences in all.

Honest are wells with few or crowded cells, dim plates, brighter and darker fields, vignetting and a tilt of the light. Planted
are blur, saturation, fields without cells, bright debris and light that falls off to one side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Fault = Literal["blurred", "saturated", "blank", "debris", "uneven"]
FAULTS: tuple[Fault, ...] = ("blurred", "saturated", "blank", "debris", "uneven")
CHANNELS = ("DNA", "RNA")
SIDE_PX = 256
_OFFSET = 100.0  # of the camera, in counts
_TEMPLATES = 12
# Radius of an object in pixels, from and to; how many per cell.
_RADII = {"DNA": (6.0, 10.0), "RNA": (11.0, 18.0)}

Plane = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class PlateDesign:
    """One plate: how bright and crowded it is, what its camera gives at most, and the faults of its fields."""

    seed: int
    wells: tuple[str, ...]
    fields: int
    brightness: float  # counts of a cell above the background
    background: float
    density: float  # cells per field
    ceiling: int
    vignetting: float
    faults: dict[tuple[str, int], Fault]


@dataclass(frozen=True)
class FieldPlane:
    """One field and channel of a plate with what was planted in it."""

    well: str
    field: int
    channel: str
    fault: Fault | None
    pixels: Plane


def design_plate(
    seed: int, *, wells: int = 24, fields: int = 4, faults_per_kind: int = 4, is_dim: bool | None = None
) -> PlateDesign:
    """A plate of its own kind for each seed; every third is dim, every fourth has a camera of 12 bits."""
    rng = np.random.default_rng(seed)
    names = tuple(f"{'ABCDEFGH'[number // 6]}{number % 6 + 1:02d}" for number in range(wells))
    places = [(name, field) for name in names for field in range(1, fields + 1)]
    chosen = rng.permutation(len(places))[: faults_per_kind * len(FAULTS)]
    dim = seed % 3 == 2 if is_dim is None else is_dim
    ceiling = 4095 if seed % 4 == 3 else 65535
    background = float(rng.uniform(150, 500))
    return PlateDesign(
        seed, names, fields,
        float(rng.uniform(150, 300) if dim else rng.uniform(300, 500) if ceiling == 4095 else rng.uniform(600, 6000)),
        background, float(rng.uniform(18, 45)), ceiling, float(rng.uniform(0.0, 0.3)),
        {places[place]: FAULTS[number % len(FAULTS)] for number, place in enumerate(chosen)},
    )  # fmt: skip


def make_planes(design: PlateDesign) -> Iterator[FieldPlane]:
    """All fields and channels of a plate, in order of well and field."""
    rng = np.random.default_rng(design.seed + 1_000)
    stamps = {channel: _make_stamps(channel, rng) for channel in CHANNELS}
    for well in design.wells:
        # One well in eight is nearly killed, one in eight overgrown.
        crowding = rng.choice([0.12, 1.0, 2.0], p=[0.125, 0.75, 0.125]) * rng.uniform(0.8, 1.2)
        for field in range(1, design.fields + 1):
            fault = design.faults.get((well, field))
            count = 0 if fault == "blank" else max(3, int(rng.poisson(design.density * crowding)))
            centres = rng.uniform(0, SIDE_PX, (count, 2))
            light = _make_light(design, fault, rng)
            dirt = _make_debris(rng) if fault == "debris" else None
            sharpness = float(rng.uniform(2.5, 6.0))
            gain = float(rng.uniform(0.8, 1.25))
            clipped = rng.choice(CHANNELS) if fault == "saturated" else None
            for channel in CHANNELS:
                cells = _paste(stamps[channel], centres, rng) * design.brightness * gain
                if channel == clipped:
                    # The upper half of what is bright is beyond the camera.
                    top = np.percentile(cells[cells > design.brightness / 4], 50)
                    cells *= 1.05 * design.ceiling / top
                if dirt is not None:
                    cells += dirt * min(design.brightness * float(rng.uniform(6, 15)), 0.6 * design.ceiling)
                signal = (cells + design.background) * light
                if fault == "blurred":
                    signal = ndimage.gaussian_filter(signal, sharpness)
                own = fault if clipped is None or channel == clipped else None
                yield FieldPlane(well, field, channel, own, _expose(signal, design.ceiling, rng))


def _make_stamps(channel: str, rng: np.random.Generator) -> list[npt.NDArray[np.float64]]:
    low, high = _RADII[channel]
    stamps = []
    for _ in range(_TEMPLATES):
        radius = float(rng.uniform(low, high))
        half = int(2 * radius)
        y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
        angle, stretch = rng.uniform(0, np.pi), rng.uniform(0.7, 1.0)
        along = x * np.cos(angle) + y * np.sin(angle)
        across = -x * np.sin(angle) + y * np.cos(angle)
        body = np.hypot(along, across / stretch) <= radius
        texture = ndimage.gaussian_filter(rng.normal(size=body.shape), 1.2 if channel == "DNA" else 1.5)
        inside = 1.0 + (0.25 if channel == "DNA" else 0.4) * texture / texture.std()
        if channel == "RNA":
            inside *= np.clip(1.3 - np.hypot(y, x) / radius, 0.2, 1.3)
        stamp = ndimage.gaussian_filter(np.where(body, inside.clip(0), 0.0), 0.9)
        stamps.append(stamp)
    return stamps


def _paste(
    stamps: list[npt.NDArray[np.float64]], centres: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    margin = 40
    canvas = np.zeros((SIDE_PX + 2 * margin, SIDE_PX + 2 * margin))
    for y, x in centres:
        stamp = stamps[rng.integers(len(stamps))]
        half = stamp.shape[0] // 2
        top, left = int(y) + margin - half, int(x) + margin - half
        canvas[top : top + stamp.shape[0], left : left + stamp.shape[1]] += stamp * rng.lognormal(0, 0.3)
    return canvas[margin:-margin, margin:-margin]


def _make_light(
    design: PlateDesign, fault: Fault | None, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    y, x = np.mgrid[-1 : 1 : SIDE_PX * 1j, -1 : 1 : SIDE_PX * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    slope = float(rng.uniform(0.0, 0.08))
    if fault == "uneven":
        slope = float(rng.uniform(0.5, 0.65))
    tilt = 1 + slope * (np.cos(angle) * x + np.sin(angle) * y)
    return np.asarray(tilt * (1 - design.vignetting * (x**2 + y**2) / 2) * rng.uniform(0.85, 1.2))


def _make_debris(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A clump, or a fibre, of brightness one; out of the focus of the cells."""
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(float)
    centre_y, centre_x = rng.uniform(50, SIDE_PX - 50, 2)
    angle = rng.uniform(0, np.pi)
    along = (x - centre_x) * np.cos(angle) + (y - centre_y) * np.sin(angle)
    across = -(x - centre_x) * np.sin(angle) + (y - centre_y) * np.cos(angle)
    length, width = (
        (rng.uniform(14, 28), rng.uniform(12, 22))
        if rng.random() < 0.6
        else (rng.uniform(70, 110), rng.uniform(5, 8))
    )
    shape = np.hypot(along / length, across / width) <= 1
    return np.asarray(ndimage.gaussian_filter(shape.astype(float), 2.0))


def _expose(signal: npt.NDArray[np.float64], ceiling: int, rng: np.random.Generator) -> Plane:
    """Counts of the camera: shot noise, a read noise of six counts, an offset, an end."""
    noise = rng.standard_normal(signal.shape, np.float32) * np.sqrt(signal.clip(0) * 0.5 + 36)
    return np.asarray((signal + noise + _OFFSET).clip(0, ceiling).round(), np.uint16)
