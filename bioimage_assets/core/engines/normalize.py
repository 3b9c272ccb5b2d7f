"""Wells or cells of each plate relative to reference rows of the same plate, as ``pycytominer.normalize`` does it.

https://github.com/cytomining/pycytominer; the scalers behind it are scikit-learn's StandardScaler and RobustScaler, and its own
RobustMAD. Two passes: one over the reference rows of all plates, one over each plate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bioimage_assets.core.engines.aggregates import aggregate, restrict
from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.plan import Condition, IsIn, Join, Measure, Rows, Scaled
from bioimage_assets.core.engines.table_source import TableSource
from bioimage_assets.core.engines.tidy import without_nan
from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.settings.dataset import NormalizationMethod

_EPSILON = float(np.finfo(np.float64).eps)
# pycytominer's factor that makes the deviation of a normal distribution its standard deviation.
_MAD_FACTOR = 1.4826
_MEASURES = {
    "standardize": ("values", "mean", "variance", "min", "max"),
    "robustize": ("values", "median", "lower_quartile", "upper_quartile"),
    "mad_robustize": ("values", "median", "median_deviation"),
}


@dataclass(frozen=True, slots=True)
class PlateScalings:
    """Centre and scale of every feature (columns) on every plate (rows); NaN where the reference has no value."""

    plates: tuple[str, ...]
    features: tuple[str, ...]
    centers: np.ndarray
    scales: np.ndarray

    def of(self, plate: str) -> list[Scaled]:
        """What is done to the features of one plate."""
        row = self.plates.index(plate)
        return [
            Scaled(name, float(center), float(scale))
            for name, center, scale in zip(self.features, self.centers[row], self.scales[row], strict=True)
        ]


def fit_plates(
    engine: Engine,
    source: TableSource,
    features: Sequence[str],
    *,
    method: NormalizationMethod = "standardize",
    reference: Sequence[Condition] = (),
    join: Join | None = None,
    epsilon: float = 1e-18,
) -> PlateScalings:
    """Centre and scale of each feature over the reference rows of each plate (all rows without ``reference``).

    ``epsilon`` is added to the scales of ``mad_robustize``, as pycytominer does. A feature that does not vary has the
    scale 1 where scikit-learn says so.

    Raises
    ------
    ProfilingError
        A plate has no reference row, or rows are of no plate.
    """
    if method not in _MEASURES:
        raise ProfilingError(f"Plates are scaled by {', '.join(_MEASURES)} here, found {method!r}.")
    plate = source.partition_column
    measures = [
        Measure(function, name, f"{function}:{place}")  # type: ignore[arg-type]
        for function in _MEASURES[method]
        for place, name in enumerate(features)
    ]
    table = aggregate(engine, Rows(source, tuple(reference), join), [plate], measures)
    plates = table[plate].to_pylist()
    if None in plates:
        raise ProfilingError(f"Rows of {source.name} have no {plate}; normalisation is done plate by plate.")
    if lacking := sorted(set(source.partitions) - set(plates)):
        raise ProfilingError(
            f"{len(lacking)} plates of {source.name} have no reference row ({', '.join(lacking[:4])}); expected rows with "
            f"{list(reference) or 'any value'}."
        )
    found = {
        function: np.column_stack(
            [table[f"{function}:{place}"].to_numpy() for place in range(len(features))]
        ).astype(np.float64)
        for function in _MEASURES[method]
    }
    centers, scales = _scale(method, found, epsilon)
    return PlateScalings(tuple(map(str, plates)), tuple(features), centers, scales)


def _scale(
    method: NormalizationMethod, found: dict[str, np.ndarray], epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    if method == "mad_robustize":
        return found["median"], found["median_deviation"] * _MAD_FACTOR + epsilon
    if method == "robustize":
        scales = found["upper_quartile"] - found["lower_quartile"]
        return found["median"], np.where(scales < 10 * _EPSILON, 1.0, scales)
    count, mean, variance = found["values"], found["mean"], found["variance"]
    # scikit-learn's bound on what rounding makes of a constant.
    is_constant = variance <= count * _EPSILON * variance + np.square(count * mean * _EPSILON)
    # The mean of a constant is the constant, whatever the order of sums makes of it.
    mean = np.where(found["min"] == found["max"], found["min"], mean)
    return mean, np.where(is_constant | (found["min"] == found["max"]), 1.0, np.sqrt(variance))


def normalize_plates(
    engine: Engine,
    source: TableSource,
    scalings: PlateScalings,
    columns: Sequence[str] = (),
    *,
    where: Sequence[Condition] = (),
    join: Join | None = None,
) -> Iterator[tuple[str, pa.Table]]:
    """Rows of one plate after the other: ``columns`` as they are, features scaled; one plate is in memory.

    Features are float64, null where there is no value. Rows come in stored order.
    """
    plate = source.partition_column
    is_split = all(part.partition is not None for part in source.parts)
    for name in scalings.plates:
        part = source.prune([name]) if is_split else source
        conditions = tuple(where) if is_split else (*where, IsIn(plate, (name,)))
        rows = restrict(Rows(part, conditions, join), part)
        yield name, _tidy(engine.collect(rows, list(columns), scalings.of(name)), scalings.features)


def _tidy(table: pa.Table, features: Sequence[str]) -> pa.Table:
    wanted = set(features)
    return pa.table(
        {
            name: without_nan(table[name].cast(pa.float64())) if name in wanted else table[name]
            for name in table.column_names
        }
    )


def normalize_groups(table: pa.Table, scalings: PlateScalings, plate_column: str = "plate_key") -> pa.Table:
    """Scale medians or means of groups within plates, which is the same as to scale the rows first, but for rounding.

    Both steps are affine and scales are positive. Every row names its plate.
    """
    place = {name: row for row, name in enumerate(scalings.plates)}
    rows = np.array([place[name] for name in table[plate_column].to_pylist()], dtype=np.int64)
    for position, name in enumerate(scalings.features):
        values = table[name].to_numpy()
        scaled = (values - scalings.centers[rows, position]) / scalings.scales[rows, position]
        column = without_nan(pa.chunked_array([pa.array(scaled, pa.float64())]))
        table = table.set_column(table.column_names.index(name), name, column)
    return table
