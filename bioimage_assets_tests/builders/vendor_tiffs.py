"""Builders of TIFFs as microscopes and slide scanners write them: their real tags, tiny pixels."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

from bioimage_assets_tests.builders.tiff_files import build_tiff_bytes, plain_tags


def write_stk(
    path: Path, data: np.ndarray, *, z_um: Sequence[float] = (), times_ms: Sequence[int] = (),
    waves_nm: Sequence[float] = (), pixel_um: float | None = 0.325, strips: int = 1, text: bytes = b"",
) -> Path:  # fmt: skip
    """Write a MetaMorph stack: planes behind one page, a UIC2 value of six LONGs for each (plane, y, x), uint16."""
    count, height, width = data.shape
    distances = z_um or [0.0] * count
    times = times_ms or [0] * count
    uic2 = b"".join(
        struct.pack("<6I", round(z * 1000), 1000, 2451545, time, 2451545, time)
        for z, time in zip(distances, times, strict=True)
    )
    uic3 = b"".join(struct.pack("<2I", round(wave * 10), 10) for wave in waves_nm or [0] * count)
    rows = -(-height // strips)
    tags = [
        tag for tag in plain_tags(width, height, offset=0, count=0, bits=16) if tag[0] not in (273, 278, 279)
    ]
    total = len(tags) + 3 + (1 if text else 0) + 3 + (1 if pixel_um else 0)
    at = 8 + 2 + 12 * total + 4
    tail = bytearray()

    def put(raw: bytes) -> int:
        place = at + len(tail)
        tail.extend(raw + b"\0" * (len(raw) % 2))
        return place

    uic1: list[tuple[int, int]] = []
    if pixel_um:
        fraction = struct.pack("<2I", round(pixel_um * 10_000), 10_000)
        uic1 = [(3, 1), (4, put(fraction)), (5, put(fraction)), (6, put(struct.pack("<I", 3) + b"um\0"))]
        tags.append((33628, 4, 4, put(b"".join(struct.pack("<2I", *pair) for pair in uic1))))
    tags += [
        (33629, 5, count, put(uic2)),
        (33630, 5, count, put(uic3)),
        (33631, 4, count, put(struct.pack("<I", 0))),
    ]
    if text:
        tags.append((270, 2, len(text), put(text)))
    size = rows * width * 2
    sizes = [min(size, height * width * 2 - number * size) for number in range(strips)]
    lists = put(struct.pack(f"<{2 * strips}I", *[0] * 2 * strips))
    start = put(data.astype("<u2").tobytes())
    offsets = [start + number * size for number in range(strips)]
    tail[lists - at : lists - at + 8 * strips] = struct.pack(f"<{2 * strips}I", *offsets, *sizes)
    places = (lists, lists + 4 * strips) if strips > 1 else (offsets[0], sizes[0])
    tags += [(273, 4, strips, places[0]), (278, 4, 1, rows), (279, 4, strips, places[1])]
    path.write_bytes(build_tiff_bytes(tags, tail=bytes(tail)))
    return path


def build_lsm_info(shape: tuple[int, ...], scan_type: int, *, positions: int = 0, names_at: int = 0) -> bytes:
    """Compose CZ_LSMINFO of planes (t, z, c, y, x) with voxels of 0.2 x 0.2 x 1.5 µm and steps of 2 s."""
    t, z, c, y, x = shape
    raw = bytearray(512)
    struct.pack_into("<I9i", raw, 0, 0x00400494C, len(raw), x, y, z, c, t, 2, 128, 128)
    struct.pack_into("<3d", raw, 40, 0.2e-6, 0.2e-6, 1.5e-6)
    struct.pack_into("<HH", raw, 88, scan_type, 0)
    struct.pack_into("<I", raw, 108, names_at)
    struct.pack_into("<d", raw, 112, 2.0)
    struct.pack_into("<2i", raw, 264, positions, 0)
    return bytes(raw)


def write_lsm(
    path: Path, data: np.ndarray, scan_type: int, *, names: Sequence[str] = (), **options: int
) -> Path:
    """Write an LSM of (t, z, c, y, x) with a thumbnail in colour behind each page."""
    t, z, c = data.shape[:3]
    info = build_lsm_info(data.shape, scan_type, **options)
    with tifffile.TiffWriter(path, byteorder="<") as writer:
        for number, page in enumerate(data.reshape(t * z, c, *data.shape[3:])):
            tags = [(34412, 1, len(info), info, True)] if number == 0 else []
            own = {"planarconfig": "separate"} if c > 1 else {}
            writer.write(
                page if c > 1 else page[0],
                photometric="minisblack",
                metadata=None,
                extratags=tags,
                contiguous=False,
                **own,
            )
            thumbnail = np.zeros((3, 16, 16), np.uint8)
            writer.write(thumbnail, photometric="rgb", planarconfig="separate", subfiletype=1, metadata=None)
    raw = bytearray(path.read_bytes())
    if (
        c == 2
    ):  # as Zeiss does, the two bits per sample lie elsewhere although they would fit into their entry
        bits = struct.pack("<HH", data.itemsize * 8, data.itemsize * 8)
        raw = (
            raw.replace(struct.pack("<HHI", 258, 3, 2) + bits, struct.pack("<HHII", 258, 3, 2, len(raw)))
            + bits
        )
        path.write_bytes(raw)
    if names:
        place = raw.index(info)
        texts = b"".join(struct.pack("<I", len(name) + 1) + name.encode() + b"\0" for name in names)
        struct.pack_into("<I", raw, place + 108, len(raw))
        raw += struct.pack("<6i", 24 + len(texts), len(names), len(names), 24, 24, 0) + texts
        path.write_bytes(raw)
    return path


def write_svs(path: Path, data: np.ndarray, levels: int = 3) -> Path:
    """Write an Aperio slide of (y, x, 3): tiled levels, a thumbnail, a label and an overview."""
    text = f"Aperio Image Library v12.0\n{data.shape[1]}x{data.shape[0]} (16x16) J2K|AppMag = 20|MPP = 0.4990|Left = 1.0"
    with tifffile.TiffWriter(path) as writer:
        options = {"photometric": "rgb", "metadata": None}
        writer.write(data, tile=(16, 16), description=text, **options)
        writer.write(data[::8, ::8], rowsperstrip=4, description="Aperio thumbnail", **options)
        for level in range(1, levels):
            writer.write(data[:: 2**level, :: 2**level], tile=(16, 16), description="Aperio level", **options)
        writer.write(data[:20, :20], subfiletype=1, description="Aperio label", **options)
        writer.write(data[::4, ::4], subfiletype=9, description="Aperio macro", **options)
    return path


def write_ndpi(path: Path, pages: Sequence[tuple[np.ndarray, float]]) -> Path:
    """Write a Hamamatsu slide of (y, x, 3) pages with magnifications; offsets of directories are eight bytes."""
    out = bytearray(b"II*\0" + struct.pack("<Q", 0))
    link_at = 4
    for data, lens in pages:
        height, width = data.shape[:2]
        pixels = len(out)
        out += data.tobytes() + struct.pack("<3H", 8, 8, 8) + struct.pack("<4I", 20_000, 1, 20_000, 1)
        bits = pixels + data.nbytes
        tags = [
            (256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, pixels),
            (277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, data.nbytes), (282, 5, 1, bits + 6), (283, 5, 1, bits + 14),
            (296, 3, 1, 3), (65420, 4, 1, 1), (65421, 11, 1, struct.unpack("<I", struct.pack("<f", lens))[0]),
        ]  # fmt: skip
        struct.pack_into("<Q", out, link_at, len(out))
        out += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        link_at = len(out)
        out += struct.pack("<Q", 0) + bytes(4 * len(tags))
    path.write_bytes(out)
    return path


def write_qptiff(path: Path, data: np.ndarray, names: Sequence[str], levels: int = 2) -> Path:
    """Write a PerkinElmer slide of (c, y, x): channels, a thumbnail, levels, an overview and a label."""

    def describe(kind: str, name: str | None = None) -> str:
        own = f"<Name>{name}</Name>" if name else ""
        return f"<PerkinElmer-QPI-ImageDescription><ImageType>{kind}</ImageType>{own}</PerkinElmer-QPI-ImageDescription>"

    options = {"metadata": None, "software": "PerkinElmer-QPI", "contiguous": False, "photometric": "minisblack",
               "resolution": (20_000, 20_000), "resolutionunit": 3}  # fmt: skip
    with tifffile.TiffWriter(path) as writer:
        for level in range(levels):
            for page, name in zip(data[:, :: 2**level, :: 2**level], names, strict=True):
                kind = "ReducedResolution" if level else "FullResolution"
                writer.write(
                    page,
                    tile=(16, 16),
                    description=describe(kind, name),
                    subfiletype=int(level > 0),
                    **options,
                )
            if level == 0:
                writer.write(np.zeros((8, 12, 3), np.uint8), description=describe("Thumbnail"),
                             **(options | {"photometric": "rgb"}))  # fmt: skip
        for kind in ("Overview", "Label"):
            writer.write(
                np.zeros((9, 13, 3), np.uint8),
                description=describe(kind),
                **(options | {"photometric": "rgb"}),
            )
    return path


def write_flex(path: Path, data: np.ndarray, arrays: Sequence[str]) -> Path:
    """Write an Opera well of pages with the XML that names their arrays."""
    xml = (
        "<Root><FLEX>" + "".join(f'<Array Name="{name}" Factor="1.0"/>' for name in arrays) + "</FLEX></Root>"
    )
    with tifffile.TiffWriter(path) as writer:
        for number, page in enumerate(data):
            tags = [(65200, 2, 0, xml, True)] if number == 0 else []
            writer.write(page, metadata=None, extratags=tags, contiguous=False)
    return path
