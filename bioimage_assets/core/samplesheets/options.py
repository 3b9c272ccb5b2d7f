"""What a samplesheet is to hold besides the images themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

SamplesheetFormat = Literal["loaddata", "nf-core"]


@dataclass(frozen=True, slots=True)
class SheetOptions:
    """How the images of scanned plates are named for another pipeline.

    Parameters
    ----------
    channels
        Name of the image by channel, where it is to be another than the channel's own.
    path_rewrites
        (old, new) beginnings of places, for a pipeline that sees the files elsewhere.
    illumination
        Folder or URI of illumination functions, ``<plate>/<plate>_Illum<Channel>.npy`` below it; none where empty. ``{batch}`` in it is
        the batch of the plate.
    batch, source
        What ``Metadata_Batch`` and ``Metadata_Source`` say; where empty that of a gallery's path, else of an nf-core sheet the dataset.
    """

    channels: Mapping[str, str] = field(default_factory=dict)
    path_rewrites: tuple[tuple[str, str], ...] = ()
    illumination: str = ""
    batch: str = ""
    source: str = ""
