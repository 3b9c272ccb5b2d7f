"""One name of each built-in layout, and the layout that is nearest to a name that none of them reads."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

# By layout: who writes such names, and some of them with all their parts.
LAYOUT_EXAMPLES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "opera-phenix": ("Harmony (Operetta CLS, Opera Phenix)", ("r01c02f03p01-ch2sk1fk1fl1.tiff",)),
    "cellvoyager": ("Yokogawa CellVoyager CV7000, CV8000", ("Plate1_A01_T0001F001L01A01Z01C01.tif",)),
    "cellomics": ("Cellomics ArrayScan, CellInsight", ("Plate1_A01f00d0.tif",)),
    "incell": ("IN Cell Analyzer", ("A - 01(fld 1 wv UV - DAPI z 3 time 2 - 2636ms).tif",)),
    "cytation": ("BioTek Cytation, Lionheart (Gen5)", ("A1_02_1_1_DAPI_001.tif",)),
    "imagexpress": ("MetaXpress (ImageXpress)", ("Plate1_A01_s1_w1.tif", "Plate1_A01_w1.tif", "A01_s1.tif")),
    "well-site": ("people and programs", ("Plate1_A01_site1_ch1.tif", "A1_f1.tif")),
    "metaxpress-acquire": ("MetaXpress Acquire (ImageXpress HCS.ai)", ("Plate1_t0_A01_s0_w0_z0.tif",)),
    "scanr": ("Evident scanR", ("A1--W00001--P00001--Z00000--T00000--DAPI.tif",)),
    "columbus": ("Columbus, Operetta", ("001001-1-001001001.tif",)),
    "bd-pathway": ("BD Pathway", ("Well A01/DAPI - n000000.tif",)),
    "incucyte": ("Incucyte", ("Exp_Phase_A1_1_00d00h00m.tif", "B3-1-C2.tif")),
    "nikon-jobs": ("Nikon NIS-Elements JOBS", ("WellA01_PointA01_0000_ChannelDAPI_Seq0000.tif",)),
    "well-row-column": ("SBS plates", ("Channel1-01-A-01.tif",)),
    "well-channel": ("people and programs", ("Plate1_A01_1_DAPI.tif", "A01_DAPI.tif")),
    "well-number": ("people and programs", ("Plate1_A01_1.tif",)),
}
_TOKEN = re.compile(
    r"(?P<well>(?<![A-Za-z])[A-P]\d{1,2}(?![0-9A-Za-z])|(?<![A-Za-z])[A-P]\d\d(?=[a-z]))"
    r"|(?P<count>[A-Za-z]{1,5})(?P<gap>[ _]?)\d+|(?P<number>\d+)|(?P<word>[A-Za-z]+)"
)
_MAX_NAME = 255


class NearLayout(NamedTuple):
    """A built-in layout, its example, and which of the example's parts a name has."""

    layout: str
    example: str
    matching: int
    parts: int


def find_near_layout(name: str, layouts: Iterable[str]) -> NearLayout | None:
    """The layout with whose example a name shares most parts (well, counted letters, numbers); None where it shares none."""
    found = _count_parts(name.rpartition("/")[2][:_MAX_NAME])
    best: NearLayout | None = None
    for layout in dict.fromkeys(layouts):
        for example in LAYOUT_EXAMPLES[layout][1]:
            parts = _count_parts(example.rpartition("/")[2])
            near = NearLayout(layout, example, (found & parts).total(), parts.total())
            if near.matching and (best is None or _rank(near, found) > _rank(best, found)):
                best = near
    return best


def _rank(near: NearLayout, found: Counter[str]) -> tuple[int, int]:
    """More parts in common first, then fewer that only one of the two has."""
    return near.matching, -(near.parts + found.total() - 2 * near.matching)


def _count_parts(name: str) -> Counter[str]:
    parts: Counter[str] = Counter()
    for match in _TOKEN.finditer(name.rpartition(".")[0]):
        if match["well"]:
            parts["well"] += 1
        elif match["count"]:
            parts[match["count"].lower()] += 1
        elif match["number"]:
            parts["number"] += 1
    return parts
