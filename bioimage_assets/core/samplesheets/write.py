"""Image rows of plates in, samplesheets on disk out; each file appears whole, and the same rows give the same bytes.

``loaddata``: ``<dataset>/<plate>/load_data.csv``, with illumination functions ``load_data_with_illum.csv`` beside it, as the Cell Painting
Gallery keeps them below ``load_data_csv/<batch>``. ``nf-core``: ``samplesheet.csv`` for all plates.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.gallery import find_gallery_place
from bioimage_assets.core.model.identity import PlateKey
from bioimage_assets.core.samplesheets.load_data import build_load_data
from bioimage_assets.core.samplesheets.nf_core import COLUMNS, build_nf_core
from bioimage_assets.core.samplesheets.options import SamplesheetFormat, SheetOptions
from bioimage_assets.core.samplesheets.planes import Plane, list_planes
from bioimage_assets.core.samplesheets.sheet import Sheet
from bioimage_assets.core.scratch import replace_when_done

LOAD_DATA_FILE, WITH_ILLUMINATION_FILE, NF_CORE_FILE = (
    "load_data.csv",
    "load_data_with_illum.csv",
    "samplesheet.csv",
)


@dataclass(frozen=True, slots=True)
class WrittenSheet:
    """What of one plate was written: ``image_count`` fields in ``row_count`` rows of ``paths``."""

    plate_key: str
    paths: tuple[str, ...]
    row_count: int
    image_count: int
    findings: tuple[Finding, ...]


def write_samplesheets(
    plates: Iterable[tuple[str, pa.Table]],
    folder: str | Path,
    format_: SamplesheetFormat,
    options: SheetOptions | None = None,
) -> tuple[WrittenSheet, ...]:
    """Write the sheets of plates, given as key and rows of ``image_assets``; one plate is in memory at a time.

    A plate none of whose images can be listed has no sheet, and its findings say why.

    Raises
    ------
    UsageError
        The folder cannot be written, or a channel is given a name that cannot be one.
    """
    options = options or SheetOptions()
    if options.illumination and format_ != "loaddata":
        raise UsageError(
            "Illumination functions have columns in LoadData tables only: use --format loaddata."
        )
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        if format_ == "loaddata":
            return tuple(_write_load_data(key, images, Path(folder), options) for key, images in plates)
        return _write_nf_core(plates, Path(folder) / NF_CORE_FILE, options)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}.") from error


def _write_load_data(plate_key: str, images: pa.Table, folder: Path, options: SheetOptions) -> WrittenSheet:
    listed = list_planes(images)
    filled = _fill(options, listed.planes)
    plain = build_load_data(listed.planes, filled)
    sheets = {LOAD_DATA_FILE: plain}
    if options.illumination:
        sheets[WITH_ILLUMINATION_FILE] = build_load_data(listed.planes, filled, with_illumination=True)
    key = PlateKey.parse(plate_key)
    target = folder / key.dataset / key.plate
    paths = []
    for name, sheet in sheets.items() if plain.rows else ():
        target.mkdir(parents=True, exist_ok=True)
        with replace_when_done(target / name) as staged:
            _write_csv(staged, sheet.columns, [sheet.rows])
        paths.append(str(target / name))
    findings = (*listed.findings, *plain.findings)
    return WrittenSheet(plate_key, tuple(paths), len(plain.rows), len(plain.image_ids), findings)


def _write_nf_core(
    plates: Iterable[tuple[str, pa.Table]], path: Path, options: SheetOptions
) -> tuple[WrittenSheet, ...]:
    written: list[WrittenSheet] = []
    with ExitStack() as stack:
        staged = stack.enter_context(replace_when_done(path))
        _write_csv(staged, COLUMNS, _stream_nf_core(plates, options, str(path), written))
    return tuple(written)


def _stream_nf_core(
    plates: Iterable[tuple[str, pa.Table]], options: SheetOptions, path: str, written: list[WrittenSheet]
) -> Iterable[Sequence[Sequence[str]]]:
    for plate_key, images in plates:
        listed = list_planes(images)
        sheet: Sheet = build_nf_core(listed.planes, _fill(options, listed.planes))
        findings = (*listed.findings, *sheet.findings)
        paths = (path,) if sheet.rows else ()
        written.append(WrittenSheet(plate_key, paths, len(sheet.rows), len(sheet.image_ids), findings))
        yield sheet.rows


def _fill(options: SheetOptions, planes: Sequence[Plane]) -> SheetOptions:
    """Batch and source of a plate in a gallery, where none is given."""
    place = find_gallery_place(planes[0].uri) if planes else None
    if place is None:
        return options
    return replace(options, batch=options.batch or place.batch, source=options.source or place.source)


def _write_csv(path: Path, columns: Sequence[str], parts: Iterable[Iterable[Sequence[str]]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for rows in parts:
            writer.writerows(rows)
