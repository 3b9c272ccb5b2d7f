"""Documents of an array whose chunks are tiles, strips or planes of image files, in Zarr v3 and v2.

Source of truth: https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html#array-metadata and
https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html#arrays
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bioimage_assets.core.virtual.tiff_codec import CODEC_NAME, TiffDecoding, write_configuration

# Compressions of TIFF that have the same bytes in Zarr: names of the codecs and compressors, their configurations.
_STANDARD: dict[str, tuple[Mapping[str, object], Mapping[str, object]]] = {
    "zstd": ({"name": "zstd", "configuration": {"level": 0, "checksum": False}}, {"id": "zstd", "level": 0}),
    "deflate": ({"name": "numcodecs.zlib", "configuration": {"level": 1}}, {"id": "zlib", "level": 1}),
}


@dataclass(frozen=True, slots=True)
class ChunkEncoding:
    """How chunks are decoded: by a codec that every Zarr library has, or by that of this project.

    Parameters
    ----------
    compression
        ``none``, ``zstd`` or ``deflate``; None where ``decoding`` is needed.
    byte_order
        Of the samples, for standard codecs.
    is_interleaved
        Whether the samples of a pixel stand together, so that rows and columns come first.
    decoding
        What the project's codec does with the same bytes.
    """

    compression: str | None
    byte_order: str
    is_interleaved: bool
    decoding: TiffDecoding


def build_v3_document(
    shape: Sequence[int], chunk_shape: Sequence[int], axes: Sequence[str], dtype: str, encoding: ChunkEncoding
) -> dict[str, object]:
    """``zarr.json`` of an array."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk_shape)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": _fill_value(dtype),
        "codecs": _build_codecs(axes, dtype, encoding),
        "attributes": {},
        "dimension_names": list(axes),
        "storage_transformers": [],
    }


def build_v2_document(
    shape: Sequence[int], chunk_shape: Sequence[int], dtype: str, encoding: ChunkEncoding
) -> dict[str, object]:
    """``.zarray`` of an array."""
    is_standard = encoding.compression is not None and not encoding.is_interleaved
    stored = np.dtype(dtype)
    if is_standard:
        stored = stored.newbyteorder(">" if encoding.byte_order == "big" else "<")
        compressor = _STANDARD[encoding.compression][1] if encoding.compression in _STANDARD else None
    else:  # this version has no transpose; the project's compressor gives little-endian samples
        compressor = {"id": CODEC_NAME, **write_configuration(encoding.decoding)}
    return {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": list(chunk_shape),
        "dtype": stored.str,
        "compressor": compressor,
        "fill_value": _fill_value(dtype),
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }


def _build_codecs(axes: Sequence[str], dtype: str, encoding: ChunkEncoding) -> list[Mapping[str, object]]:
    if encoding.compression is None:
        return [{"name": CODEC_NAME, "configuration": write_configuration(encoding.decoding)}]
    codecs: list[Mapping[str, object]] = []
    if encoding.is_interleaved:
        channel = axes.index("c")
        order = [axis for axis in range(len(axes)) if axis != channel] + [channel]
        codecs.append({"name": "transpose", "configuration": {"order": order}})
    if np.dtype(dtype).itemsize == 1:
        codecs.append({"name": "bytes"})
    else:
        codecs.append({"name": "bytes", "configuration": {"endian": encoding.byte_order}})
    if encoding.compression in _STANDARD:
        codecs.append(_STANDARD[encoding.compression][0])
    return codecs


def _fill_value(dtype: str) -> object:
    kind = np.dtype(dtype).kind
    return {"b": False, "f": 0.0, "c": [0.0, 0.0]}.get(kind, 0)
