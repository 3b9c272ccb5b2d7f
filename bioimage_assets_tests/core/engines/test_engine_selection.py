"""Feature selection by streamed statistics removes exactly what pycytominer removes."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycytominer import feature_select

from bioimage_assets.core.engines.correlation import correlate_products, list_correlated
from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.open_source import arrow_source
from bioimage_assets.core.engines.plan import Rows
from bioimage_assets.core.engines.polars_engine import PolarsEngine
from bioimage_assets.core.engines.products import add_products, multiply_block
from bioimage_assets.core.engines.selection import OPERATIONS, SelectionLimits, select_features
from bioimage_assets.core.errors import ProfilingError, UsageError

ORDER = ("drop_na_columns", "blocklist", "variance_threshold", "correlation_threshold", "drop_outliers")
BLOCKED = "Cells_Correlation_Manders_AGP_DNA"  # on pycytominer's list


def make_features(seed: int, rows: int = 200, *, has_missing: bool) -> pd.DataFrame:
    """Features that are alike, equal, constant, rare, extreme, missing, near the limits."""
    random = np.random.default_rng(seed)
    base = random.normal(size=(rows, 6))
    frame = pd.DataFrame({f"Cells_A{i}": base[:, i] for i in range(6)})
    for number, noise in enumerate((0.0, 1e-9, 0.3, 0.45, 0.48, 0.484, 0.5)):
        frame[f"Cells_Like{number}"] = base[:, 0] + noise * random.normal(size=rows)
    frame["Nuclei_Opposite"] = -base[:, 1]
    frame["Nuclei_Twice"] = 2 * base[:, 1]
    frame["Nuclei_Sum"] = base[:, 1] + 0.4 * base[:, 2]
    frame["Cells_Constant"] = 3.25
    frame["Cells_Tiny"] = 1 + 1e-3 * random.choice([-1.0, 1.0], rows)  # variance 1e-6, the limit
    frame["Cells_Rare"] = np.where(np.arange(rows) == 7, 1.0, 0.0)
    frame["Cells_Ties"] = random.integers(0, 3, rows).astype(float)
    frame["Cells_Extreme"] = np.where(np.arange(rows) == 3, -600.0, base[:, 3])
    frame["Cells_Limit"] = np.where(np.arange(rows) == 3, 500.0, base[:, 4])
    frame["Cells_Offset"] = 1e6 + base[:, 5]
    frame[BLOCKED] = random.normal(size=rows)
    if has_missing:
        frame["Cells_Some"] = np.where(random.random(rows) < 0.04, np.nan, base[:, 0])
        frame["Cells_Half"] = np.where(random.random(rows) < 0.5, np.nan, base[:, 2])
        frame["Cells_None"] = np.nan
    return frame.astype(np.float64)


def select_by_pycytominer(
    frame: pd.DataFrame, operations: tuple[str, ...], limits: SelectionLimits
) -> list[set[str]]:
    kept, removed = list(frame.columns), []
    for operation in operations:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of numpy about columns without values
            left = feature_select(
                frame[kept],
                features=kept,
                operation=operation,
                na_cutoff=limits.na_cutoff,
                corr_threshold=limits.corr_threshold,
                outlier_cutoff=limits.outlier_cutoff,
            )
        removed.append(set(kept) - set(left.columns))
        kept = list(left.columns)
    return removed


def in_plates(frame: pd.DataFrame, count: int = 3) -> Rows:
    pieces = np.array_split(np.arange(len(frame)), count)
    return Rows(
        arrow_source("wells", [pa.Table.from_pandas(frame.iloc[p], preserve_index=False) for p in pieces])
    )


@pytest.mark.parametrize("has_missing", [False, True])
@pytest.mark.parametrize(
    "limits", [SelectionLimits(), SelectionLimits(na_cutoff=0), SelectionLimits(corr_threshold=0.5)]
)
def test_every_operation_removes_what_pycytominer_removes(
    engine: Engine, has_missing: bool, limits: SelectionLimits
) -> None:
    for seed in range(5):
        frame = make_features(seed, has_missing=has_missing)
        selection = select_features(engine, in_plates(frame), list(frame.columns), ORDER, limits)
        expected = select_by_pycytominer(frame, ORDER, limits)
        assert [set(names) for _, names in selection.removed] == expected
        removed = set().union(*expected)
        assert selection.kept == tuple(name for name in frame.columns if name not in removed)


@pytest.mark.parametrize("operation", [*ORDER, "frequency_threshold"])
def test_one_operation_alone_is_that_of_pycytominer(engine: Engine, operation: str) -> None:
    frame = make_features(11, has_missing=True)
    selection = select_features(engine, in_plates(frame), list(frame.columns), [operation])
    assert [set(names) for _, names in selection.removed] == select_by_pycytominer(
        frame, (operation,), SelectionLimits()
    )


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(8, 60), st.integers(2, 9), st.floats(0.2, 0.99), st.integers(0, 3)
)
def test_random_features_are_selected_as_by_pycytominer(
    seed: int, rows: int, width: int, limit: float, digits: int
) -> None:
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(rows, width)) @ random.normal(size=(width, width))
    frame = pd.DataFrame(mixed.round(digits), columns=[f"Cells_{i}" for i in range(width)])
    limits = SelectionLimits(corr_threshold=limit)
    selection = select_features(PolarsEngine(), in_plates(frame), list(frame.columns), ORDER, limits)
    assert [set(names) for _, names in selection.removed] == select_by_pycytominer(frame, ORDER, limits)


@pytest.mark.parametrize("has_missing", [False, True])
def test_correlations_block_by_block_are_those_of_the_whole_matrix(has_missing: bool) -> None:
    frame = make_features(5, 400, has_missing=has_missing).drop(
        columns="Cells_Offset"
    )  # pandas loses digits there
    values = frame.to_numpy()
    centers = np.nan_to_num(np.nanmean(np.where(np.isnan(values).all(0), 0.0, values), axis=0))
    total = None
    for block in np.array_split(values, 7):
        total = add_products(total, multiply_block(block, centers))
    assert total is not None
    np.testing.assert_allclose(
        correlate_products(total), frame.corr().to_numpy(), rtol=0, atol=1e-12, equal_nan=True
    )


@pytest.mark.parametrize("has_missing", [False, True])
def test_what_does_not_fit_into_memory_is_selected_alike(
    engine: Engine, has_missing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No two features are equal: which of such a pair goes is decided by rounding, in pycytominer, too.
    frame = make_features(2, has_missing=has_missing).drop(
        columns=["Cells_Like0", "Cells_Offset", "Nuclei_Twice"]
    )
    monkeypatch.setattr("bioimage_assets.core.engines.correlation._COPIES", 1 << 40)
    selection = select_features(engine, in_plates(frame), list(frame.columns), ORDER)
    assert [set(n) for _, n in selection.removed] == select_by_pycytominer(frame, ORDER, SelectionLimits())


def test_of_a_pair_goes_the_one_that_resembles_more_others() -> None:
    alike = np.array([[1, 0.95, 0.2], [0.95, 1, 0.8], [0.2, 0.8, 1]])
    assert list_correlated(["a", "b", "c"], alike, 0.9) == ["b"]
    assert list_correlated(["a", "b", "c"], -alike, 0.9) == []


def test_infinite_values_are_refused_where_pycytominer_refuses_them(engine: Engine) -> None:
    frame = make_features(0, has_missing=False)
    frame.loc[4, "Cells_A1"] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        feature_select(frame, features=list(frame.columns), operation="variance_threshold")
    with pytest.raises(ProfilingError, match=r"1 hold infinite values \(Cells_A1"):
        select_features(engine, in_plates(frame), list(frame.columns), ["variance_threshold"])
    kept = select_features(engine, in_plates(frame), list(frame.columns), ["drop_outliers"]).kept
    assert "Cells_A1" not in kept


def test_features_that_are_all_constant_are_refused(engine: Engine) -> None:
    frame = pd.DataFrame({"Cells_A": np.ones(20), "Cells_B": np.zeros(20)})
    with pytest.raises(ProfilingError, match="none of 2 varies by more than 1e-06 over 20 rows"):
        select_features(engine, in_plates(frame), list(frame.columns), ["variance_threshold"])


def test_an_operation_that_does_not_exist_is_named() -> None:
    frame = make_features(0, has_missing=False)
    with pytest.raises(UsageError, match="no operation 'noise_removal'; known are drop_na_columns"):
        select_features(PolarsEngine(), in_plates(frame), list(frame.columns), ["noise_removal"])
    assert set(ORDER) < set(OPERATIONS)
