"""Builders of small real TIFFs: by tifffile where it can, by hand where a file must be broken or exact."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

UUIDS = [f"urn:uuid:{n:08d}-0000-4000-8000-000000000000" for n in range(64)]


def write_ome_tiff(path: Path, data: np.ndarray, axes: str, **options: object) -> Path:
    """Write one OME-TIFF with tifffile; ``metadata`` is merged into the OME keys."""
    metadata = {"axes": axes, **dict(options.pop("metadata", {}))}  # type: ignore[call-overload]
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, data, ome=True, metadata=metadata, **options)  # type: ignore[arg-type]
    return path


def write_taken(path: Path, *, x_mm: float = -1.25, date: str = "2026-03-01T10:20:30") -> Path:
    """Write an OME-TIFF of two channels whose planes say when, where and how long they were taken."""
    taken = {
        "DeltaT": [0.0, 0.5], "ExposureTime": [0.1, 0.2], "PositionX": [x_mm] * 2, "PositionXUnit": ["mm"] * 2,
        "PositionY": [2500.0] * 2, "PositionYUnit": ["µm"] * 2,
    }  # fmt: skip
    channels = {"Name": ["DNA", "ER"], "EmissionWavelength": [450, 525]}
    metadata = {"AcquisitionDate": date, "Channel": channels, "Plane": taken}
    return write_ome_tiff(path, np.zeros((2, 8, 8), np.uint16), "CYX", metadata=metadata)


def write_pyramid(
    path: Path, data: np.ndarray, axes: str, levels: int = 3, tile: tuple[int, int] = (16, 16)
) -> Path:
    """Write an OME-TIFF whose reduced copies are SubIFDs."""
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(data, subifds=levels - 1, tile=tile, metadata={"axes": axes})
        for level in range(1, levels):
            step = 2**level
            writer.write(data[..., ::step, ::step], subfiletype=1, tile=tile)
    return path


def write_pages(
    path: Path, pages: Sequence[np.ndarray], description: str | None = None, **options: object
) -> Path:
    """Write pages one by one with an own description on the first; nothing else is added."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tifffile.TiffWriter(
        path, **{k: options.pop(k) for k in ("bigtiff", "byteorder") if k in options}
    ) as writer:  # type: ignore[arg-type]
        for number, page in enumerate(pages):
            text = (description or "").encode() if number == 0 else None
            try:
                writer.write(page, description=text or None, metadata=None, contiguous=False, **options)  # type: ignore[arg-type]
            except NotImplementedError as error:  # 2025.3.30 reads packed integers, but writes none
                pytest.skip(f"imagecodecs {imagecodecs.__version__} writes no such pages: {error}")
    return path


def build_ome_xml(
    images: Sequence[str],
    *,
    plates: str = "",
    uuid: str | None = None,
    extra: str = "",
    declaration: bool = True,
) -> str:
    """Compose an OME document of given Image elements."""
    head = '<?xml version="1.0" encoding="UTF-8"?>' if declaration else ""
    attribute = f' UUID="{uuid}"' if uuid else ""
    return (
        f'{head}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{attribute}>'
        f"{plates}{extra}{''.join(images)}</OME>"
    )


def build_ome_image(
    number: int, *, x: int, y: int, c: int = 1, z: int = 1, t: int = 1, order: str = "XYCZT", pixel_type: str = "uint16",
    channels: Sequence[str | None] = (), blocks: str = "<TiffData/>", pixel_attributes: str = "", samples: int = 1,
) -> str:  # fmt: skip
    """Compose one Image element."""
    names = "".join(
        f'<Channel ID="Channel:{number}:{i}" SamplesPerPixel="{samples}"'
        + (f' Name="{name}"' if name else "")
        + "/>"
        for i, name in enumerate(channels)
    )
    return (
        f'<Image ID="Image:{number}" Name="image {number}"><Pixels ID="Pixels:{number}" DimensionOrder="{order}" '
        f'Type="{pixel_type}" SizeX="{x}" SizeY="{y}" SizeC="{c}" SizeZ="{z}" SizeT="{t}" {pixel_attributes}>'
        f"{names}{blocks}</Pixels></Image>"
    )


def build_block(
    ifd: int, *, c: int = 0, z: int = 0, t: int = 0, count: int = 1, file: str = "", uuid: str = ""
) -> str:
    """Compose one TiffData element, with the file that holds its planes where one is given."""
    inner = f'<UUID FileName="{file}">{uuid}</UUID>' if file else ""
    return f'<TiffData IFD="{ifd}" FirstC="{c}" FirstZ="{z}" FirstT="{t}" PlaneCount="{count}">{inner}</TiffData>'


def build_plate_xml(
    wells: Sequence[tuple[int, int, Sequence[tuple[int, int]]]],
    *,
    name: str = "P1",
    runs: Sequence[Sequence[str]] = (),
) -> str:
    """Compose a Plate: wells as (row, column, [(WellSample index, image number), …]), runs as lists of sample ids."""
    text = ""
    for row, column, samples in wells:
        inner = "".join(
            f'<WellSample ID="WellSample:{index}" Index="{index}"><ImageRef ID="Image:{image}"/></WellSample>'
            for index, image in samples
        )
        text += f'<Well ID="Well:{row}:{column}" Row="{row}" Column="{column}">{inner}</Well>'
    for number, samples in enumerate(runs):
        refs = "".join(f'<WellSampleRef ID="{sample}"/>' for sample in samples)
        text += f'<PlateAcquisition ID="PlateAcquisition:{number}">{refs}</PlateAcquisition>'
    return f'<Plate ID="Plate:0" Name="{name}">{text}</Plate>'


