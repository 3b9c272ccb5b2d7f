"""Builders of Micro-Manager's multi-position OME-TIFF sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bioimage_assets_tests.builders.tiff_files import (
    UUIDS,
    build_block,
    build_ome_image,
    build_ome_xml,
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
