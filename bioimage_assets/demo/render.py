"""Pixels and label images of one field of view, as a fluorescence microscope would give them.

Cells are star-shaped outlines around random seeds, cut where neighbours meet. Channel order is
`CHANNELS`; coordinates are pixels, row first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from bioimage_assets.demo.phenotypes import Phenotype

CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")

PIXEL_SIZE_UM = 0.65  # a 20x objective before an sCMOS camera of 13 µm pixels
CELL_AREA_PER_CELL_PX = 5_400
SEED_DISTANCE_PX = 24
SEED_MARGIN_PX = 16
NUCLEUS_RADIUS_PX = (9.5, 0.8)
CELL_RADIUS_PX = (25.0, 2.8)
PSF_SIGMA_PX = 1.0
EDGE_COUNT_FACTOR = 0.75
MIN_CYTOPLASM_PX = 20

FloatImage = NDArray[np.float32]
LabelImage = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class DrawnField:
    """One field before the camera: light per channel (c, y, x), label images and the label's artefacts.

    ``artefacts[i]`` belongs to label ``i + 1`` of both label images.
    """

    light: FloatImage
    cells: LabelImage
    nuclei: LabelImage
    artefacts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _CellFrame:
    """Per pixel: index of the nearest seed, distance to it, outlines' radii in that direction."""

    owner: NDArray[np.intp]
    radius: FloatImage
    angle: FloatImage
    cell_radius: FloatImage
    nucleus_radius: FloatImage


def draw_field(rng: np.random.Generator, field_px: int, phenotype: Phenotype, *, is_edge: bool) -> DrawnField:
    """Draw one clean field; the same generator state gives the same field."""
    expected = field_px**2 / CELL_AREA_PER_CELL_PX * phenotype.count * (EDGE_COUNT_FACTOR if is_edge else 1.0)
    seeds = _scatter_seeds(rng, field_px, max(2, rng.poisson(expected)))
    frame = _build_frame(rng, field_px, seeds, phenotype)
    in_cell = frame.radius < frame.cell_radius
    in_nucleus = frame.radius < np.minimum(frame.nucleus_radius, 0.8 * frame.cell_radius)
    cells, nuclei, kept = _label_cells(frame.owner, in_cell, in_nucleus, len(seeds))
    light = _paint(rng, frame, cells, nuclei, seeds, phenotype)
    return DrawnField(light, cells, nuclei, ("clean",) * kept)


def _scatter_seeds(rng: np.random.Generator, field_px: int, wanted: int) -> NDArray[np.float64]:
    """Random positions that keep their distance; fewer than wanted when the field is full."""
    # Rejection sampling, twenty candidates per cell: a full field ends the search.
    seeds = np.empty((0, 2))
    for candidate in rng.uniform(SEED_MARGIN_PX, field_px - SEED_MARGIN_PX, (wanted * 20, 2)):
        if len(seeds) == wanted:
            break
        if not len(seeds) or np.min(np.sum((seeds - candidate) ** 2, axis=1)) >= SEED_DISTANCE_PX**2:
            seeds = np.vstack([seeds, candidate])
    return seeds


def _build_frame(
    rng: np.random.Generator, field_px: int, seeds: NDArray[np.float64], phenotype: Phenotype
) -> _CellFrame:
    grid_y, grid_x = np.mgrid[0:field_px, 0:field_px].astype(np.float32)
    # The nearest nucleus owns a pixel: cells meet at Voronoi edges, as a confluent layer does.
    _, owner = cKDTree(seeds).query(np.stack([grid_y.ravel(), grid_x.ravel()], axis=1))
    owner = owner.reshape(field_px, field_px)
    delta_y = grid_y - seeds[:, 0].astype(np.float32)[owner]
    delta_x = grid_x - seeds[:, 1].astype(np.float32)[owner]
    angle = np.arctan2(delta_y, delta_x)
    count = len(seeds)
    nucleus_scale = rng.normal(*NUCLEUS_RADIUS_PX, count).clip(7, 12) * np.sqrt(phenotype.nucleus_area)
    cell_scale = rng.normal(*CELL_RADIUS_PX, count).clip(18, 33)
    nucleus_waves = 0.02 + phenotype.nucleus_irregularity
    return _CellFrame(
        owner=owner,
        radius=np.hypot(delta_y, delta_x),
        angle=angle,
        cell_radius=_outline(rng, owner, angle, cell_scale, stretch=0.10, waves=0.06),
        nucleus_radius=_outline(rng, owner, angle, nucleus_scale, stretch=0.10, waves=nucleus_waves),
    )


