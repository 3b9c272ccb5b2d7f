"""Which folder of images is which plate: names that the microscope gave in, names in ``workspace`` out.

"The relationship between <full-plate-name> and <plate-name> needs to be immediately obvious"
(https://broadinstitute.github.io/cellpainting-gallery/data_structure.html): the full name begins with the plate's. Where it does not,
the first row of the plate's LoadData table says in which folder its images are.
"""

from __future__ import annotations

import csv
import io
import re
import zlib
from collections.abc import Collection, Iterable

from bioimage_assets.core.model.file_kinds import GZIP_START, PARQUET_START
from bioimage_assets.core.stores.tree import Entry, Tree

# Harmony, of Opera Phenix and Operetta: BR00117035__2021-05-02T16_02_51-Measurement1.
_HARMONY = re.compile(r"(.+?)__\d{4}-\d\d-\d\dT\d\d_\d\d_\d\d[-_ ]Measurement ?\d+")
_IN_PATH = re.compile(r"/images/(?P<batch>[^/]+)/images[^/]*/(?P<folder>[^/]+)/")
_HEAD_BYTES = 64 << 10
_LOCATIONS = ("URL_", "PathName_")


def plate_of_folder(folder: str, plates: Collection[str]) -> str | None:
    """The plate of a batch whose name a folder's is, or begins with; the longest where several fit.

    >>> plate_of_folder("BR1__2021-05-02T16_02_51-Measurement1", {"BR1", "BR"}), plate_of_folder("BR12", {"BR1"})
    ('BR1', None)
    """
    if folder in plates:
        return folder
    fitting = [p for p in plates if folder.startswith(p) and not folder[len(p) : len(p) + 1].isalnum()]
    return max(fitting, key=len, default=None)


def name_of_folder(folder: str) -> str:
    """What a plate is called of which ``workspace`` knows nothing: its folder without what Harmony adds.

    >>> name_of_folder("BR00117035__2021-05-02T16_02_51-Measurement1"), name_of_folder("UL000109")
    ('BR00117035', 'UL000109')
    """
    found = _HARMONY.fullmatch(folder)
    return found[1] if found else folder


def find_folder_in_list(tree: Tree, lists: Iterable[Entry]) -> str | None:
    """Folder of images that the first row of a LoadData table names; None where none says it. One request."""
    for entry in lists:
        head = tree.read_head(entry.path, _HEAD_BYTES, below=entry.path.rpartition("/")[0]) or b""
        if head.startswith(PARQUET_START):  # its rows cannot be read from its beginning
            continue
        location = _first_location(_unpack(head))
        found = None if location is None else _IN_PATH.search(f"{location.rstrip('/')}/")
        if found is not None:
            return found["folder"]
    return None


def _unpack(head: bytes) -> bytes:
    if not head.startswith(GZIP_START):
        return head
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, _HEAD_BYTES)
    except zlib.error:
        return b""


def _first_location(text: bytes) -> str | None:
    rows = csv.reader(io.StringIO(text.decode("utf-8-sig", "replace")))
    try:
        header, first = next(rows, []), next(rows, [])
    except csv.Error:
        return None
    named = zip(header, first, strict=False)
    return next((value for name, value in named if name.startswith(_LOCATIONS) and value), None)
