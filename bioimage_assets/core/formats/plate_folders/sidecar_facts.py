"""What the sidecars of a plate folder say, whoever wrote them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from bioimage_assets.core.formats.ome_tiff.image_draft import PixelSizes
from bioimage_assets.core.formats.plate_folders.patterns import NameParts
from bioimage_assets.core.formats.plate_folders.sidecar_acquisition import SidecarAcquisition
from bioimage_assets.core.model.identity import MAX_WELL_COLUMN, MAX_WELL_ROW, build_well_id
from bioimage_assets.core.model.scan import DeclaredWell

WellSites = defaultdict[tuple[int, int], set[str]]


@dataclass(slots=True)
class SidecarFacts:
    """What the sidecars of a plate folder say; ``channel_names`` by token of the file name (``w1``, ``ch2``, ``C01``).

    ``names`` gives the parts of the files that the sidecar lists, by file name.
    ``companions`` are OME documents that name the folder's files. ``channels_in_order`` are names that stand for numbered
    tokens, if these are as many. ``well_labels`` and ``plate_columns`` place
    wells that names only number. ``slices`` are the z steps of names that count images, ``several_planes`` the files that
    hold more than one plane, ``pages`` their planes by page. ``acquisition`` is what is said of how the files were taken.
    """

    source: str = ""
    plate_id: str | None = None
    channel_names: dict[str, str] = field(default_factory=dict)
    sizes: PixelSizes = field(default_factory=PixelSizes)
    wells: tuple[DeclaredWell, ...] = ()
    names: dict[str, NameParts] = field(default_factory=dict)
    documents: list[tuple[str, bytes]] = field(default_factory=list)
    companions: list[str] = field(default_factory=list)
    channels_in_order: tuple[str, ...] = ()
    well_labels: dict[int, str] = field(default_factory=dict)
    plate_columns: int | None = None
    slices: int | None = None
    several_planes: set[str] = field(default_factory=set)
    pages: dict[str, dict[int, NameParts]] = field(default_factory=dict)
    acquisition: SidecarAcquisition = field(default_factory=SidecarAcquisition)

    def add_name(self, path: str | None, parts: NameParts | None) -> None:
        """Take what a sidecar says of a file, which is named with or without its folder."""
        name = (path or "").strip().replace("\\", "/").rpartition("/")[2]
        if name and parts is not None:
            self.names[name] = parts


def well_at(row: int | None, column: int | None) -> str | None:
    """Well of a row and column that count from one; None where it is on no plate."""
    if row is None or column is None or not (1 <= row <= MAX_WELL_ROW and 1 <= column <= MAX_WELL_COLUMN):
        return None
    return build_well_id(row - 1, column - 1)


def declare_wells(sites: WellSites) -> tuple[DeclaredWell, ...]:
    """Wells with their sites in order; rows and columns count from one."""
    return tuple(
        DeclaredWell(well_id, "", tuple(sorted(names - {""}, key=lambda n: (len(n), n))))
        for (row, column), names in sorted(sites.items())
        if (well_id := well_at(row, column)) is not None
    )


def read_integer(text: str | None) -> int | None:
    """Small whole number of a text, None where it is none."""
    text = (text or "").strip()
    return int(text) if text.isdecimal() and len(text) < 10 else None


def read_number(text: str | None) -> float | None:
    """Number of a text, None where it is none."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
