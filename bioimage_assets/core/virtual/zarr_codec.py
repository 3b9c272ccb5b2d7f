"""The codec ``bioimage_assets.tiff`` for Zarr: decodes a tile or strip of a TIFF as the chunk of an array.

For Zarr v3 it is an array-to-bytes codec (https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html#codecs), for Zarr v2 a compressor
of numcodecs (https://numcodecs.readthedocs.io/en/stable/abc.html). Both are found by entry points, and registered by importing this module.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ndarray_copy
from numcodecs.registry import register_codec as register_compressor
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.core.common import JSON, parse_named_configuration
from zarr.registry import register_codec

from bioimage_assets.core.errors import UnsupportedStoreError
from bioimage_assets.core.virtual.tiff_codec import (
    CODEC_NAME,
    TiffDecoding,
    decode_tiff_chunk,
    read_configuration,
    write_configuration,
)

_READ_ONLY = f"Codec {CODEC_NAME!r} only decodes: the pixels are those of the original files. Write a copy with another codec."


@dataclass(frozen=True)
class TiffCodec(ArrayBytesCodec):
    """Array-to-bytes codec of Zarr v3; chunks have as many elements as a tile or strip, samples before rows."""

    is_fixed_size = False
    decoding: TiffDecoding

    @classmethod
    def from_dict(cls, data: dict[str, JSON]) -> TiffCodec:
        """Make the codec of an array's document; UnsupportedStoreError where the configuration is not one."""
        _, configuration = parse_named_configuration(data, CODEC_NAME)
        return cls(read_configuration(configuration))

    def to_dict(self) -> dict[str, JSON]:
        """Give what an array's document says of the codec."""
        return {"name": CODEC_NAME, "configuration": write_configuration(self.decoding)}  # type: ignore[dict-item]

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        raw = chunk_bytes.to_bytes()
        pixels = await asyncio.to_thread(decode_tiff_chunk, raw, self.decoding)
        whole = pixels.reshape(chunk_spec.shape)
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(whole)  # type: ignore[arg-type]

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        raise UnsupportedStoreError(_READ_ONLY)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Of no use: what is stored has no fixed size."""
        raise UnsupportedStoreError(_READ_ONLY)


class TiffCompressor(Codec):  # type: ignore[misc]
    """Compressor of Zarr v2 with the same configuration."""

    codec_id = CODEC_NAME

    def __init__(self, **configuration: object) -> None:
        self.decoding = read_configuration(configuration)

    def encode(self, buf: object) -> bytes:
        """Refuse: original files are not written."""
        raise UnsupportedStoreError(_READ_ONLY)

    def decode(self, buf: object, out: object = None) -> object:
        """Decode one chunk, samples before rows, little-endian."""
        pixels = decode_tiff_chunk(ensure_bytes(buf), self.decoding)
        pixels = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
        return pixels.view(np.uint8) if out is None else ndarray_copy(pixels, out)

    def get_config(self) -> dict[str, object]:
        """Give what an array's document says of the compressor."""
        return {"id": CODEC_NAME, **write_configuration(self.decoding)}


register_codec(CODEC_NAME, TiffCodec)
register_compressor(TiffCompressor)
