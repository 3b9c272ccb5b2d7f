"""Reads a matrix of an AnnData file, dense or sparse, in blocks of rows, whatever its size.

https://anndata.readthedocs.io/en/latest/fileformat-prose.html#sparse-arrays. Sparse columns (CSC) are turned into rows by way
of a dense scratch file, a block of columns at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.measurements.anndata_elements import decode_text

# Bytes of one block of columns of a CSC matrix, and the most that one block of rows may take.
BLOCK_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix of observations × variables; ``form`` is how it is stored."""

    element: h5py.Dataset | h5py.Group
    form: str
    rows: int
    columns: int
    dtype: np.dtype
    where: str


def open_matrix(element: h5py.Dataset | h5py.Group | None, path: str, rows: int) -> Matrix | None:
    """Describe a matrix by its header; None where there is none, or it holds something other than numbers.

    MeasurementError where its shape or its parts do not fit ``rows`` observations.
    """
    # anndata 0.12 writes None as an element of its own
    # (https://anndata.readthedocs.io/en/latest/fileformat-prose.html).
    if element is None or decode_text(element.attrs.get("encoding-type", "")) == "null":
        return None
    where = f"{path}: {element.name}"
    if isinstance(element, h5py.Dataset):
        matrix = _open_dense(element, where)
    else:
        matrix = _open_sparse(element, where)
    if matrix is not None and matrix.rows != rows:
        raise MeasurementError(
            f"{where}: expected {rows} rows, one for each of obs, found {matrix.rows}. Write the file again."
        )
    return matrix


def _open_dense(dataset: h5py.Dataset, where: str) -> Matrix | None:
    if dataset.shape is None or dataset.dtype.kind not in "biuf" or dataset.ndim not in (1, 2):
        return None
    # anndata before 0.7 wrote a single variable without the second axis.
    columns = dataset.shape[1] if dataset.ndim == 2 else 1
    return Matrix(dataset, "dense", dataset.shape[0], columns, dataset.dtype, where)


def _open_sparse(group: h5py.Group, where: str) -> Matrix | None:
    # h5sparse_format and h5sparse_shape: anndata before 0.7.
    kind = decode_text(group.attrs.get("encoding-type", group.attrs.get("h5sparse_format", "")))
    form = {"csr_matrix": "csr", "csc_matrix": "csc", "csr": "csr", "csc": "csc"}.get(kind)
    if form is None:
        return None
    missing = [name for name in ("data", "indices", "indptr") if name not in group]
    shape = group.attrs.get("shape", group.attrs.get("h5sparse_shape"))
    if missing or shape is None or len(shape) != 2:
        raise MeasurementError(
            f"{where}: expected a sparse matrix with data, indices, indptr and a shape, found {', '.join(group) or 'nothing'}."
        )
    if any(getattr(group[name], "ndim", None) != 1 for name in ("data", "indices", "indptr")):
        raise MeasurementError(
            f"{where}: expected data, indices and indptr to be lists of numbers, found other objects. Write the file again."
        )
    rows, columns = (int(size) for size in shape)
    found, expected = group["indptr"].shape[0], (rows if form == "csr" else columns) + 1
    if found != expected or group["data"].shape != group["indices"].shape:
        raise MeasurementError(
            f"{where}: expected an indptr of {expected} numbers for {rows} × {columns} and as many indices as data, found "
            f"{found}, {group['indices'].shape[0]} and {group['data'].shape[0]}. Write the file again."
        )
    if group["data"].dtype.kind not in "biuf":
        return None
    return Matrix(group, form, rows, columns, group["data"].dtype, where)


def read_blocks(matrix: Matrix, block_rows: int, scratch: Path) -> Iterator[np.ndarray]:
    """Dense blocks of ``block_rows`` rows in order; ``scratch`` is a folder for columns that become rows."""
    if matrix.form == "dense":
        yield from _read_dense(matrix, block_rows)
    elif matrix.form == "csr":
        yield from _read_csr(matrix, block_rows)
    else:
        yield from _read_csc(matrix, block_rows, scratch)