def _outline(
    rng: np.random.Generator,
    owner: NDArray[np.intp],
    angle: FloatImage,
    scale: NDArray[np.float64],
    *,
    stretch: float,
    waves: float,
) -> FloatImage:
    """Outline radius in every pixel's direction: an ellipse (second harmonic) with smaller waves on it."""
    count = len(scale)
    outline = np.ones_like(angle)
    for order, spread in ((2, stretch), (3, waves), (5, waves * 0.7)):
        amplitude = np.abs(rng.normal(spread, spread * 0.3, count)).astype(np.float32)
        phase = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
        outline += amplitude[owner] * np.cos(order * angle + phase[owner])
    return outline * scale.astype(np.float32)[owner]


def _label_cells(
    owner: NDArray[np.intp], in_cell: NDArray[np.bool_], in_nucleus: NDArray[np.bool_], count: int
) -> tuple[LabelImage, LabelImage, int]:
    """Number the cells that have a nucleus and a cytoplasm from 1 without gaps."""
    nucleus_px = np.bincount(owner[in_nucleus], minlength=count)
    cell_px = np.bincount(owner[in_cell], minlength=count)
    kept = (nucleus_px >= MIN_CYTOPLASM_PX) & (cell_px - nucleus_px >= MIN_CYTOPLASM_PX)
    number = np.where(kept, np.cumsum(kept), 0).astype(np.uint16)
    labels = number[owner]
    cells = np.where(in_cell, labels, 0).astype(np.uint16)
    return cells, np.where(in_nucleus, cells, 0).astype(np.uint16), int(kept.sum())


def _paint(
    rng: np.random.Generator,
    frame: _CellFrame,
    cells: LabelImage,
    nuclei: LabelImage,
    seeds: NDArray[np.float64],
    phenotype: Phenotype,
) -> FloatImage:
    """Light of the five stains in camera counts, before optics and noise."""
    owner, shape = frame.owner, cells.shape
    in_cell, in_nucleus = cells > 0, nuclei > 0
    in_cytoplasm = in_cell & ~in_nucleus
    relative = np.clip(frame.radius / frame.cell_radius, 0, 1)
    from_nucleus = np.clip(frame.radius - frame.nucleus_radius, 0, None)

    def gain(spread: float) -> FloatImage:
        return rng.lognormal(0, spread, len(seeds)).astype(np.float32)[owner]

    chromatin = np.maximum(1 + 0.30 * _smooth_noise(rng, shape, 1.5), 0.1)
    dna = in_nucleus * 2600 * gain(0.18) * chromatin
    er = in_cell * phenotype.er_level * 1900 * gain(0.22) * (0.25 + np.exp(-from_nucleus / 7))
    er *= np.maximum(1 + 0.15 * _smooth_noise(rng, shape, 2.0), 0.1)
    # One in seven pixels of unit noise is above 1.1: a few spots per nucleus.
    nucleoli = in_nucleus & (_smooth_noise(rng, shape, 2.2) > 1.1)
    rna_gain = gain(0.20)
    rna = (
        phenotype.rna_level
        * rna_gain
        * (in_cytoplasm * 900 * (1.1 - 0.6 * relative) + in_nucleus * 500 + nucleoli * 1500)
    )
    agp = in_cell * gain(0.22) * (300 + 1500 * np.exp(-(((1 - relative) / 0.12) ** 2)))
    agp += in_cell * _golgi(rng, frame, seeds, phenotype) * gain(0.2)
    mito = (
        in_cytoplasm
        * phenotype.mito_level
        * gain(0.25)
        * _mitochondria(rng, shape, phenotype.mito_fragmentation)
    )
    mito *= 0.35 + np.exp(-from_nucleus / 10)
    return np.stack([dna, er, rna, agp, mito]).astype(np.float32)


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma_px: float) -> FloatImage:
    """Unit-variance noise with a grain of `sigma_px`."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma_px, mode="wrap")
    unit: FloatImage = noise / noise.std()
    return unit


def _golgi(
    rng: np.random.Generator, frame: _CellFrame, seeds: NDArray[np.float64], phenotype: Phenotype
) -> FloatImage:
    """A bright spot beside the nucleus; disruptors make it wide and dim."""
    direction = rng.uniform(0, 2 * np.pi, len(seeds)).astype(np.float32)[frame.owner]
    spot_radius = np.float32(NUCLEUS_RADIUS_PX[0] + 5)
    distance_squared = (
        frame.radius**2 + spot_radius**2 - 2 * frame.radius * spot_radius * np.cos(frame.angle - direction)
    )
    width = 3.2 * phenotype.golgi_spread
    light: FloatImage = phenotype.golgi_level * 3200 * np.exp(-distance_squared / (2 * width**2))
    return light


def _mitochondria(rng: np.random.Generator, shape: tuple[int, ...], fragmentation: float) -> FloatImage:
    """Filaments are the zero lines of smooth noise, fragments its peaks."""
    noise = _smooth_noise(rng, shape, 2.2)
    filaments = 2600 * np.exp(-((noise / 0.35) ** 2))
    fragments = 2600 * (noise > 1.3)
    light: FloatImage = (1 - fragmentation) * filaments + fragmentation * fragments
    return light
