"""The codec of TIFF chunks: its configuration is read back or refused, damaged bytes are errors, nothing is encoded."""

from __future__ import annotations

import json
import tomllib
from dataclasses import fields
from importlib.metadata import EntryPoint

import imagecodecs
import numcodecs
import numpy as np
import pytest
import zarr
from zarr.registry import get_codec_class

from bioimage_assets.core.errors import CorruptStoreError, UnsupportedStoreError
from bioimage_assets.core.formats.ome_tiff.page_codec import PageCodec
from bioimage_assets.core.virtual.tiff_codec import (
    CODEC_NAME,
    TiffDecoding,
    build_decoding,
    decode_tiff_chunk,
    read_configuration,
    write_configuration,
)
from bioimage_assets.core.virtual.zarr_codec import TiffCodec, TiffCompressor
from bioimage_assets_tests.core.room_picture import ROOT

PLAIN = TiffDecoding(5, "uint16", (16, 16), (16, 16), 16)
FULL = TiffDecoding(
    7, "uint16", (16, 32), (4, 8), 12, samples=3, is_tiled=True, byte_order="big", predictor=2, fill_order=2, photometric=6,
    sample_format=5, subsampling=(2, 1), jpeg_tables=b"\xff\xd8\xff\xd9",
)  # fmt: skip


@pytest.mark.parametrize("decoding", [PLAIN, FULL])
def test_a_configuration_is_json_and_is_read_back(decoding: TiffDecoding):
    assert read_configuration(json.loads(json.dumps(write_configuration(decoding)))) == decoding


def test_what_is_usual_is_not_said():
    assert write_configuration(PLAIN) == {"compression": 5, "dtype": "uint16", "chunk": [16, 16]}
    assert set(write_configuration(FULL)) == {field.name for field in fields(TiffDecoding)}


@pytest.mark.parametrize(
    "change",
    [
        {"chunk": [0, 16]}, {"chunk": [16]}, {"chunk": "16"}, {"chunk": [2**20, 2**20]}, {"dtype": "unicorn"}, {"dtype": None},
        {"jpeg_tables": "?"}, {"other": 1}, {"compression": None, "chunk": None},
    ],
)  # fmt: skip
def test_a_configuration_that_is_not_one_is_refused(change: dict[str, object]):
    with pytest.raises(UnsupportedStoreError, match=r"is not possible|is not one that is written here"):
        read_configuration({"compression": 5, "dtype": "uint16", "chunk": [16, 16], **change})


@pytest.mark.parametrize("raw", [b"", b"\0", b"nonsense" * 10])
@pytest.mark.parametrize("compression", [1, 5, 7, 8, 34712, 34887, 34925, 34933, 50000, 50002, 50013])
def test_damaged_bytes_are_an_error_of_the_project(raw: bytes, compression: int):
    with pytest.raises((CorruptStoreError, UnsupportedStoreError)):
        decode_tiff_chunk(raw, TiffDecoding(compression, "uint16", (16, 16), (16, 16), 16, is_tiled=True))


def test_a_chunk_of_more_pixels_than_it_may_have_is_refused():
    png = imagecodecs.png_encode(np.zeros((32, 32), np.uint16))
    with pytest.raises(CorruptStoreError):
        decode_tiff_chunk(png, build_decoding(PageCodec(34933, "uint16", 16, 16, None, 16, 16)))


@pytest.mark.parametrize("rows", [16, 5])
def test_the_last_strip_is_padded_with_zeros(rows: int):
    decoding = build_decoding(PageCodec(8, "uint16", 37, 16, None, 16, 16))
    assert (decoding.chunk, decoding.edge) == ((16, 16), (5, 16))
    pixels = np.arange(1, 1 + rows * 16, dtype="<u2").reshape(rows, 16)
    found = decode_tiff_chunk(imagecodecs.zlib_encode(pixels.tobytes()), decoding)
    assert (found.shape, found.dtype) == ((1, 16, 16), np.dtype("uint16"))
    np.testing.assert_array_equal(found[0, :rows], pixels)
    assert not found[0, rows:].any()


def test_both_versions_of_zarr_know_the_codec_and_neither_encodes():
    assert get_codec_class(CODEC_NAME) is TiffCodec
    assert isinstance(numcodecs.get_codec({"id": CODEC_NAME, **write_configuration(PLAIN)}), TiffCompressor)
    codec = {"name": CODEC_NAME, "configuration": write_configuration(PLAIN)}
    assert TiffCodec.from_dict(codec).to_dict() == codec  # type: ignore[arg-type]
    array = zarr.create_array(
        {}, shape=(16, 16), chunks=(16, 16), dtype="uint16", serializer=TiffCodec(PLAIN), compressors=None
    )
    with pytest.raises(UnsupportedStoreError, match="only decodes"):
        array[:] = 1
    with pytest.raises(UnsupportedStoreError, match="only decodes"):
        TiffCompressor(**write_configuration(PLAIN)).encode(b"")


def test_the_entry_points_by_which_other_programs_find_the_codec_lead_to_it():
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    for group, expected in (("zarr.codecs", TiffCodec), ("numcodecs.codecs", TiffCompressor)):
        assert EntryPoint(CODEC_NAME, points[group][CODEC_NAME], group).load() is expected
