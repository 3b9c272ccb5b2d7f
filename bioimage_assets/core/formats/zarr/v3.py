"""Parses a Zarr v3 ``zarr.json`` array document.

Source of truth: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html#array-metadata and
https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.zarr.array import (
    MAX_TEXT,
    ArrayIssue,
    ChunkKeys,
    KeyStyle,
    ShardIndex,
    ZarrArray,
    read_extents,
)
from bioimage_assets.core.formats.zarr.documents import JsonObject, as_list, as_object, as_text

_ITEM_BYTES = {
    "bool": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8,
    "float16": 2, "float32": 4, "float64": 8, "complex64": 8, "complex128": 16,
}  # fmt: skip
_ARRAY_TO_ARRAY = ("transpose",)
_MAX_NESTING = 16  # shards in shards; writers make one level, or two


@dataclass(frozen=True, slots=True)
class _Codecs:
    """A codec chain: names for the reader, the sharding configuration and what stands around it.

    ``order`` is that of all transposes before the sharding, None where they cannot be read; ``is_nested`` tells that inner chunks are shards.
    """

    names: tuple[str, ...]
    byte_order: Literal["little", "big"] | None
    sharding: JsonObject | None
    order: tuple[int, ...] | None
    wraps_shard: bool
    is_nested: bool


def build_v3_array(document: JsonObject, location: str) -> ZarrArray:
    """Build the array; CorruptStoreError where shape or grid are impossible."""
    issues: list[ArrayIssue] = []
    shape = read_extents(document.get("shape"), "shape", location, minimum=0)
    grid_shape = _read_grid(document, shape, location, issues)
    dtype, item_bytes = _read_dtype(document.get("data_type"), issues)
    codecs = _read_codecs(document.get("codecs"), len(shape))
    chunk_shape, shard_shape, shard_index = grid_shape, None, None
    if codecs.wraps_shard:
        issues.append(
            ArrayIssue("wrapped-shard", "a codec follows the sharding, only whole shards can be read")
        )
    elif codecs.sharding is not None and grid_shape is not None:
        inner = _read_inner_shape(codecs, grid_shape, location, issues)
        if inner is not None:
            chunk_shape, shard_shape = inner, grid_shape
            shard_index = _read_shard_index(codecs, issues)
            if codecs.is_nested:
                message = (
                    "inner chunks are shards themselves; rows are of the outer ones, which hold several each"
                )
                issues.append(ArrayIssue("nested-shards", message))
    return ZarrArray(
        zarr_format=3,
        shape=shape,
        dtype=dtype,
        byte_order=codecs.byte_order if item_bytes and item_bytes > 1 else None,
        item_bytes=item_bytes,
        chunk_shape=chunk_shape,
        shard_shape=shard_shape,
        keys=read_chunk_keys(document.get("chunk_key_encoding"), issues),
        codec="+".join(codecs.names)[:MAX_TEXT] or "none",
        dimension_names=_read_dimension_names(document.get("dimension_names"), len(shape)),
        shard_index=shard_index,
        issues=tuple(issues),
    )


def _read_grid(
    document: JsonObject, shape: tuple[int, ...], location: str, issues: list[ArrayIssue]
) -> tuple[int, ...] | None:
    grid = as_object(document.get("chunk_grid"))
    if grid.get("name") != "regular":
        issues.append(
            ArrayIssue("irregular-chunk-grid", f"chunk grid {grid.get('name')!r:.40} has no chunk shape")
        )
        return None
    chunk_shape = read_extents(
        as_object(grid.get("configuration")).get("chunk_shape"), "chunk_shape", location, minimum=1
    )
    if len(chunk_shape) != len(shape):
        raise CorruptStoreError(
            f"{location}: shape has {len(shape)} dimensions, chunk_shape {len(chunk_shape)}."
        )
    return chunk_shape


def _read_dtype(declared: object, issues: list[ArrayIssue]) -> tuple[str, int | None]:
    """Give name and item size; extension types keep their declared name and size None."""
    name = as_text(declared) or as_text(as_object(declared).get("name"))
    if name is None:
        issues.append(ArrayIssue("unknown-dtype", f"data_type is {declared!r:.60}"))
        return json.dumps(declared)[:MAX_TEXT], None
    if name in _ITEM_BYTES:
        return name, _ITEM_BYTES[name]
    if name.startswith("r") and name[1:].isdecimal() and len(name) < 8 and int(name[1:]) % 8 == 0:
        return name, int(name[1:]) // 8 or None
    issues.append(ArrayIssue("unknown-dtype", f"data_type {name[:60]!r} is an extension"))
    return name[:MAX_TEXT], None


def _read_codecs(declared: object, dimensions: int, depth: int = 0) -> _Codecs:
    names: list[str] = []
    byte_order: Literal["little", "big"] | None = None
    sharding: JsonObject | None = None
    order: tuple[int, ...] | None = tuple(range(dimensions))
    wraps_shard = is_nested = False
    for item in as_list(declared):
        codec = {"name": item} if isinstance(item, str) else as_object(item)
        name = as_text(codec.get("name")) or "unknown"
        configuration = as_object(codec.get("configuration"))
        if name == "sharding_indexed" and sharding is None and depth < _MAX_NESTING:
            sharding = configuration
            inner = _read_codecs(configuration.get("codecs"), dimensions, depth + 1)
            byte_order = inner.byte_order
            is_nested = inner.sharding is not None
            names.extend(inner.names)
            continue
        wraps_shard = wraps_shard or sharding is not None
        if name in ("bytes", "endian"):
            endian = configuration.get("endian")
            byte_order = "big" if endian == "big" else "little" if endian == "little" else None
            continue
        if name in _ARRAY_TO_ARRAY and sharding is None:
            order = _transpose(order, configuration.get("order"))
        cname = as_text(configuration.get("cname"))
        names.append(f"{name}/{cname}" if cname else name)
    return _Codecs(tuple(names), byte_order, sharding, order, wraps_shard, is_nested)


def _transpose(before: tuple[int, ...] | None, declared: object) -> tuple[int, ...] | None:
    """Array axes in the order that a transpose gives them; None where its order cannot be read."""
    if before is None:
        return None
    # "C" and "F" are of the first drafts of v3.
    named = {"C": list(range(len(before))), "F": list(range(len(before)))[::-1]}
    order = named.get(declared, []) if isinstance(declared, str) else as_list(declared)
    axes = [axis for axis in order if isinstance(axis, int) and not isinstance(axis, bool)]
    return tuple(before[axis] for axis in axes) if sorted(axes) == list(range(len(before))) else None


def _read_inner_shape(
    codecs: _Codecs, shard_shape: tuple[int, ...], location: str, issues: list[ArrayIssue]
) -> tuple[int, ...] | None:
    """Inner chunk shape in the array's own axis order; None where the shards cannot be divided by it."""
    sharding = codecs.sharding or {}
    try:
        inner = read_extents(sharding.get("chunk_shape"), "sharding chunk_shape", location, minimum=1)
    except CorruptStoreError as error:
        issues.append(ArrayIssue("bad-shard-layout", str(error)))
        return None
    if codecs.order is None:
        issues.append(
            ArrayIssue(
                "bad-shard-layout", "the order of the transpose before the shards is not one of the axes"
            )
        )
        return None
    if len(inner) == len(codecs.order):
        inner = tuple(inner[codecs.order.index(axis)] for axis in range(len(inner)))
    if len(inner) != len(shard_shape) or any(s % c for s, c in zip(shard_shape, inner, strict=True)):
        issues.append(
            ArrayIssue("bad-shard-layout", f"shard {shard_shape} is no multiple of inner chunk {inner}")
        )
        return None
    return inner


