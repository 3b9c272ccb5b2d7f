"""Reads AnnData files (``.h5ad``) of one plate, cells or wells: ``obs`` as metadata, ``X`` as features.

https://anndata.readthedocs.io/en/latest/fileformat-prose.html. Read with h5py alone, a block of rows at a time. pycytominer
and CytoTable put every number into ``X``, keys and places too, and all else into ``obs``; scanpy keeps metadata in ``obs``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.anndata_elements import Frame, build_numbers, read_frame
from bioimage_assets.core.measurements.anndata_matrix import Matrix, open_matrix, read_blocks
from bioimage_assets.core.measurements.columns import join_names, resolve_duplicates
from bioimage_assets.core.measurements.duckdb_engine import window_rows
from bioimage_assets.core.measurements.flat_table_files import TableFile
from bioimage_assets.core.measurements.flat_tables import read_parquet_tables
from bioimage_assets.core.measurements.model import PlateContext, PlateMeasurements
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.feature_columns import is_included, list_named_features

# Variables of a matrix; more is a broken or hostile header, and 512 dense rows of more would not be a small block.
MAX_COLUMNS = 100_000
INDEX_COLUMN = "Metadata_ObsName"
_READ_PARTS = ("X", "obs", "var", "layers", "obsm", "raw", "uns")
_KEPT_PREFIXES = ("Metadata_", "Image_", "FileName_", "PathName_", "URL_", "MD5Digest_")
_POSITION_NAMES = ("plate", "well", "site")
# obsm arrays that are coordinates, no embeddings.
_COORDINATES = ("spatial", "X_spatial")
_H5_ERRORS = (OSError, KeyError, RuntimeError, ValueError, TypeError)


@dataclass(frozen=True, slots=True)
class Contents:
    """What of a file is read: ``frame`` (obs), ``matrix`` with the names of its columns, and what is odd."""

    frame: Frame
    matrix: Matrix
    names: tuple[str, ...]
    findings: tuple[Finding, ...]


def read_anndata(paths: Sequence[str], context: PlateContext) -> PlateMeasurements:
    """Read the AnnData files of one plate as one table, staged as Parquet first.

    ``obs`` columns get the prefix ``Metadata_`` unless they have one or are features by name, the names of the
    observations become ``Metadata_ObsName`` (or ``Metadata_<name of the index>``). Columns of ``X`` keep the names of
    ``var``. Without ``X`` the only layer is read, without layers the only array of ``obsm``; what is not read is a finding.
    MeasurementError names the file where it is not an AnnData file, is broken, or holds no matrix.
    """
    files: list[TableFile] = []
    findings: list[Finding] = []
    for number, path in enumerate(paths):
        target = context.staging_dir / f"anndata-{number}.parquet"
        names, odd = _stage(path, target, context)
        files.append(TableFile(str(target), names, path))
        findings += odd
    return read_parquet_tables(files, context, findings, "anndata")


def _stage(path: str, target: Path, context: PlateContext) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    if not Path(path).is_file():
        raise MeasurementError(f"{path}: expected an AnnData file, found something that is no file.")
    try:
        with h5py.File(path, "r", locking=False) as file:
            contents = read_contents(file, path)
            return _write(contents, target, context, path)
    except MeasurementError:  # a ValueError, too, that says all there is to say
        raise
    except _H5_ERRORS as error:
        raise MeasurementError(
            f"{path}: expected an AnnData file (HDF5 with X, obs and var), found one that cannot be read: {error}. It may still be "
            "written, be cut off, or need a compression that h5py does not have (hdf5plugin): write it with gzip."
        ) from error


def read_contents(file: h5py.File, path: str) -> Contents:
    """Read obs and names, and choose the matrix; nothing of the matrix but its header is read."""
    for name in _READ_PARTS:
        _refuse_links(file, name, path)
    frame = read_frame(file, "obs", path)
    rows = len(frame.index)
    matrix, names, chosen = _choose_matrix(file, path, rows)
    if matrix.columns != len(names):
        raise MeasurementError(
            f"{matrix.where}: expected {len(names)} columns, one for each of var, found {matrix.columns}. Write the file again."
        )
    findings = []
    if chosen != "X":
        text = f"X holds nothing, so {chosen} was read."
        findings.append(Finding("anndata-without-x", "warning", chosen, text, path))
    left = [name for name in _list_matrices(file) if name != chosen]
    if left or frame.unread:
        listed = join_names([*left, *(f"obs/{name}" for name in frame.unread)])
        text = f"Not read: {listed}. Features are {chosen}; to use another matrix, write it as X."
        findings.append(Finding("anndata-not-read", "info", listed, text, path))
    return Contents(frame, matrix, names, tuple(findings))


def _choose_matrix(file: h5py.File, path: str, rows: int) -> tuple[Matrix, tuple[str, ...], str]:
    """X, else the only layer, else the only array of obsm."""
    matrix = open_matrix(file.get("X"), path, rows)
    if matrix is not None and matrix.columns:
        return matrix, _variable_names(file, path), "X"
    for part in ("layers", "obsm"):
        keys = [key for key in file.get(part, ()) if key not in _COORDINATES]
        if len(keys) > 1:
            break
        for key in keys:
            matrix = open_matrix(file[part][key], path, rows)
            if matrix is not None and matrix.columns:
                names = (
                    _variable_names(file, path)
                    if part == "layers"
                    else tuple(f"{key}_{i}" for i in range(min(matrix.columns, MAX_COLUMNS)))
                )
                return matrix, names, f"{part}/{key}"
    found = ", ".join(_list_matrices(file)) or "none"
    raise MeasurementError(
        f"{path}: expected features in X, found no numbers there (other matrices: {found}). Write the matrix to profile as X: "
        "adata.X = adata.layers[…]."
    )


def _variable_names(file: h5py.File, path: str) -> tuple[str, ...]:
    names = tuple(read_frame(file, "var", path).index.to_pylist())
    if len(names) > MAX_COLUMNS:
        raise MeasurementError(f"{path}: expected at most {MAX_COLUMNS} variables, found {len(names)}.")
    return names


def _list_matrices(file: h5py.File) -> list[str]:
    """Matrices with a row for each observation, by their places in the file."""
    inner = [f"{part}/{key}" for part in ("layers", "obsm") for key in file.get(part, ())]
    return [*(["X"] if "X" in file else []), *inner, *(["raw/X"] if "raw" in file else [])]


def _refuse_links(group: h5py.Group, name: str, path: str) -> None:
    """Nothing outside of the file is opened: no links, no arrays whose values lie in other files."""
    link = group.get(name, getlink=True) if name in group.keys() else None  # noqa: SIM118  a group's own names only
    if link is None:
        return
    if not isinstance(link, h5py.HardLink):
        raise MeasurementError(
            f"{path}: {group.name.rstrip('/')}/{name} is a link; expected the data themselves. Write the file again."
        )
    element = group[name]
    if isinstance(element, h5py.Group):
        for key in element.keys():  # noqa: SIM118
            _refuse_links(element, key, path)
    elif isinstance(element, h5py.Dataset) and (element.external or element.is_virtual):
        raise MeasurementError(
            f"{path}: the values of {element.name} lie in other files; expected them in this one. Write the file again."
        )


def name_obs_columns(frame: Frame, variables: Sequence[str], settings: DatasetSettings) -> dict[str, str]:
    """Names of the obs columns in the table by their names in the file."""
    kept = {*list_named_features([*variables, *frame.columns], settings)}
    kept |= {name for names in settings.aliases.values() for name in names}
    renamed: dict[str, str] = {}
    for name in frame.columns:
        usual = f"Metadata_{name.capitalize()}" if name.lower() in _POSITION_NAMES else f"Metadata_{name}"
        if name.startswith(_KEPT_PREFIXES) or name in kept or is_included(name, settings):
            renamed[name] = name
        else:
            renamed[name] = f"Metadata_{name}" if usual in frame.columns else usual
    return renamed


def _write(
    contents: Contents, target: Path, context: PlateContext, path: str
) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """Write one staged Parquet file; returns the names of its columns."""
    frame, matrix = contents.frame, contents.matrix
    renamed = name_obs_columns(frame, contents.names, context.settings)
    index = (
        INDEX_COLUMN if frame.index_name is None else f"Metadata_{frame.index_name.removeprefix('Metadata_')}"
    )
    leading: dict[str, pa.Array] = {renamed[name]: array for name, array in frame.columns.items()}
    if index not in leading:
        leading = {index: frame.index, **leading}
    names, changed = resolve_duplicates([*leading, *contents.names])
    findings = list(contents.findings)
    if changed:
        text = f"Column names occur more than once; the later ones are now {join_names(changed)}."
        findings.append(Finding("duplicate-columns", "warning", "var", text, path))
    number = pa.float32() if matrix.dtype in (np.float32, np.float16) else pa.float64()
    fields = [
        pa.field(name, _plain(array.type)) for name, array in zip(names, leading.values(), strict=False)
    ]
    fields += [pa.field(name, number) for name in names[len(leading) :]]
    schema = pa.schema(fields)
    # Dictionaries of measured values are never small, and readers hold one per column.
    texts = [field.name for field in fields if pa.types.is_string(field.type)]
    with pq.ParquetWriter(target, schema, compression="lz4", use_dictionary=texts) as writer:
        for batch in _batches(leading, matrix, schema, context):
            writer.write_batch(batch)
    return names, tuple(findings)


def _batches(
    leading: Mapping[str, pa.Array], matrix: Matrix, schema: pa.Schema, context: PlateContext
) -> Iterator[pa.RecordBatch]:
    start = 0
    for block in read_blocks(matrix, window_rows(len(schema)), context.staging_dir):
        arrays = [array.slice(start, len(block)) for array in leading.values()]
        arrays += [build_numbers(column) for column in np.asfortranarray(block).T]
        cast = [
            (array.dictionary_decode() if pa.types.is_dictionary(array.type) else array).cast(field.type)
            for array, field in zip(arrays, schema, strict=True)
        ]
        yield pa.record_batch(cast, schema=schema)
        start += len(block)


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
