"""Reads elements of an AnnData file into Arrow: columns of ``obs``, names of ``var``.

On-disk format: https://anndata.readthedocs.io/en/latest/fileformat-prose.html. ``encoding-type`` says what an element is;
files of anndata before 0.7 hold data frames as compound arrays, of 0.7 categories beside the codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.errors import MeasurementError

# What a plate can hold; more is a broken or hostile header, which must not be believed before it is read.
MAX_VALUES = 50_000_000
_INDEX_NAMES = ("_index", "index", "level_0", "")


@dataclass(frozen=True, slots=True)
class Frame:
    """A data frame of an AnnData file: index with its name (None where it has none), columns in order, unread ones."""

    index: pa.Array
    index_name: str | None
    columns: Mapping[str, pa.Array]
    unread: tuple[str, ...] = field(default=())


def read_frame(file: h5py.File, name: str, path: str) -> Frame:
    """Read ``obs`` or ``var`` whole; MeasurementError where it is not there or its columns are of unequal length."""
    element = file.get(name)
    if element is None:
        raise MeasurementError(
            f"{path}: expected a data frame {name!r}, found {', '.join(file) or 'nothing'}."
        )
    if isinstance(element, h5py.Dataset):
        return _read_compound(file, element, path)
    keys = [decode_text(key) for key in np.atleast_1d(element.attrs.get("column-order", []))]
    index_key = decode_text(element.attrs.get("_index", "_index"))
    if index_key not in element:
        raise MeasurementError(
            f"{path}: {name} has no index: expected {index_key!r}, found {', '.join(element) or 'nothing'}."
        )
    index = _read_index(element[index_key], path)
    columns: dict[str, pa.Array] = {}
    unread: list[str] = []
    for key in keys:
        array = read_column(element, key, path)
        if array is None:
            unread.append(key)
            continue
        if len(array) != len(index):
            raise MeasurementError(
                f"{path}: {name}/{key}: expected {len(index)} values as the index has, found {len(array)}. Write the file again."
            )
        columns[key] = array
    return Frame(index, None if index_key in _INDEX_NAMES else index_key, columns, tuple(unread))


def read_column(group: h5py.Group, key: str, path: str) -> pa.Array | None:
    """Read one column of a data frame; None where it is of a kind that no table holds (sparse, awkward, nested)."""
    element = group.get(key)
    if element is None:
        raise MeasurementError(
            f"{path}: {group.name} lists the column {key!r}, which is not there. Write the file again."
        )
    if isinstance(element, h5py.Dataset):
        # anndata before 0.8 referred from the codes to the categories.
        if "categories" in element.attrs:
            return _read_old_categorical(element, path)
        return read_values(element) if element.ndim == 1 else None
    members = set(element)
    # By their parts, whatever encoding version the attributes name.
    if {"codes", "categories"} <= members:
        return _decode(
            read_array(element["codes"]), read_values(element["categories"]), f"{path}: {element.name}"
        )
    if {"values", "mask"} <= members:
        return _read_masked(element)
    return None


def read_values(dataset: h5py.Dataset) -> pa.Array | None:
    """Values of an array of numbers, booleans or texts; None where they are something else."""
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return pa.array(_decode_texts(read_array(dataset).reshape(-1)), pa.string())
    return build_numbers(read_array(dataset).reshape(-1)) if dataset.dtype.kind in "biuf" else None


def read_array(dataset: h5py.Dataset) -> np.ndarray:
    """All values of an array; MeasurementError where its header states more than a plate can hold."""
    if dataset.size is None or dataset.size > MAX_VALUES:
        raise MeasurementError(
            f"{dataset.file.filename}: {dataset.name}: expected at most {MAX_VALUES} values, found {dataset.size or 'none'}."
        )
    return np.asarray(dataset[...])


def build_numbers(values: np.ndarray) -> pa.Array:
    """Numbers or booleans in the machine's byte order; half floats become single ones."""
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return pa.array(values.astype(np.float32) if values.dtype == np.float16 else values)


def _read_index(element: h5py.Dataset | h5py.Group, path: str) -> pa.Array:
    if isinstance(element, h5py.Group):
        array = read_column(element.parent, element.name.rpartition("/")[2], path)
    else:
        array = read_values(element)
    if array is None:
        raise MeasurementError(f"{path}: {element.name}: expected names, found {element}.")
    return array.cast(pa.string())


def _read_masked(group: h5py.Group) -> pa.Array | None:
    values = read_values(group["values"])
    if values is None:
        return None
    mask = pa.array(np.asarray(read_array(group["mask"]), dtype=bool))
    return pc.if_else(mask, pa.scalar(None, values.type), values)


def _read_old_categorical(dataset: h5py.Dataset, path: str) -> pa.Array | None:
    categories = dataset.parent[dataset.attrs["categories"]]
    return _decode(read_array(dataset), read_values(categories), f"{path}: {dataset.name}")


def _decode(codes: np.ndarray, categories: pa.Array | None, where: str) -> pa.Array | None:
    """Values of a categorical as a dictionary array; the code -1 is missing."""
    if categories is None:
        return None
    codes = codes.astype(np.int64)
    if codes.size and codes.max() >= len(categories):
        raise MeasurementError(
            f"{where}: expected codes below {len(categories)}, the number of categories, found {codes.max()}. "
            "Write the file again."
        )
    # -1 is pandas' code for missing.
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), categories)


def _read_compound(file: h5py.File, dataset: h5py.Dataset, path: str) -> Frame:
    """A data frame as one array of records, whose first field is the index; categories stand in ``uns``."""
    names = list(dataset.dtype.names or ())
    if not names:
        raise MeasurementError(
            f"{path}: {dataset.name}: expected a data frame, found an array of {dataset.dtype}."
        )
    records = read_array(dataset)
    arrays = dict(_read_fields(file, records, names, path))
    index = arrays.pop(names[0], None)
    if index is None:
        raise MeasurementError(
            f"{path}: {dataset.name}: the index {names[0]!r} holds neither text nor numbers."
        )
    unread = tuple(name for name in names[1:] if name not in arrays)
    return Frame(index.cast(pa.string()), None if names[0] in _INDEX_NAMES else names[0], arrays, unread)


def _read_fields(
    file: h5py.File, records: np.ndarray, names: list[str], path: str
) -> Iterator[tuple[str, pa.Array]]:
    for name in names:
        values = records[name]
        categories = file.get(f"uns/{name}_categories")
        if isinstance(categories, h5py.Dataset) and values.dtype.kind in "iu":
            array = _decode(values, read_values(categories), f"{path}: uns/{name}_categories")
            if array is not None:
                yield name, array
        elif values.dtype.kind in "OS":
            yield name, pa.array(_decode_texts(values), pa.string())
        elif values.dtype.kind in "biuf":
            yield name, build_numbers(values)


def _decode_texts(values: np.ndarray) -> list[str]:
    return [decode_text(value) for value in values.tolist()]


def decode_text(value: object) -> str:
    """Text of an attribute or a name, which HDF5 gives as bytes or as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