def _read_shard_index(codecs: _Codecs, issues: list[ArrayIssue]) -> ShardIndex | None:
    """How to read the index of each shard; None where it is compressed."""
    sharding = codecs.sharding or {}
    declared = sharding.get("index_codecs")
    index_names = tuple(as_object(item).get("name") for item in as_list(declared))
    endians = [
        as_object(as_object(item).get("configuration")).get("endian")
        for item in as_list(declared)
        if as_object(item).get("name") == "bytes"
    ]
    if declared is None:
        index_names, endians = ("bytes", "crc32c"), ["little"]
    readable = index_names in (("bytes",), ("bytes", "crc32c")) and endians == ["little"]
    if not readable:
        issues.append(
            ArrayIssue("unreadable-shard-index", "the shard index is encoded in a way that is not indexed")
        )
        return None
    return ShardIndex(
        at_end=sharding.get("index_location", "end") != "start",
        has_crc32c="crc32c" in index_names,
        order=None if codecs.order == tuple(range(len(codecs.order or ()))) else codecs.order,
    )


def read_chunk_keys(declared: object, issues: list[ArrayIssue]) -> ChunkKeys:
    """How an array's ``chunk_key_encoding`` names its chunks; what is odd about it is added to ``issues``."""
    encoding = {"name": declared} if isinstance(declared, str) else as_object(declared)
    name = encoding.get("name", "default")
    style: KeyStyle = "v2" if name == "v2" else "default"
    if name not in ("default", "v2"):
        issues.append(
            ArrayIssue("odd-chunk-key-encoding", f"chunk_key_encoding {name!r:.40} read as 'default'")
        )
    fallback = "." if style == "v2" else "/"
    separator = as_object(encoding.get("configuration")).get("separator", fallback)
    return ChunkKeys(style, "." if separator == "." else "/")


def _read_dimension_names(declared: object, dimensions: int) -> tuple[str, ...] | None:
    """Names of all dimensions; None unless every one has a name."""
    names = [as_text(item) for item in as_list(declared)]
    if len(names) != dimensions or not names or any(name is None for name in names):
        return None
    return tuple(name for name in names if name is not None)
