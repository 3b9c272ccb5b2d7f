"""Single cells of one plate, normalised to its reference cells, as a stream of rows in their stored order.

All cells are there, also those that failed quality control, which define nothing. The same numbers as one call of
``pycytominer.normalize`` on the whole plate (https://github.com/cytomining/pycytominer), in the memory of some rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.cell_rows import CellRows, read_cell_rows
from bioimage_assets.core.profiling.cell_scalers import BLOCK_BYTES, CellScalers, fit_cell_scalers
from bioimage_assets.core.profiling.features import select_feature_columns
from bioimage_assets.core.profiling.library_calls import LibraryCall, describe_features
from bioimage_assets.core.profiling.normalization import WELL, NormalizationPlan
from bioimage_assets.core.profiling.normalization_method import SEED, read_method
from bioimage_assets.core.profiling.platemap import PlateMap
from bioimage_assets.core.profiling.reference import Reference, choose_reference
from bioimage_assets.core.profiling.result_columns import FAILED, NORMALIZED_TO
from bioimage_assets.core.profiling.sources import CellSource, iterate_batches, open_cells, to_float64
from bioimage_assets.core.settings.dataset import DatasetSettings

# float64 bytes of the features of the rows at work; reading, scaling and writing hold them about five times.
ROWS_BYTES = 64 << 20
FEATURE_RULE = "number columns that the well profiles of this plate have, too; those without spread in the reference are null"


@dataclass(frozen=True, slots=True)
class NormalizedCells:
    """A stream of normalised cells, and what is to be said about them."""

    rows: pa.RecordBatchReader
    reference: Reference
    cell_count: int
    feature_count: int
    unscaled: tuple[str, ...]
    findings: tuple[Finding, ...]
    calls: tuple[LibraryCall, ...]


def normalize_cells(
    joined: CellSource,
    qc: CellSource | None,
    platemap: PlateMap | None,
    settings: DatasetSettings,
    *,
    block_bytes: int = BLOCK_BYTES,
    rows_bytes: int = ROWS_BYTES,
) -> NormalizedCells:
    """Fit the scalers, reading each column once; the rows are read, and scaled, while the stream is.

    The stream has every column of the cells, ``Metadata_cqc_failed`` and ``Metadata_Normalized_To``; features are float64, null where a
    cell has no value, or the reference has no spread. Cells of a stratum in which no cell passed are null.

    Raises
    ------
    ProfilingError
        As :func:`~bioimage_assets.core.profiling.pycytominer.build_well_profiles`; and for ``spherize``.
    """
    cells = open_cells(joined)
    features = select_feature_columns(cells.schema, settings).profiled
    if not features:
        raise ProfilingError("The cells have no feature column; see [features] of dataset.toml.")
    rows = read_cell_rows(cells, qc, settings, platemap)
    reference = choose_reference(rows, platemap, settings)
    plan = NormalizationPlan(read_method(settings), reference.scalings if rows.passed.any() else ())
    scalers = fit_cell_scalers(cells, rows, features, plan, block_bytes)
    schema = _build_schema(cells.schema, features)
    count = max(256, rows_bytes // (8 * len(features)))
    batches = _iterate_rows(cells, rows, scalers, reference, schema, count)
    return NormalizedCells(
        pa.RecordBatchReader.from_batches(schema, batches),
        reference,
        rows.wells.size,
        len(features),
        scalers.unscaled,
        (*reference.findings, *_describe_unscaled(scalers.unscaled)),
        _list_calls(rows, reference, plan, scalers),
    )


def _build_schema(stored: pa.Schema, features: tuple[str, ...]) -> pa.Schema:
    profiled = set(features)
    fields = [
        pa.field(field.name, pa.float64()) if field.name in profiled else field
        for field in stored
        if field.name not in (FAILED, NORMALIZED_TO)
    ]
    return pa.schema([*fields, pa.field(FAILED, pa.bool_()), pa.field(NORMALIZED_TO, pa.string())])


def _iterate_rows(
    cells: ds.Dataset,
    rows: CellRows,
    scalers: CellScalers,
    reference: Reference,
    schema: pa.Schema,
    count: int,
) -> Iterator[pa.RecordBatch]:
    codes = _find_scalings(rows, scalers)
    start = 0
    for part in iterate_batches(cells, count):
        stop = start + part.num_rows
        values = np.empty((part.num_rows, len(scalers.features)), order="F")
        for place, name in enumerate(scalers.features):
            values[:, place] = to_float64(part.column(name))
        scaled = scalers.scale(values, codes[start:stop])
        columns = {
            name: pa.array(scaled[:, at], from_pandas=True) for at, name in enumerate(scalers.features)
        }
        columns[FAILED] = pa.array(rows.failed[start:stop])
        columns[NORMALIZED_TO] = pa.array([reference.name] * part.num_rows, pa.string())
        yield pa.RecordBatch.from_arrays(
            [columns[name] if name in columns else part.column(name) for name in schema.names],
            schema=schema,
        )
        start = stop
    if start != rows.wells.size:
        raise ProfilingError(f"The plate had {rows.wells.size} cells and now has {start}; build it again.")


def _find_scalings(rows: CellRows, scalers: CellScalers) -> np.ndarray:
    """Number of the scaling of each cell, -1 where no cell of its stratum passed."""
    if not scalers.scalings:
        return np.full(rows.wells.size, -1)
    if not rows.strata:
        return np.zeros(rows.wells.size, np.int64)
    strata = pd.MultiIndex.from_arrays([np.asarray(values) for values in rows.strata.values()])
    known = pd.MultiIndex.from_tuples([scaling.stratum for scaling in scalers.scalings])
    return np.asarray(known.get_indexer(strata))


def _describe_unscaled(names: tuple[str, ...]) -> tuple[Finding, ...]:
    if not names:
        return ()
    some = ", ".join(names[:4])
    text = f"{count_words(len(names), 'feature does', 'features do')} not vary in the reference and have no value: {some}."
    return (Finding("feature-unscaled", "warning", some, text),)


def _list_calls(
    rows: CellRows, reference: Reference, plan: NormalizationPlan, scalers: CellScalers
) -> tuple[LibraryCall, ...]:
    """The call of the library that gives the same numbers, for each way in which rows are scaled."""
    unscaled = set(scalers.unscaled)
    names = [name for name in scalers.features if name not in unscaled]
    calls = []
    if plan.options.method == "inverse_normal":
        calls.append(
            LibraryCall("numpy.random.seed", {"seed": SEED}, {"rows": "before each call of normalize"})
        )
    for is_own in sorted({scaling.is_own for scaling in plan.scalings}, reverse=True):
        samples = next(scaling.samples for scaling in plan.scalings if scaling.is_own == is_own)
        passed = f"{FAILED} == False"
        arguments: dict[str, object] = {
            "features": describe_features(names, FEATURE_RULE),
            "meta_features": [WELL, FAILED, *rows.strata],
            "samples": passed if samples == "all" else f"{samples} and {passed}",
            **plan.options.arguments(),
        }
        notes: dict[str, object] = {
            "rows": "cells of one value at a time" if rows.strata and is_own else "all cells",
            "group_by": list(rows.strata) if is_own else [],
            "reference": reference.name,
        }
        calls.append(LibraryCall("pycytominer.normalize", arguments, notes))
    return tuple(calls)
