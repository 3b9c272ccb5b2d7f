"""Screens of well profiles whose batches, positions and active treatments are planted, so that what a correction does is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa

_ROWS, _COLUMNS = 8, 12
Shape: TypeAlias = Literal["smooth", "stripes", "corner", "opposite"]
_CORNER_WELLS = 3.0


@dataclass(frozen=True, slots=True)
class ScreenPlan:
    """What is planted; lengths are deviations of a control well in one feature.

    ``control_wells`` are those of every plate, spread over it (``is_spread``) or in its first columns. ``position`` is the
    deviation of the planted effect over the wells of a plate, whose ``shape`` is ``smooth`` (a gradient along rows, one along
    columns, and the edge), ``stripes`` (every other row), ``corner`` (around A01, a bell of three wells' deviation) or ``opposite``
    (smooth, turned round on every other plate).
    """

    batches: tuple[str, ...] = ("day-1", "day-2")
    plates: int = 4
    control_wells: int = 24
    features: int = 40
    latent: int = 5
    actives: int = 6
    inactives: int = 6
    position: float = 1.0
    batch_turn: float = 0.6
    activity: float = 3.0
    is_spread: bool = True
    shape: Shape = "smooth"
    seed: int = 7

    @property
    def names(self) -> list[str]:
        """Feature columns."""
        return [f"Cells_Intensity_F{place:03d}" for place in range(self.features)]


@dataclass(frozen=True, slots=True)
class Screen:
    """Wells of all plates, one table each, and the position effect that stands in their values, row by row."""

    plates: dict[str, pa.Table]
    position: dict[str, np.ndarray]
    plan: ScreenPlan

    @property
    def wells(self) -> pa.Table:
        """All plates below each other."""
        return pa.concat_tables(self.plates.values())

    def of(self, *batches: str) -> list[str]:
        """Keys of the plates of some batches."""
        return [key for key in self.plates if key.partition("/")[2].rpartition("-P")[0] in batches]


def build_screen(plan: ScreenPlan = ScreenPlan()) -> Screen:
    """Plates relative to their own controls, as ``pycytominer_profiles`` holds them; each batch has numbers of its own."""
    shared = np.random.default_rng(plan.seed)
    loadings = shared.normal(size=(plan.latent, plan.features))
    slopes = shared.normal(size=(3, plan.features))
    shifts = shared.normal(size=(plan.actives, plan.latent)) @ loadings
    shifts *= plan.activity * np.sqrt(plan.features) / np.linalg.norm(shifts, axis=1, keepdims=True)
    places = _place_controls(plan, shared)
    plates, effects = {}, {}
    for place, batch in enumerate(plan.batches):
        random = np.random.default_rng([plan.seed, place])
        turned = loadings + plan.batch_turn * random.normal(size=loadings.shape)
        for number in range(plan.plates):
            key = f"screen/{batch}-P{number + 1}"
            plates[key], effects[key] = _build_plate(
                plan, key, batch, places, (turned, _turn_slopes(plan, slopes, number), shifts), random
            )
    return Screen(plates, effects, plan)


def _place_controls(plan: ScreenPlan, random: np.random.Generator) -> np.ndarray:
    """Which wells are controls, row by row of the plate: in every row and column, or in the first columns."""
    wells = np.arange(_ROWS * _COLUMNS)
    if not plan.is_spread:
        return np.isin(wells, np.argsort(wells % _COLUMNS, kind="stable")[: plan.control_wells])
    # One well of each row and column before any has two of them.
    turns = (wells % _COLUMNS - 5 * (wells // _COLUMNS)) % _COLUMNS
    return np.isin(wells, np.lexsort((random.random(wells.size), turns))[: plan.control_wells])


def _turn_slopes(plan: ScreenPlan, slopes: np.ndarray, number: int) -> np.ndarray:
    """Slopes of one plate of a batch, by its number."""
    return -slopes if plan.shape == "opposite" and number % 2 else slopes


def _shape_basis(plan: ScreenPlan, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """What the planted effect is made of, one row per well; every column has the deviation one."""
    if plan.shape == "stripes":
        basis = (row % 2)[:, None].astype(np.float64)
    elif plan.shape == "corner":
        basis = np.exp(-(row**2 + column**2) / (2 * _CORNER_WELLS**2))[:, None]
    else:
        edge = (row == 0) | (row == _ROWS - 1) | (column == 0) | (column == _COLUMNS - 1)
        basis = np.stack([row, column, edge], axis=1).astype(np.float64)
    return np.asarray((basis - basis.mean(axis=0)) / basis.std(axis=0))


def _build_plate(
    plan: ScreenPlan,
    key: str,
    batch: str,
    is_control: np.ndarray,
    planted: tuple[np.ndarray, np.ndarray, np.ndarray],
    random: np.random.Generator,
) -> tuple[pa.Table, np.ndarray]:
    loadings, slopes, shifts = planted
    count = _ROWS * _COLUMNS
    row, column = np.divmod(np.arange(count), _COLUMNS)
    compounds = np.full(count, -1)
    treated = random.permutation(np.flatnonzero(~is_control))
    compounds[treated] = np.arange(treated.size) % (plan.actives + plan.inactives)
    noise = random.normal(size=(count, plan.latent)) @ loadings + random.normal(size=(count, plan.features))
    values = noise / np.sqrt((loadings**2).sum(axis=0) + 1)
    basis = _shape_basis(plan, row, column)
    effect = basis @ slopes[: basis.shape[1]]
    effect *= plan.position / np.maximum(effect.std(axis=0), 1e-12)
    values = values + effect
    is_active = (compounds >= 0) & (compounds < plan.actives)
    values[is_active] += shifts[compounds[is_active]]
    center, spread = values[is_control].mean(axis=0), values[is_control].std(axis=0)
    names = [f"{chr(65 + r)}{c + 1:02d}" for r, c in zip(row, column, strict=True)]
    words = [None if c < 0 else f"{'active' if c < plan.actives else 'inert'}-{c:02d}" for c in compounds]
    table = pa.table(
        {
            "plate_key": [key] * count,
            "dataset_id": ["screen"] * count,
            "plate_id": [key.partition("/")[2]] * count,
            "well_id": names,
            "Metadata_Well": names,
            "Metadata_compound": pa.array(words, pa.string()),
            "Metadata_control_type": pa.array(["negcon" if c else None for c in is_control], pa.string()),
            "Metadata_Batch": [batch] * count,
            "Metadata_Object_Count": [100] * count,
            "Metadata_Normalized_To": ["controls"] * count,
            **dict(zip(plan.names, ((values - center) / spread).T, strict=True)),
        }
    )
    return table, effect / spread