def build_tiff_bytes(
    tags: Sequence[tuple[int, int, int, int]], *, tail: bytes = b"", next_offset: int = 0
) -> bytes:
    """Compose a little-endian classic TIFF of one directory: (code, type, count, value or offset) and what follows it."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return (
        b"II*\0"
        + struct.pack("<I", 8)
        + struct.pack("<H", len(tags))
        + entries
        + struct.pack("<I", next_offset)
        + tail
    )


def plain_tags(
    width: int, height: int, *, offset: int, count: int, bits: int = 8
) -> list[tuple[int, int, int, int]]:
    """Tags of an uncompressed one-strip grey page."""
    return [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, offset), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, count),
    ]  # fmt: skip


def write_ycbcr(
    path: Path, planes: Sequence[np.ndarray], subsampling: tuple[int, int], rows_per_strip: int
) -> Path:
    """Write an uncompressed YCbCr page of uint8: luma and the two smaller chroma planes, in blocks of TIFF 6.0 section 21."""
    luma, *chroma = planes
    (height, width), (across, down) = luma.shape, subsampling
    strips: list[bytes] = []
    for top in range(0, height, rows_per_strip):
        strip = bytearray()
        for row in range(top, min(top + rows_per_strip, height), down):
            for column in range(0, width, across):
                rows = np.minimum(range(row, row + down), height - 1)[:, None]
                strip += luma[rows, np.minimum(range(column, column + across), width - 1)].tobytes()
                strip += bytes(int(plane[row // down, column // across]) for plane in chroma)
        strips.append(bytes(strip))
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 0), (259, 3, 1, 1), (262, 3, 1, 6), (273, 4, len(strips), 0),
        (277, 3, 1, 3), (278, 4, 1, rows_per_strip), (279, 4, len(strips), 0), (530, 3, 2, across | down << 16),
    ]  # fmt: skip
    after = 8 + 2 + 12 * len(tags) + 4
    lists, start = after + 6, after + 6 + 8 * len(strips)
    offsets = [start + sum(map(len, strips[:number])) for number in range(len(strips))]
    places = {258: after, 273: lists, 279: lists + 4 * len(strips)}
    if len(strips) == 1:
        places |= {273: offsets[0], 279: len(strips[0])}
    tail = struct.pack(f"<3H{2 * len(strips)}I", 8, 8, 8, *offsets, *map(len, strips)) + b"".join(strips)
    path.write_bytes(build_tiff_bytes([(*tag[:3], places.get(tag[0], tag[3])) for tag in tags], tail=tail))
    return path


def build_bigtiff_bytes(
    tags: Sequence[tuple[int, int, int, int]],
    *,
    tail: bytes = b"",
    next_offset: int = 0,
    tag_count: int | None = None,
) -> bytes:
    """Compose a little-endian BigTIFF of one directory, which may claim another number of tags than it has."""
    entries = b"".join(struct.pack("<HHQQ", *tag) for tag in sorted(tags))
    count = len(tags) if tag_count is None else tag_count
    return b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, count) + entries + struct.pack("<Q", next_offset) + tail


def write_jpeg_with_tables(
    path: Path, pages: Sequence[np.ndarray], *, level: int = 90, photometric: str = "minisblack"
) -> Path:
    """Write pages of JPEG tiles of 16 x 16 pixels whose tables stand in a tag, as slide scanners do (TIFF Technical Note 2)."""
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            height, width = page.shape[:2]
            parts = [
                split_jpeg(
                    imagecodecs.jpeg_encode(
                        np.ascontiguousarray(_pad_tile(page[y : y + 16, x : x + 16])), level=level
                    )
                )
                for y in range(0, height, 16)
                for x in range(0, width, 16)
            ]
            writer.write(
                iter([body for _, body in parts]), shape=page.shape, dtype=page.dtype, tile=(16, 16), compression="jpeg",
                photometric=photometric, jpegtables=parts[0][0], metadata=None, contiguous=False,
                **({"subsampling": (1, 1)} if photometric == "ycbcr" else {}),
            )  # fmt: skip
    return path


def _pad_tile(tile: np.ndarray) -> np.ndarray:
    margins = [(0, 16 - tile.shape[0]), (0, 16 - tile.shape[1]), *[(0, 0)] * (tile.ndim - 2)]
    return np.pad(tile, margins, mode="edge")


def split_jpeg(raw: bytes) -> tuple[bytes, bytes]:
    """Tables of a JPEG as a stream of their own, and the rest of it (ITU-T T.81, annex B: markers DQT and DHT)."""
    tables, body, at = b"", b"", 2
    while raw[at + 1] != 0xDA:  # start of scan
        size = 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
        if raw[at + 1] in (0xDB, 0xC4):
            tables += raw[at : at + size]
        else:
            body += raw[at : at + size]
        at += size
    return b"\xff\xd8" + tables + b"\xff\xd9", b"\xff\xd8" + body + raw[at:]
