"""Builders of Micro-Manager's multi-position OME-TIFF sets and NDTiff datasets."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bioimage_assets_tests.builders.tiff_files import (
    UUIDS,
    build_block,
    build_ome_image,
    build_ome_xml,
    plain_tags,
    write_pages,
)

HCS_POSITIONS = ("A1-Site_0", "A1-Site_1", "B12-Site_0")


def write_mm_set(
    folder: Path, positions: Sequence[str] = HCS_POSITIONS, *, in_all: bool = False, holder: int = 0, prefix: str = "run_1",
    name_of: Callable[[str, int], str] = lambda position, _: position,
    label_of: Callable[[str, int], str] | None = None,
    file_of: Callable[[str, int], str] | None = None,
) -> list[Path]:  # fmt: skip
    """Write a file per position with two channels; the XML of all stands in the file ``holder``, or in each."""
    files = [
        file_of(position, number) if file_of else f"{prefix}_MMStack_{position}.ome.tif"
        for number, position in enumerate(positions)
    ]
    images = []
    for number, position in enumerate(positions):
        blocks = "".join(build_block(c, c=c, file=files[number], uuid=UUIDS[number]) for c in range(2))
        image = build_ome_image(number, x=24, y=16, c=2, blocks=blocks, channels=("DAPI", "GFP"))
        image = image.replace(f'Name="image {number}"', f'Name="{name_of(position, number)}"')
        if label_of is not None:
            label = f'<StageLabel Name="{label_of(position, number)}" X="1.0" XUnit="µm" Y="2.0" YUnit="µm"/>'
            image = image.replace("<Pixels", f"{label}<Pixels", 1)
        images.append(image)
    for number, file in enumerate(files):
        pages = [np.full((16, 24), 10 * number + c, np.uint16) for c in range(2)]
        if in_all or number == holder:
            xml = build_ome_xml(images, uuid=UUIDS[number])
        else:
            link = f'<BinaryOnly MetadataFile="{files[holder]}" UUID="{UUIDS[holder]}"/>'
            xml = build_ome_xml([], uuid=UUIDS[number], extra=link)
        write_pages(folder / file, pages, xml)
    return [folder / file for file in files]


Axes = dict[str, int | str]


def write_ndtiff(
    folder: Path, *, channels: int = 2, planes: int = 1, shape: tuple[int, int] = (16, 24),
    axes: Sequence[Axes] | None = None, files: int = 1, names: dict[int, str] | None = None,
) -> Path:  # fmt: skip
    """Write an NDTiff dataset: pages with JSON metadata, axes in ``NDTiff.index``; pixels count up from 0.

    ``axes`` are those of each image in order, else z and channel; ``files`` share them; ``names`` are those of positions.
    Layout: https://github.com/micro-manager/NDStorage (file header, one directory per image, index of images).
    """
    found = axes or [{"z": n // channels, "channel": n % channels} for n in range(channels * planes)]
    folder.mkdir(parents=True)
    per_file = -(-len(found) // files)
    paths: list[Path] = []
    index = b""
    for number in range(files):
        path = folder / f"run_NDTiffStack{f'_{number}' if number else ''}.tif"
        first = number * per_file
        index += _write_ndtiff_file(path, found[first : first + per_file], first, shape, names or {})
        paths.append(path)
    (folder / "NDTiff.index").write_bytes(index)
    return paths[0]


def _write_ndtiff_file(
    path: Path, found: Sequence[Axes], first: int, shape: tuple[int, int], names: dict[int, str]
) -> bytes:
    height, width = shape
    summary = b'{"PixelSizeUm": 0.5}'
    out = bytearray(b"II*\0" + struct.pack("<5I", 0, 483729, 3, 2355492, len(summary)) + summary)
    index, link_at = b"", 4
    for number, place in enumerate(found):
        axes = json.dumps(place).encode()
        plane = {"Axes": place, "PixelSizeUm": 0.5}
        if place.get("position") in names:
            plane["PositionName"] = names[int(place["position"])]
        text = json.dumps(plane).encode()
        start = len(out)
        pixels = start + 2 + 12 * 10 + 4
        end = pixels + 2 * width * height
        tags = [
            *plain_tags(width, height, offset=pixels, count=end - pixels, bits=16),
            (51123, 2, len(text), end),
        ]
        struct.pack_into("<I", out, link_at, start)
        out += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        link_at = len(out)
        out += struct.pack("<I", 0) + np.full(shape, first + number, "<u2").tobytes() + text
        name = path.name.encode()
        index += struct.pack("<I", len(axes)) + axes + struct.pack("<I", len(name)) + name
        index += struct.pack("<8I", pixels, width, height, 1, 0, end, len(text), 0)
    path.write_bytes(out)
    return index
