"""The elements of an AnnData object, one at a time, into an ``.h5ad`` file or a Zarr store: no more than a block of rows is in memory.

https://anndata.readthedocs.io/en/stable/fileformat-prose.html: elements small enough are written by anndata itself, matrices by their
rows. h5py and zarr take the same words for groups, attributes and slices.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import zarr

from bioimage_assets.core.anndata.library import require_anndata
from bioimage_assets.core.anndata.obs_columns import ObsValues
from bioimage_assets.core.errors import UsageError

SUFFIXES = (".h5ad", ".zarr")
# Rows and columns of one stored piece: 1 MiB of float64, which serves readers of a few cells and of a few features.
CHUNK_ROWS, CHUNK_COLUMNS = 1024, 128


class AnnDataWriter:
    """An AnnData object that is being written; its elements may come in any order."""

    def __init__(self, root: Any, row_count: int, features: pd.DataFrame) -> None:
        self._root = root
        self._shape = (row_count, len(features))
        self._library = require_anndata()
        _mark(root, "anndata", "0.1.0")
        self._library.io.write_elem(root, "var", features)
        for name in ("layers", "obsm", "obsp", "varm", "varp"):
            self._library.io.write_elem(root, name, {})

    def write_obs(self, columns: Iterable[tuple[str, ObsValues]]) -> dict[str, str]:
        """Write ``obs`` column by column, rows named by their numbers; gives columns that had to be renamed, with their names here.

        pycytominer takes names of rows for whole numbers; what names a cell or well is a column.
        """
        write = self._library.io.write_elem
        group = self._root.require_group("obs")
        write(group, "_index", np.array([str(row) for row in range(self._shape[0])], dtype=object))
        taken, renamed = ["_index"], {}
        for name, values in columns:
            # A slash would be a group.
            key = name.replace("/", "_")
            while key in taken:
                key += "_"
            taken.append(key)
            if key != name:
                renamed[name] = key
            write(group, key, values)
        _mark(group, "dataframe", "0.2.0")
        group.attrs["_index"] = "_index"
        order = taken[1:]
        is_hdf5 = isinstance(group, h5py.Group)
        group.attrs["column-order"] = np.array(order, dtype=h5py.string_dtype()) if is_hdf5 else order
        return renamed

    def write_matrix(self, name: str, blocks: Iterable[np.ndarray], dtype: np.dtype) -> None:
        """Write ``X`` or ``layers/NAME`` from blocks of rows, which need not be of one length."""
        rows, columns = self._shape
        chunks = (max(1, min(rows, CHUNK_ROWS)), max(1, min(columns, CHUNK_COLUMNS)))
        group = self._root[name.rpartition("/")[0]] if "/" in name else self._root
        make = group.create_dataset if isinstance(group, h5py.Group) else group.create_array
        matrix = make(name.rpartition("/")[2], shape=self._shape, dtype=dtype, chunks=chunks)
        _mark(matrix, "array", "0.2.0")
        start = 0
        for block in cut_blocks(blocks, CHUNK_ROWS):
            matrix[start : start + len(block), :] = block.astype(dtype, copy=False)
            start += len(block)
        assert start == rows, f"{name} has {start} of {rows} rows"

    def write_places(self, places: np.ndarray) -> None:
        """Write x and y of each row as ``obsm["spatial"]``, where squidpy looks for them."""
        self._library.io.write_elem(self._root["obsm"], "spatial", places)

    def write_uns(self, values: Mapping[str, object]) -> None:
        """Write what is known of the whole object."""
        self._library.io.write_elem(self._root, "uns", dict(values))


@contextmanager
def open_writer(target: Path, row_count: int, features: pd.DataFrame) -> Iterator[AnnDataWriter]:
    """Write beside the target, which is replaced when the block ends well; a failure leaves what was there.

    Raises
    ------
    UsageError
        The target is neither ``.h5ad`` nor ``.zarr``, in no folder, or something else of that name.
    """
    check_target(target)
    staged = target.with_name(f".{target.stem}.writing{target.suffix}")
    _remove(staged)
    try:
        if target.suffix == ".h5ad":
            with h5py.File(staged, "w") as file:
                yield AnnDataWriter(file, row_count, features)
        else:
            yield AnnDataWriter(zarr.open_group(staged, mode="w", zarr_format=2), row_count, features)
        _remove(target)
        staged.rename(target)
    finally:
        _remove(staged)


def check_target(target: Path) -> None:
    """Refuse a place where no AnnData file can be written, or would replace something that is none."""
    if target.suffix not in SUFFIXES:
        raise UsageError(f"{target}: expected a name that ends with .h5ad or .zarr.")
    if not target.parent.is_dir():
        raise UsageError(f"{target}: there is no folder {target.parent}.")
    if target.is_dir() != (target.suffix == ".zarr") and target.exists():
        raise UsageError(f"{target} is there and no {target.suffix} of AnnData; name another, or remove it.")
    if target.is_dir() and not any((target / name).exists() for name in ("zarr.json", ".zgroup")):
        raise UsageError(f"{target} is a folder that is no Zarr store; name another, or remove it.")


def cut_blocks(blocks: Iterable[np.ndarray], row_count: int) -> Iterator[np.ndarray]:
    """The same rows in blocks of ``row_count``, but for the last: pieces that are written whole are written once."""
    pending: list[np.ndarray] = []
    held = 0
    for block in blocks:
        while len(block):
            part, block = block[: row_count - held], block[row_count - held :]
            pending.append(part)
            held += len(part)
            if held == row_count:
                yield np.concatenate(pending)
                pending, held = [], 0
    if pending:
        yield np.concatenate(pending)


def _mark(element: Any, kind: str, version: str) -> None:
    element.attrs["encoding-type"] = kind
    element.attrs["encoding-version"] = version


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