def _read_dense(matrix: Matrix, block_rows: int) -> Iterator[np.ndarray]:
    """Whole chunks are read at a time, so that none is unpacked twice."""
    chunks = matrix.element.chunks
    high = chunks[0] if chunks else 1
    fits = max(1, BLOCK_BYTES // max(1, matrix.columns * matrix.dtype.itemsize))
    read_rows = max(high, block_rows // high * high) if high <= fits else block_rows
    for start in range(0, matrix.rows, read_rows):
        read = matrix.element[start : start + read_rows].reshape(-1, matrix.columns)
        for first in range(0, len(read), block_rows):
            yield read[first : first + block_rows]


def _read_csr(matrix: Matrix, block_rows: int) -> Iterator[np.ndarray]:
    indptr = _read_pointers(matrix)
    for start in range(0, matrix.rows, block_rows):
        stop = min(start + block_rows, matrix.rows)
        yield _fill(matrix, indptr, start, stop, matrix.columns)


def _fill(matrix: Matrix, indptr: np.ndarray, start: int, stop: int, width: int) -> np.ndarray:
    """Dense lines ``start`` to ``stop`` of the stored direction; values of one place add up, as scipy has it."""
    low, high = int(indptr[start]), int(indptr[stop])
    # Values of one place may be stored twice and add up; many times is a hostile file.
    if high - low > 2 * max(1, stop - start) * max(1, width):
        raise MeasurementError(
            f"{matrix.where}: expected at most {(stop - start) * width} values in {stop - start} lines of {width}, found {high - low}. "
            "Write the file again."
        )
    indices = matrix.element["indices"][low:high].astype(np.int64)
    data = matrix.element["data"][low:high]
    if indices.size and (indices.min() < 0 or indices.max() >= width):
        raise MeasurementError(
            f"{matrix.where}/indices: expected numbers from 0 to {width - 1}, found {indices.min()} to {indices.max()}. "
            "Write the file again."
        )
    lines = np.repeat(np.arange(stop - start), np.diff(indptr[start : stop + 1]))
    dense = np.zeros((stop - start, width), matrix.dtype.newbyteorder("="))
    # Not dense[lines, indices] = data: that keeps one of several values of a place.
    np.add.at(dense, (lines, indices), data)
    return dense


def _read_pointers(matrix: Matrix) -> np.ndarray:
    indptr: np.ndarray = matrix.element["indptr"][...].astype(np.int64)
    if indptr[0] != 0 or (np.diff(indptr) < 0).any() or indptr[-1] > matrix.element["data"].shape[0]:
        raise MeasurementError(
            f"{matrix.where}/indptr: expected numbers that rise from 0 to {matrix.element['data'].shape[0]}, found {indptr[0]} to "
            f"{indptr[-1]}. Write the file again."
        )
    return indptr


def _read_csc(matrix: Matrix, block_rows: int, scratch: Path) -> Iterator[np.ndarray]:
    indptr = _read_pointers(matrix)
    dtype = matrix.dtype.newbyteorder("=")
    width = max(1, BLOCK_BYTES // max(1, matrix.rows * dtype.itemsize))
    files: list[tuple[Path, int]] = []
    for start in range(0, matrix.columns, width):
        stop = min(start + width, matrix.columns)
        path = scratch / f"columns-{start}.bin"
        # Turned on disk, some columns at a time: rows of a matrix stored by columns cannot be read otherwise.
        np.ascontiguousarray(_fill(matrix, indptr, start, stop, matrix.rows).T).tofile(path)
        files.append((path, stop - start))
    for start in range(0, matrix.rows, block_rows):
        rows = min(block_rows, matrix.rows - start)
        parts = [
            np.fromfile(path, dtype, rows * count, offset=start * count * dtype.itemsize).reshape(rows, count)
            for path, count in files
        ]
        yield np.concatenate(parts, axis=1) if parts else np.zeros((rows, 0), dtype)
    for path, _ in files:
        path.unlink()
