"""Stored tables of some plates in, one AnnData file of their wells or cells out, written by blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from bioimage_assets.core.anndata.feature_names import build_var
from bioimage_assets.core.anndata.library import require_anndata
from bioimage_assets.core.anndata.obs_columns import ObsValues, build_obs_values
from bioimage_assets.core.anndata.plate_rows import (
    CELLS,
    NORMALIZED,
    WELLS,
    Level,
    PlateRows,
    iterate_values,
    join_features,
    open_rows,
    read_cells,
    read_wells,
)
from bioimage_assets.core.anndata.provenance import build_uns, read_stored_parts
from bioimage_assets.core.anndata.raw_wells import build_raw_wells
from bioimage_assets.core.anndata.write_file import AnnDataWriter, check_target, open_writer
from bioimage_assets.core.errors import UsageError, WarehouseError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.compartments import CELL_FIRST
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.phrases import count_words, plural_of
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.tables import ProjectTables

_CENTERS = ("Location_Center", "AreaShape_Center")


@dataclass(frozen=True, slots=True)
class AnnDataExport:
    """What is written.

    Parameters
    ----------
    level
        One row is a well (a profile) or a cell.
    with_raw
        ``layers["raw"]`` holds measured values where ``X`` holds normalised ones; of wells, medians of the cells that passed.
    is_float32
        Matrices are float32: half the size, seven digits. Else as the stored values are.
    """

    level: Level = "wells"
    with_raw: bool = True
    is_float32: bool = False


@dataclass(frozen=True, slots=True)
class WrittenAnnData:
    """What was written; ``matrix`` says what ``X`` is (``normalized`` or ``raw``), ``findings`` what it is not."""

    target: str
    level: Level
    matrix: str
    layers: tuple[str, ...]
    plate_count: int
    row_count: int
    feature_count: int
    findings: tuple[Finding, ...] = field(default=())

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


def export_anndata(
    tables: ProjectTables,
    plate_keys: Sequence[str],
    target: Path,
    scratch: Path,
    export: AnnDataExport | None = None,
    settings: Mapping[str, DatasetSettings] | None = None,
) -> WrittenAnnData:
    """Write the wells or cells of some plates; ``scratch`` is an empty folder, ``settings`` are those of the datasets, by name.

    Plates without such rows are findings. A feature that a plate lacks is NaN there. The target is replaced when all is written.

    Raises
    ------
    UsageError
        The target cannot be written, or no plate has rows.
    WarehouseError
        Stored tables changed meanwhile.
    MissingExtraError
        anndata is not installed.
    """
    require_anndata()
    check_target(target)
    export, settings = export or AnnDataExport(), settings or {}
    parts = read_stored_parts(tables, plate_keys)
    plates, findings = _read_plates(tables, plate_keys, scratch, export.level)
    features = join_features(plates)
    if not features:
        raise UsageError(f"The {export.level} of {count_words(len(plates), 'plate')} have no feature.")
    source = _Source(tables, export, settings, plates, features)
    findings += source.findings()
    channels = tuple(dict.fromkeys(name for plate in plates for name in plate.channels))
    with open_writer(target, sum(plate.row_count for plate in plates), build_var(features, channels)) as file:
        renamed = file.write_obs(_iterate_obs(plates))
        layers = source.write_matrices(file)
        if export.level == "cells" and (places := _read_places(plates)) is not None:
            file.write_places(places)
        if read_stored_parts(tables, plate_keys) != parts:
            raise WarehouseError(
                f"Tables of these plates changed while {target} was written. Write it again."
            )
        told: dict[str, object] = {
            "level": export.level,
            "matrix": source.matrix,
            "warehouse": tables.settings.warehouse_uri,
            "plates": np.array([plate.plate_key for plate in plates], dtype=object),
            "findings": np.array([finding.message for finding in findings], dtype=object),
            "renamed_columns": {new: old for old, new in renamed.items()},
        }
        file.write_uns(build_uns(parts, told, settings))
    rows = sum(plate.row_count for plate in plates)
    return WrittenAnnData(
        str(target), export.level, source.matrix, layers, len(plates), rows, len(features), tuple(findings)
    )


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the matrices of an export come from."""

    tables: ProjectTables
    export: AnnDataExport
    settings: Mapping[str, DatasetSettings]
    plates: Sequence[PlateRows]
    features: Sequence[str]

    @property
    def matrix(self) -> str:
        """What ``X`` holds: normalised values where all plates have them."""
        return "normalized" if all(plate.is_normalized for plate in self.plates) else "raw"

    def findings(self) -> list[Finding]:
        """What the matrices lack."""
        found = []
        if self.matrix == "raw":
            count = sum(not plate.is_normalized for plate in self.plates)
            text = (
                f"X holds measured values: {count} of {count_words(len(self.plates), 'plate')} {plural_of(count, 'has', 'have')} no {NORMALIZED}. Write [normalized_cells] "
                f"write = true into dataset.toml and materialize {NORMALIZED} to have normalised ones."
            )
            found.append(Finding("cells-not-normalised", "warning", NORMALIZED, text))
        lacking = [plate for plate in self.plates if len(plate.features) < len(self.features)]
        if lacking:
            text = (
                f"{len(lacking)} of {count_words(len(self.plates), 'plate')} {plural_of(len(lacking), 'lacks', 'lack')} some of the {count_words(len(self.features), 'feature')}, which are NaN there; "
                f"{lacking[0].plate_key} has {len(lacking[0].features)}."
            )
            found.append(Finding("features-differ", "warning", lacking[0].plate_key, text))
        return found

    def write_matrices(self, file: AnnDataWriter) -> tuple[str, ...]:
        """Write ``X`` and the layers; gives the names of these."""
        is_single = self.export.is_float32 or all(plate.is_single for plate in self.plates)
        dtype = np.dtype(np.float32 if is_single else np.float64)
        is_of_cells = self.export.level == "cells"
        name = WELLS if not is_of_cells else NORMALIZED if self.matrix == "normalized" else CELLS
        file.write_matrix("X", self._iterate(lambda plate: self._open(name, plate)), dtype)
        if not self.export.with_raw or self.matrix == "raw":
            return ()
        measured = (lambda plate: self._open(CELLS, plate)) if is_of_cells else self._build_raw
        file.write_matrix("layers/raw", self._iterate(measured), dtype)
        return ("raw",)

    def _open(self, name: str, plate: PlateRows) -> ds.Dataset:
        rows = open_rows(self.tables, name, plate.plate_key)
        if rows is None:
            raise WarehouseError(f"{name} of {plate.plate_key} vanished while it was read.")
        return rows

    def _build_raw(self, plate: PlateRows) -> ds.Dataset:
        settings = self.settings.get(dataset_of(plate.plate_key), DatasetSettings())
        rows = build_raw_wells(self.tables, plate.plate_key, plate.features, settings)
        if rows is None:
            raise UsageError(
                f"Measured medians of {plate.plate_key} cannot be told: its cells are not stored, or do not have the columns of "
                "[profiles] group_by. Leave the layer out (--no-raw)."
            )
        return rows

    def _iterate(self, source: Callable[[PlateRows], ds.Dataset]) -> Iterator[np.ndarray]:
        for plate in self.plates:
            count = 0
            for block in iterate_values(source(plate), self.features):
                count += len(block)
                yield block
            if count != plate.row_count:
                raise WarehouseError(
                    f"{plate.plate_key} had {count_words(plate.row_count, 'row')} and now has {count}. Write it again."
                )


