"""Fixtures of the measurement tests: one call that reads everything, and the real ExampleHuman folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.model import PlateMeasurements
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.settings.dataset import DatasetSettings

EXAMPLE_HUMAN = (Path(__file__).resolve().parents[3] / "../shared/data/examplehuman").resolve()


@dataclass(frozen=True)
class ReadPlate:
    """A plate's measurements read to the end."""

    table: pa.Table
    result: PlateMeasurements

    def codes(self, severity: str | None = None) -> set[str]:
        return {f.code for f in self.result.findings if severity in (None, f.severity)}

    def finding(self, code: str) -> Finding:
        return next(f for f in self.result.findings if f.code == code)


Reader = Callable[..., ReadPlate]


@pytest.fixture
def read_plate(tmp_path: Path) -> Reader:
    def read(
        *sources: Path | str, plate: str = "P1", settings: DatasetSettings | None = None, **options: object
    ) -> ReadPlate:
        result = read_measurements(
            [str(source) for source in sources],
            plate_key=f"screen/{plate}",
            dataset_id="screen",
            plate_name=plate,
            settings=settings or DatasetSettings(),
            **options,
        )
        table = result.reader.read_all()
        assert result.row_count == table.num_rows
        return ReadPlate(table, result)

    return read


@pytest.fixture
def example_human() -> Path:
    if not (EXAMPLE_HUMAN / "Cells.csv").is_file():
        pytest.skip("the ExampleHuman files are not beside the repository")
    return EXAMPLE_HUMAN
