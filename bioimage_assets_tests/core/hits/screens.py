"""Made-up screens of well profiles: plates with controls, compounds that do nothing, and compounds with a known EC50."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bioimage_assets.core.settings.dataset import DatasetSettings

SETTINGS = DatasetSettings(hits_null_size=500)
DOSES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True, slots=True)
class Screen:
    """``ec50s`` are those of the active compounds; ``effect`` is the length of an active profile, the noise of a feature being 1."""

    plates: int = 3
    controls: int = 16
    ec50s: Sequence[float] = (0.1, 0.3, 1.0, 3.0)
    inactive: int = 12
    doses: Sequence[float] = DOSES
    features: int = 60
    effect: float = 12.0
    slope: float = 1.2

    @property
    def names(self) -> list[str]:
        active = [f"active-{ec50:g}" for ec50 in self.ec50s]
        return active + [f"inactive-{number}" for number in range(self.inactive)]


def make_screen(screen: Screen, seed: int = 0) -> pa.Table:
    """Every plate has every compound at every dose once, and controls, at shuffled positions; features are correlated."""
    random = np.random.default_rng(seed)
    treatments = [(name, dose) for name in screen.names for dose in screen.doses]
    treatments += [("DMSO", 0.0)] * screen.controls
    mixing = np.eye(screen.features) + 0.4 * random.normal(size=(screen.features,) * 2)
    mixing /= np.linalg.norm(mixing, axis=0)
    directions = {name: random.normal(size=screen.features) for name in screen.names}
    parts = []
    for plate in range(screen.plates):
        order = random.permutation(len(treatments))
        values = random.normal(size=(len(treatments), screen.features)) @ mixing
        for row, place in enumerate(order):
            name, dose = treatments[place]
            if name.startswith("active"):
                ec50 = float(name.split("-")[1])
                share = dose**screen.slope / (dose**screen.slope + ec50**screen.slope)
                direction = directions[name]
                values[row] += screen.effect * share * direction / np.linalg.norm(direction)
        parts.append(_plate(plate, [treatments[place] for place in order], values))
    return pa.concat_tables(parts)


def _plate(number: int, treatments: Sequence[tuple[str, float]], values: np.ndarray) -> pa.Table:
    count = len(treatments)
    columns: dict[str, object] = {
        "plate_key": [f"screen/P{number}"] * count,
        "dataset_id": ["screen"] * count,
        "plate_id": [f"P{number}"] * count,
        "well_id": [f"{chr(65 + place // 24)}{place % 24 + 1:02d}" for place in range(count)],
        "Metadata_Well": [f"{chr(65 + place // 24)}{place % 24 + 1:02d}" for place in range(count)],
        "Metadata_compound": [name for name, _ in treatments],
        "Metadata_concentration_um": pa.array([dose for _, dose in treatments], pa.float64()),
        "Metadata_control_type": pa.array(
            ["negcon" if name == "DMSO" else None for name, _ in treatments], pa.string()
        ),
        "Metadata_Object_Count": pa.array([100] * count, pa.int64()),
    }
    for place in range(values.shape[1]):
        columns[f"Cells_Texture_F{place}"] = values[:, place]
    return pa.table(columns)