def _read_plates(
    tables: ProjectTables, plate_keys: Sequence[str], scratch: Path, level: Level
) -> tuple[list[PlateRows], list[Finding]]:
    read = read_wells if level == "wells" else read_cells
    found = [read(tables, key, scratch / f"{number}.parquet") for number, key in enumerate(plate_keys)]
    plates = [plate for plate in found if plate is not None and plate.row_count]
    absent = [
        key for key, plate in zip(plate_keys, found, strict=True) if plate is None or not plate.row_count
    ]
    table = WELLS if level == "wells" else CELLS
    if not plates:
        shown = ", ".join(absent[:4]) or "none named"
        plates_words = count_words(len(absent), "plate")
        raise UsageError(f"No {table} are stored of {plates_words} ({shown}); materialize them first.")
    if not absent:
        return plates, []
    text = f"{len(absent)} of {count_words(len(found), 'plate')} {plural_of(len(absent), 'has', 'have')} no {table} and {plural_of(len(absent), 'is', 'are')} left out: {', '.join(absent[:4])}."
    return plates, [Finding("plates-left-out", "warning", absent[0], text)]


def _iterate_obs(plates: Sequence[PlateRows]) -> Iterator[tuple[str, ObsValues]]:
    """All columns of any plate, null where a plate has none of that name."""
    schemas = [pq.read_schema(plate.obs) for plate in plates]
    for name in dict.fromkeys(name for schema in schemas for name in schema.names):
        parts = [
            pq.read_table(plate.obs, columns=[name])[name]
            if name in schema.names
            else pa.chunked_array([pa.nulls(plate.row_count, pa.float64())])
            for plate, schema in zip(plates, schemas, strict=True)
        ]
        yield name, build_obs_values(parts)


def _read_places(plates: Sequence[PlateRows]) -> np.ndarray | None:
    """x and y of each cell in pixels of its image, of the first compartment that has them on all plates; None where none has."""
    known = set.intersection(*(set(pq.read_schema(plate.obs).names) for plate in plates))
    for stem in (f"Metadata_{compartment}_{center}" for compartment in CELL_FIRST for center in _CENTERS):
        names = [f"{stem}_X", f"{stem}_Y"]
        if known.issuperset(names):
            parts = [pq.read_table(plate.obs, columns=names) for plate in plates]
            return np.column_stack(
                [
                    np.concatenate([part[name].cast(pa.float64()).to_numpy() for part in parts])
                    for name in names
                ]
            )
    return None
