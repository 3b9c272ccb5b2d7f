"""The document of a stored array in one version of Zarr in, an equal one in the other version out, whose chunks have the same bytes.

Source of truth: https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html, https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html
and the codecs below https://zarr-specs.readthedocs.io/en/latest/v3/codecs/. Codecs of numcodecs have its name before theirs
(https://numcodecs.readthedocs.io/en/stable/zarr3.html).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bioimage_assets.core.errors import UnsupportedStoreError
from bioimage_assets.core.formats.zarr.array import ZarrArray
from bioimage_assets.core.formats.zarr.documents import JsonObject, as_list, as_object, as_text

DTYPES = frozenset(
    {
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
        "complex64", "complex128",
    }
)  # fmt: skip
# Of numcodecs; those that have a codec of the v3 specifications go by that.
_BYTES_CODECS = frozenset(
    {"zlib", "bz2", "lzma", "lz4", "shuffle", "crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3"}
)
_ARRAY_CODECS = frozenset({"delta"})
_SHUFFLES = {0: "noshuffle", 1: "shuffle", 2: "bitshuffle"}

Codec = dict[str, object]


def build_v3_from_v2(document: JsonObject, array: ZarrArray, axes: Sequence[str]) -> dict[str, object]:
    """``zarr.json`` of an array that is stored with ``.zarray``; UnsupportedStoreError where Zarr v3 has no name for how it is stored."""
    dtype = _read_dtype(array)
    shape, chunks = list(array.shape), list(array.chunk_shape or ())
    codecs: list[Codec] = []
    if document.get("order") == "F" and len(shape) > 1:
        codecs.append({"name": "transpose", "configuration": {"order": list(range(len(shape)))[::-1]}})
    filters = [as_object(item) for item in as_list(document.get("filters"))]
    is_of_arrays = [as_text(item.get("id")) in _ARRAY_CODECS for item in filters]
    if sorted(is_of_arrays, reverse=True) != is_of_arrays:
        raise UnsupportedStoreError(
            "its filters of arrays stand behind those of bytes, which Zarr v3 does not allow."
        )
    codecs += [_name_filter(item) for item, is_array in zip(filters, is_of_arrays, strict=True) if is_array]
    codecs.append(_name_bytes(dtype))
    codecs += [
        _name_compressor(item, dtype)
        for item, is_array in zip(filters, is_of_arrays, strict=True)
        if not is_array
    ]
    if compressor := as_object(document.get("compressor")):
        codecs.append(_name_compressor(compressor, dtype))
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": _fill_for_v3(document.get("fill_value"), dtype),
        "codecs": codecs,
        "attributes": {},
        **({"dimension_names": list(axes)} if len(axes) == len(shape) else {}),
        "storage_transformers": [],
    }


def build_v2_from_v3(document: JsonObject, array: ZarrArray) -> dict[str, object]:
    """``.zarray`` of an array that is stored with ``zarr.json``; of a sharded one, of the chunks inside of its shards.

    UnsupportedStoreError where Zarr v2 cannot say how it is stored.
    """
    dtype = _read_dtype(array).newbyteorder("=")
    chunk_shape = array.chunk_shape or ()
    order, filters, compressors, endian = _sort_codecs(_inner_codecs(document), len(chunk_shape))
    stored = dtype if dtype.itemsize == 1 else dtype.newbyteorder(">" if endian == "big" else "<")
    for item in filters:
        item["dtype"] = item["astype"] = stored.str
    return {
        "zarr_format": 2,
        "shape": list(array.shape),
        "chunks": list(chunk_shape),
        "dtype": stored.str,
        "compressor": compressors[-1] if compressors else None,
        "fill_value": _fill_for_v2(document.get("fill_value"), dtype),
        "order": order,
        "filters": [*filters, *compressors[:-1]] or None,
        "dimension_separator": "/",
    }


def _read_dtype(array: ZarrArray) -> np.dtype[np.generic]:
    if array.dtype not in DTYPES:
        raise UnsupportedStoreError(
            f"its data type {array.dtype:.60} has no name in the other version of Zarr."
        )
    return np.dtype(array.dtype).newbyteorder(">" if array.byte_order == "big" else "<")


def _name_bytes(dtype: np.dtype[np.generic]) -> Codec:
    if dtype.itemsize == 1:
        return {"name": "bytes"}
    return {"name": "bytes", "configuration": {"endian": "big" if dtype.str.startswith(">") else "little"}}


def _configuration(item: JsonObject, *without: str) -> dict[str, object]:
    return {name: value for name, value in item.items() if name not in ("id", *without)}


def _name_filter(item: JsonObject) -> Codec:
    if item.get("astype", item.get("dtype")) != item.get("dtype"):
        raise UnsupportedStoreError(
            f"its filter {item['id']!r} changes the type of samples, which is not translated."
        )
    return {"name": f"numcodecs.{item['id']}", "configuration": _configuration(item)}


def _name_compressor(item: JsonObject, dtype: np.dtype[np.generic]) -> Codec:
    name = as_text(item.get("id"))
    if name == "blosc":
        shuffle = item.get("shuffle", 1)
        # -1 lets Blosc choose: bits for single bytes, bytes for wider samples; the choice stands in each chunk.
        automatic = "bitshuffle" if dtype.itemsize == 1 else "shuffle"
        chosen = _SHUFFLES.get(shuffle, automatic) if isinstance(shuffle, int) else automatic
        facts = {
            "typesize": dtype.itemsize, "cname": item.get("cname", "lz4"), "clevel": item.get("clevel", 5), "shuffle": chosen,
            "blocksize": item.get("blocksize", 0),
        }  # fmt: skip
        return {"name": "blosc", "configuration": facts}
    if name == "gzip":
        return {"name": "gzip", "configuration": {"level": item.get("level", 1)}}
    if name == "zstd":
        return {
            "name": "zstd",
            "configuration": {"level": item.get("level", 0), "checksum": bool(item.get("checksum", False))},
        }
    if name not in _BYTES_CODECS:
        raise UnsupportedStoreError(
            f"its compression {name!r} has no name in Zarr v3. Write OME-Zarr 0.4, or convert the store."
        )
    return {"name": f"numcodecs.{name}", "configuration": _configuration(item)}


def _fill_for_v3(value: object, dtype: np.dtype[np.generic]) -> object:
    """What v2 leaves undefined is zero, as its readers have it."""
    if dtype.kind == "b":
        return bool(value)
    if dtype.kind == "c":
        return value if isinstance(value, list) else [0.0, 0.0]
    return 0 if value is None else value


def _fill_for_v2(value: object, dtype: np.dtype[np.generic]) -> object:
    return bool(value) if dtype.kind == "b" else value


def _inner_codecs(document: JsonObject) -> list[Mapping[str, object]]:
    """Codecs of the smallest chunks."""
    codecs = [
        {"name": item} if isinstance(item, str) else as_object(item)
        for item in as_list(document.get("codecs"))
    ]
    sharding = [number for number, item in enumerate(codecs) if item.get("name") == "sharding_indexed"]
    if not sharding:
        return codecs
    if len(codecs) > 1:
        raise UnsupportedStoreError("other codecs stand around its shards, which Zarr v2 does not know.")
    inner = as_object(codecs[0].get("configuration")).get("codecs")
    found = [{"name": item} if isinstance(item, str) else as_object(item) for item in as_list(inner)]
    if any(item.get("name") == "sharding_indexed" for item in found):
        raise UnsupportedStoreError("its shards hold shards, which Zarr v2 does not know.")
    return found


def _sort_codecs(
    codecs: Sequence[Mapping[str, object]], dimensions: int
) -> tuple[str, list[Codec], list[Codec], str]:
    """Memory order, filters of arrays, codecs of bytes, byte order."""
    order, endian = "C", "little"
    filters: list[Codec] = []
    compressors: list[Codec] = []
    for item in codecs:
        name = as_text(item.get("name")) or "unknown"
        configuration = as_object(item.get("configuration"))
        if name == "transpose":
            order = _read_order(configuration.get("order"), order, dimensions)
        elif name in ("bytes", "endian"):
            endian = as_text(configuration.get("endian")) or "little"
        elif name.removeprefix("numcodecs.") in _ARRAY_CODECS:
            filters.append({"id": name.removeprefix("numcodecs."), **configuration})
        else:
            compressors.append(_name_for_v2(name, configuration))
    return order, filters, compressors, endian


def _read_order(declared: object, before: str, dimensions: int) -> str:
    natural = list(range(dimensions))
    given = {"C": natural, "F": natural[::-1]}.get(declared) if isinstance(declared, str) else declared
    if given == natural:
        return before
    if given == natural[::-1]:
        return "F" if before == "C" else "C"
    raise UnsupportedStoreError(f"its axes are stored in the order {declared}, which Zarr v2 does not know.")


def _name_for_v2(name: str, configuration: JsonObject) -> Codec:
    bare = name.removeprefix("numcodecs.")
    if bare == "blosc":
        numbers = {text: number for number, text in _SHUFFLES.items()}
        shuffle = configuration.get("shuffle", 1)
        return {
            "id": "blosc", "cname": configuration.get("cname", "lz4"), "clevel": configuration.get("clevel", 5),
            "shuffle": numbers.get(shuffle, shuffle) if isinstance(shuffle, str) else shuffle,
            "blocksize": configuration.get("blocksize", 0),
        }  # fmt: skip
    if bare in ("gzip", "zstd"):
        return {"id": bare, "level": configuration.get("level", 1)}
    if bare not in _BYTES_CODECS:
        raise UnsupportedStoreError(f"its codec {name!r} has no name in Zarr v2.")
    return {"id": bare, **configuration}
