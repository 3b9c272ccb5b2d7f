"""Plate layouts by size name: wells, sites, pixels, treatments and artefacts.

``standard`` (60 wells x 2 sites x 540 px) is for questions of biology, ``demo`` for looking around,
``ci`` for unit tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bioimage_assets.core.errors import SettingsError
from bioimage_assets.core.model.identity import build_well_id
from bioimage_assets.demo.phenotypes import COMPOUNDS, NEGATIVE_CONTROL

GOLDEN_RATIO = (5**0.5 - 1) / 2


@dataclass(frozen=True, slots=True)
class ScreenSize:
    """Everything that depends on the size: fields, pixels, doses and how many fields are spoilt on purpose."""

    name: str
    row_count: int
    column_count: int
    site_count: int
    field_px: int
    chunk_px: int
    doses_um: tuple[float, ...]
    replicate_count: int
    control_count: int
    plate_count: int
    blurred_field_count: int
    saturated_field_count: int
    debris_field_count: int

    @property
    def well_count(self) -> int:
        """Wells per plate."""
        return self.row_count * self.column_count


SIZES: dict[str, ScreenSize] = {
    "ci": ScreenSize("ci", 3, 4, 1, 192, 128, (0.3, 3.0), 1, 4, 2, 1, 1, 1),
    "demo": ScreenSize("demo", 4, 6, 2, 192, 96, (0.1, 0.3, 1.0, 3.0), 1, 8, 2, 2, 2, 3),
    "standard": ScreenSize("standard", 6, 10, 2, 540, 256, (0.1, 0.3, 1.0, 3.0), 3, 12, 3, 2, 2, 6),
}


@dataclass(frozen=True, slots=True)
class WellTreatment:
    """What a well received; ``row`` and ``column`` are zero-based."""

    row: int
    column: int
    compound: str
    concentration_um: float

    @property
    def well_id(self) -> str:
        """Canonical name, ``A01``."""
        return build_well_id(self.row, self.column)

    @property
    def is_control(self) -> bool:
        """Whether the well holds only the solvent."""
        return self.compound == NEGATIVE_CONTROL

    @property
    def is_edge(self) -> bool:
        """Whether the well is on the rim of a 96-well plate, where cells grow worse."""
        return self.row in (0, 7) or self.column in (0, 11)


def find_size(name: str) -> ScreenSize:
    """Size by its name; SettingsError for an unknown one."""
    try:
        return SIZES[name]
    except KeyError:
        raise SettingsError(f"Unknown demo size {name!r}: expected one of {', '.join(SIZES)}.") from None


def build_layout(size: ScreenSize, seed: int, dataset_id: str) -> tuple[WellTreatment, ...]:
    """Treatments of all wells in plate order; the same for every plate of a dataset, as in a real screen.

    Controls are spread over rows and columns; the treatments are shuffled over the other wells.
    """
    wells = [(row, column) for row in range(size.row_count) for column in range(size.column_count)]
    rng = np.random.default_rng([seed, *dataset_id.encode(), 1])
    # multiples of the golden ratio spread the controls evenly, over rows, columns and the rim alike
    spread = sorted(range(len(wells)), key=lambda index: (index * GOLDEN_RATIO) % 1)
    controls = set(spread[: size.control_count])
    treatments = [
        (compound, dose)
        for compound in COMPOUNDS
        for dose in size.doses_um
        for _ in range(size.replicate_count)
    ]
    shuffled = [treatments[index] for index in rng.permutation(len(treatments))]
    layout = []
    for index, (row, column) in enumerate(wells):
        compound, dose = (NEGATIVE_CONTROL, 0.0) if index in controls else shuffled.pop()
        layout.append(WellTreatment(row, column, compound, dose))
    return tuple(layout)
