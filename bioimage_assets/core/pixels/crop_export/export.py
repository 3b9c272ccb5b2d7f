"""Chosen cells become a folder of crops: planned first, then cut part by part, from where an earlier call stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.joins.sources import open_profiles
from bioimage_assets.core.pixels.crop_export.cut import WindowCutter
from bioimage_assets.core.pixels.crop_export.folder import CropFolder, PartCount
from bioimage_assets.core.pixels.crop_export.images import PlateImages, open_images
from bioimage_assets.core.pixels.crop_export.ome_values import PLANE_DTYPES, PixelEncoding
from bioimage_assets.core.pixels.crop_export.options import CropExport
from bioimage_assets.core.pixels.crop_export.plan import CropPlan, plan_crops, read_plan
from bioimage_assets.core.pixels.crop_export.rows import RowBatch, crop_schema, cut_rows
from bioimage_assets.core.scratch import open_scratch
from bioimage_assets.core.stores.pixel_store import ReadCount


@dataclass(frozen=True, slots=True)
class CropExportResult:
    """What a folder of crops holds, and what this call read and wrote.

    ``refused`` counts cells that could not be cut by reason; ``pieces_read`` are the stored pieces that this call read.
    """

    target: str
    crop_count: int
    refused: dict[str, int]
    part_count: int
    written_part_count: int
    pieces_read: int
    stored_bytes_read: int

    @property
    def refused_count(self) -> int:
        """Cells that could not be cut."""
        return sum(self.refused.values())

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {
            "target": self.target,
            "crop_count": self.crop_count,
            "refused_count": self.refused_count,
            "refused": self.refused,
            "part_count": self.part_count,
            "written_part_count": self.written_part_count,
            "pieces_read": self.pieces_read,
            "stored_bytes_read": self.stored_bytes_read,
        }


def export_crops(
    cells: object,
    image_assets: object,
    target: str | Path,
    *,
    export: CropExport | None = None,
    selection: str | None = None,
    retry_refused: bool = False,
    count: ReadCount | None = None,
    storage_options: Mapping[str, object] | None = None,
) -> CropExportResult:
    """Write a square of pixels around each cell into a folder of Parquet files, as OME-Arrow values.

    Cells are ordered by image and place, so that each stored piece (chunk, tile, strip) is read and decoded once for all
    its cells; memory does not grow with their number. A call that was stopped is gone on with by the same call; where
    all is there, nothing is written.

    Parameters
    ----------
    cells
        Rows of ``joined_profiles``, all or chosen ones, of any kind that joins accept. ``Metadata_cqc_failed``, where
        it is among the columns, becomes the verdict ``qc_passed``.
    image_assets
        Table of their images, of any kind that joins accept, or a function that gives the rows of one plate key.
    target
        A local folder: a new one, an empty one, or that of an earlier call with the same choice.
    selection
        How the cells were chosen, in words; it stands in the manifest, and another one is refused.
    retry_refused
        Try the parts again in which cells could not be cut.
    count
        Filled with the chunks, tiles and strips that were read.
    storage_options
        Of the object store that images lie in; by default the project's (``BIOIMAGE_STORAGE_*``).

    Raises
    ------
    UsageError
        The folder holds crops of another choice or of other cells, or something else; or a column is missing.
    ContractError
        The cells have neither boxes nor centres.

    Examples
    --------
    >>> export_crops("joined_profiles/", images, "crops", export=CropExport(size_px=64)).crop_count
    6
    """
    export = export or CropExport()
    count = count or ReadCount(keeps_keys=False)
    folder = CropFolder(Path(target))
    images = PlateImages(open_images(image_assets, storage_options))
    with folder.locked(), open_scratch() as scratch:
        known = folder.read_manifest()
        request = _request(export, selection)
        _require_same(known, "request", request, folder)
        plan = plan_crops(open_profiles(cells, storage_options), images, export, scratch)
        encoding = _choose_encoding(plan, images, export)
        asked = {"cells": plan.count, "parts": len(plan.parts), "digest": plan.digest, "pixels": encoding}
        _require_same(known, "plan", asked, folder)
        head: dict[str, object] = {"request": request, "plan": asked}
        if known is None:
            folder.write_manifest({**head, "is_complete": False})
        work = _Work(folder, plan, images, export, encoding, request, retry_refused)
        parts = work.run(count, storage_options)
        result = _sum_up(folder, parts, work.written, count)
        folder.write_manifest({**head, "is_complete": True, **_contents(result, parts)})
        return result


def _request(export: CropExport, selection: str | None) -> dict[str, object]:
    return {
        "selection": selection,
        "size_px": export.size_px,
        "channels": None if export.channels is None else list(export.channels),
        "compartment": export.compartment,
        "z": export.z,
        "t": export.t,
        "fill": export.fill,
        "pixels": export.pixels,
        "carry": list(export.carry),
        "cells_per_part": export.cells_per_part,
    }


def _require_same(
    known: Mapping[str, object] | None, part: str, asked: Mapping[str, object], folder: CropFolder
) -> None:
    """Refuse a folder that holds crops of another choice, by the name of what differs."""
    stored = None if known is None else known.get(part)
    if stored is None or stored == asked:
        return
    said = stored if isinstance(stored, dict) else {}
    name = next((name for name in asked if said.get(name) != asked[name]), part)
    if name == "digest":
        raise UsageError(
            f"{folder.root} holds crops of other cells: the tables have changed since it was begun, or the cells were chosen "
            "otherwise. Name another folder."
        )
    raise UsageError(
        f"{folder.root} holds crops with {name} {said.get(name)}, this call asks for {asked[name]}. Name another folder."
    )


def _choose_encoding(plan: CropPlan, images: PlateImages, export: CropExport) -> PixelEncoding:
    """Lists of numbers or bytes, the same for all parts; UsageError where a type of pixels cannot hold what is asked."""
    plates = dict.fromkeys(plate for plate, _, _ in plan.parts)
    dtypes = sorted({dtype for plate in plates for dtype in images.dtypes(plate)})
    for dtype in dtypes:
        _require_fill(dtype, export.fill)
    wide = [dtype for dtype in dtypes if dtype not in PLANE_DTYPES]
    if export.pixels == "planes" and wide:
        raise UsageError(
            f"Pixels of type {wide[0]} do not fit into lists of 16-bit numbers; choose 'bytes' or 'auto'."
        )
    return "bytes" if export.pixels == "bytes" or wide else "planes"


def _require_fill(dtype: str, fill: float) -> None:
    try:
        kind = np.dtype(dtype)
    except TypeError:
        return  # a cell of such an image is refused by itself
    with np.errstate(all="ignore"):
        stored = np.asarray(fill).astype(kind)
    if kind.kind in "iub" and float(stored) != fill:
        raise UsageError(f"The fill {fill} is no value of pixels of type {dtype}.")


class _Work:
    """One call's work on a folder: every part that is not whole is cut and written."""

    def __init__(
        self,
        folder: CropFolder,
        plan: CropPlan,
        images: PlateImages,
        export: CropExport,
        encoding: PixelEncoding,
        request: Mapping[str, object],
        retry_refused: bool,
    ) -> None:
        self._folder, self._plan, self._images, self._export = folder, plan, images, export
        self._encoding: PixelEncoding = encoding
        self._retry = retry_refused
        self._provenance = {
            "request": dict(request),
            "plan": plan.digest,
            "written_by": f"bioimage_assets {version('bioimage_assets')}",
        }
        self._schema = crop_schema(pq.read_schema(plan.path), encoding)
        self.written = 0

    def run(self, count: ReadCount, storage_options: Mapping[str, object] | None) -> list[PartCount]:
        options = {"fill": self._export.fill, "max_bytes": self._export.max_cache_bytes}
        with WindowCutter(count, **options, storage_options=storage_options) as cutter:  # type: ignore[arg-type]
            return [self._settle(number, cutter) for number in range(len(self._plan.parts))]

    def _settle(self, number: int, cutter: WindowCutter) -> PartCount:
        _, first, stop = self._plan.parts[number]
        known = self._folder.read_part(number, self._plan.digest, stop - first)
        if known is not None and not (self._retry and known.refused_count):
            return known
        self.written += 1
        return self._folder.write_part(number, self._schema, self._cut(first, stop, cutter), self._provenance)

    def _cut(self, first: int, stop: int, cutter: WindowCutter) -> Iterator[RowBatch]:
        rows: pa.Table = read_plan(self._plan, first, stop)
        yield from cut_rows(rows, self._images, cutter, self._export, self._schema, self._encoding)


def _sum_up(folder: CropFolder, parts: list[PartCount], written: int, count: ReadCount) -> CropExportResult:
    refused: Counter[str] = Counter()
    for part in parts:
        refused.update(dict(part.refused))
    crops = sum(part.crop_count for part in parts)
    return CropExportResult(
        str(folder.root),
        crops,
        dict(sorted(refused.items())),
        len(parts),
        written,
        count.pieces,
        count.stored_bytes,
    )


def _contents(result: CropExportResult, parts: list[PartCount]) -> dict[str, object]:
    return {
        "crop_count": result.crop_count,
        "refused": result.refused,
        "parts": [
            {"file": part.name, "crops": part.crop_count, "refused": part.refused_count} for part in parts
        ],
    }
