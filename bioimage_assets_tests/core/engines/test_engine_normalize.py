"""Normalisation plate by plate is that of pycytominer on each plate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pycytominer import normalize

from bioimage_assets.core.engines.aggregates import aggregate
from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.normalize import fit_plates, normalize_groups, normalize_plates
from bioimage_assets.core.engines.open_source import arrow_source, warehouse_source
from bioimage_assets.core.engines.plan import IsIn, Measure, Rows
from bioimage_assets.core.engines.polars_engine import PolarsEngine
from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.settings.dataset import NormalizationMethod
from bioimage_assets_tests.core.engines.wells import WELLS, make_plate, make_root

METHODS: tuple[NormalizationMethod, ...] = ("standardize", "robustize", "mad_robustize")
CONTROLS = (IsIn("Metadata_treatment", ("DMSO",)),)
FEATURES = [*(f"Cells_F{number}" for number in range(6)), "Cells_Whole"]


def by_pycytominer(plate: pd.DataFrame, features: list[str], method: str, samples: str) -> pd.DataFrame:
    return normalize(
        plate.astype(dict.fromkeys(features, np.float64)),
        features=features,
        meta_features=["Metadata_Well"],
        samples=samples,
        method=method,
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("samples", ["all", "Metadata_treatment == 'DMSO'"])
def test_each_plate_is_normalised_as_by_pycytominer(
    tmp_path: Path, engine: Engine, method: NormalizationMethod, samples: str
) -> None:
    warehouse = make_root(tmp_path)
    keys = [key for key in warehouse.partitions(WELLS) if key != "screen/none"]
    wells = warehouse_source(warehouse, WELLS, keys)
    reference = () if samples == "all" else CONTROLS
    scalings = fit_plates(engine, wells, FEATURES, method=method, reference=reference)
    assert list(scalings.plates) == keys
    for plate, table in normalize_plates(engine, wells, scalings, ["Metadata_Well"]):
        expected = by_pycytominer(
            warehouse.read(WELLS, plate_keys=[plate]).to_pandas(), FEATURES, method, samples
        )
        found = table.to_pandas().sort_values("Metadata_Well", kind="stable")
        assert found.columns.tolist() == expected.columns.tolist()
        np.testing.assert_array_equal(found["Metadata_Well"], expected["Metadata_Well"])
        np.testing.assert_allclose(
            found[FEATURES].to_numpy(), expected[FEATURES].to_numpy(), rtol=1e-11, atol=1e-12
        )


@pytest.mark.parametrize("method", METHODS)
def test_constant_and_nearly_constant_features_are_scaled_as_by_the_library(
    engine: Engine, method: NormalizationMethod
) -> None:
    random = np.random.default_rng(3)
    plate = pd.DataFrame({
        "plate_key": "s/A", "Metadata_Well": [f"A{i:02d}" for i in range(40)], "Cells_A": 0.1, "Cells_B": 1e9 / 3,
        "Cells_C": 5.0 + 1e-17 * random.normal(size=40), "Cells_D": random.normal(size=40), "Cells_E": np.nan,
    })  # fmt: skip
    features = ["Cells_A", "Cells_B", "Cells_C", "Cells_D"]
    wells = arrow_source("wells", [pa.Table.from_pandas(plate, preserve_index=False)])
    scalings = fit_plates(engine, wells, features, method=method)
    ((_, table),) = normalize_plates(engine, wells, scalings, ["Metadata_Well"])
    expected = by_pycytominer(plate, features, method, "all")
    np.testing.assert_allclose(table.to_pandas()[features], expected[features], rtol=1e-11, atol=1e-12)


def test_medians_can_be_normalised_after_they_were_taken(engine: Engine) -> None:
    cells = arrow_source("cells", [make_plate("s/A", 1), make_plate("s/B", 2)])
    scalings = fit_plates(engine, cells, FEATURES, reference=CONTROLS)
    measures = [Measure("median", name) for name in FEATURES]
    keys = ["plate_key", "Metadata_dose"]
    first = normalize_groups(aggregate(engine, Rows(cells), keys, measures), scalings)
    plates = [table for _, table in normalize_plates(engine, cells, scalings, keys)]
    later = aggregate(PolarsEngine(), Rows(arrow_source("cells", plates)), keys, measures)
    np.testing.assert_allclose(
        first.to_pandas()[FEATURES], later.to_pandas()[FEATURES], rtol=1e-12, atol=1e-12
    )


def test_a_plate_without_reference_is_named(tmp_path: Path, engine: Engine) -> None:
    wells = warehouse_source(make_root(tmp_path), WELLS)
    with pytest.raises(
        ProfilingError, match=r"1 plates of pycytominer_profiles have no reference row \(screen/none\)"
    ):
        fit_plates(engine, wells, FEATURES, reference=CONTROLS)
