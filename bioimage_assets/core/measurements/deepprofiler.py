"""Reads DeepProfiler's ``.npz`` files, one per field of view: one row per cell with its embedding.

A file holds ``features`` (cells × dimensions), ``locations`` (cells × 2: x, y of the nucleus centre in
pixels) and ``metadata`` (a dictionary, with ``Metadata_Model``). https://cytomining.github.io/DeepProfiler-handbook/
Features are called as pycytominer calls them, ``<model>_<i>``; ``DeepProfiler_<i>`` where no model is named.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import join_names
from bioimage_assets.core.measurements.duckdb_engine import window_rows
from bioimage_assets.core.measurements.limits import DEFAULT_LIMITS, MeasurementLimits
from bioimage_assets.core.measurements.measured_twice import (
    MeasuredImage,
    build_place,
    choose_images,
    image_files,
    is_file_column,
    is_image_identity_column,
)
from bioimage_assets.core.measurements.model import PlateContext, PlateMeasurements
from bioimage_assets.core.measurements.npz_arrays import ArrayHeader, NpzArchive, open_npz
from bioimage_assets.core.measurements.pickled_text import MAX_PICKLE_BYTES, read_pickled_dictionary
from bioimage_assets.core.measurements.positions import check_plate_names, parse_position
from bioimage_assets.core.model.compartments import COMPARTMENT_PREFIXES
from bioimage_assets.core.model.file_kinds import IMAGE_FILE_SUFFIXES, has_suffix
from bioimage_assets.core.model.identity import normalize_well
from bioimage_assets.core.tables.feature_columns import NO_FEATURE_PREFIXES

FEATURE_PREFIX = "DeepProfiler_"
MODEL_KEYS = ("Metadata_Model", "Model")
_SITE = re.compile(r"s(?P<site>\d+)")


@dataclass(frozen=True, slots=True)
class NpzFile:
    """One ``.npz``: its name below the source, cells, dimensions, metadata as text, and what of it is not read."""

    path: str
    name: str
    cell_count: int
    dimensions: int
    metadata: dict[str, str | None]
    has_locations: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def model(self) -> str | None:
        """The model that made the features, as the file names it."""
        return next((self.metadata[key] for key in MODEL_KEYS if self.metadata.get(key)), None)


def read_deepprofiler(paths: Sequence[tuple[str, str]], context: PlateContext) -> PlateMeasurements:
    """Read the ``.npz`` files of one plate, given as (path, name below the source).

    Headers and metadata are read first, features when the stream is consumed, one file at a time. A file
    that cannot be read, has another number of dimensions or is of another model than the first, is an error
    finding and its cells are left out.
    """
    files: list[NpzFile] = []
    findings: list[Finding] = []
    for path, name in paths:
        try:
            files.append(inspect_npz(path, name, context.limits))
        except MeasurementError as error:
            findings.append(Finding("unreadable-file", "error", name, str(error), path))
    if not files:
        raise MeasurementError(
            f"{context.plate_key}: none of the {len(paths)} .npz file(s) can be read: {findings[0].message}"
        )
    findings += _list_left_out(files)
    files, odd_models = _keep_one_model(files)
    findings += odd_models
    # Files of fields without cells have arrays of no dimension.
    width = next((file.dimensions for file in files if file.cell_count), files[0].dimensions)
    odd = [file for file in files if file.cell_count and file.dimensions != width]
    if odd:
        text = f"{join_names(f.name for f in odd)}: other than {width} dimensions; their cells are left out."
        findings.append(Finding("different-dimensions", "error", odd[0].name, text))
        files = [file for file in files if file not in odd]
    files = _name_apart(files)
    image_table, more = build_npz_images(files, context)
    findings += more
    choice = choose_images(_list_measured(files, image_table, context), context)
    findings += choice.findings
    image_table = image_table.filter(pa.array(choice.kept, pa.bool_()))
    files = [file for file, stays in zip(files, choice.kept, strict=True) if stays]
    carried = image_table.select([n for n in image_table.column_names if n not in ("Image_Count_Nuclei",)])
    schema = _cell_schema(carried.schema, width, name_prefix(files[0].model))
    reader = pa.RecordBatchReader.from_batches(schema, _stream(files, carried, schema))
    rows = sum(file.cell_count for file in files)
    return PlateMeasurements(
        reader, rows, tuple(findings), image_table, tuple(file.path for file in files), "deepprofiler"
    )


def _keep_one_model(files: list[NpzFile]) -> tuple[list[NpzFile], list[Finding]]:
    """The files of the first file's model: a cell that two models saw would count twice, each with half its features."""
    others = [file for file in files if file.model != files[0].model]
    if not others:
        return files, []
    models = join_names(dict.fromkeys(file.model or "none" for file in others))
    text = (
        f"{len(others)} file(s) are of other models ({models}) than {files[0].model or 'none'} of {files[0].name}: {join_names(f.name for f in others)}. "
        "Their cells are left out; give each model a dataset of its own."
    )
    return [f for f in files if f not in others], [Finding("several-models", "error", others[0].name, text)]


def name_prefix(model: str | None) -> str:
    """What feature columns begin with: the model's name, so that no other rule takes them for something else."""
    if model is None:
        return FEATURE_PREFIX
    prefix = re.sub(r"[^\w.+-]+", "_", model.strip()).strip("_") + "_"
    if prefix == "_" or prefix.startswith((*COMPARTMENT_PREFIXES, *NO_FEATURE_PREFIXES)):
        return f"{FEATURE_PREFIX}{prefix.lstrip('_')}"
    return prefix


def _name_apart(files: Sequence[NpzFile]) -> list[NpzFile]:
    """Files of one name below several sources get names of their own, since ids are built of them."""
    seen: Counter[str] = Counter()
    named = []
    for file in files:
        seen[file.name] += 1
        count = seen[file.name]
        named.append(file if count == 1 else replace(file, name=f"{count}/{file.name}"))
    return named


def inspect_npz(path: str, name: str, limits: MeasurementLimits = DEFAULT_LIMITS) -> NpzFile:
    """Read shapes and metadata of one file, not its features; MeasurementError where it is not a DeepProfiler file."""
    with open_npz(path) as archive:
        header = archive.read_header("features")
        if len(header.shape) not in (1, 2):
            raise ValueError(f"features have {len(header.shape)} axes, expected cells × dimensions")
        cells, dimensions = (
            header.shape if len(header.shape) == 2 else (min(1, header.shape[0]), header.shape[0])
        )
        _check_size(header, cells, dimensions, limits)
        metadata: dict[str, str | None] = {}
        has_locations = False
        left_out: list[str] = []
        if "metadata" in archive.names:
            found = _read_metadata(archive)
            metadata = found or {}
            left_out += ["metadata, which are no dictionary"] if found is None else []
        if "locations" in archive.names:
            places = archive.read_header("locations")
            has_locations = places.is_numeric and places.shape == (cells, 2)
            if not has_locations and cells:
                shape = " × ".join(map(str, places.shape))
                left_out.append(
                    f"locations, which are {shape} values of type {places.descr!r} and not {cells} × 2 numbers"
                )
    return NpzFile(path, name, cells, dimensions, metadata, has_locations, tuple(left_out))


def _check_size(header: ArrayHeader, cells: int, dimensions: int, limits: MeasurementLimits) -> None:
    for found, most, what in (
        (dimensions, limits.max_columns, "dimensions"),
        (cells, limits.max_cells_per_field, "cells"),
        (header.value_bytes, limits.max_array_bytes, "bytes of features"),
    ):
        if found > most:
            raise ValueError(f"expected at most {most} {what} in one field of view, found {found}")


def _read_metadata(archive: NpzArchive) -> dict[str, str | None] | None:
    """The dictionary of the metadata as text; None where they are something else."""
    header = archive.read_header("metadata")
    if header.descr not in ("|O", "O"):
        return None
    return read_pickled_dictionary(archive.read_rest(header, MAX_PICKLE_BYTES))


def _list_left_out(files: Sequence[NpzFile]) -> list[Finding]:
    odd = [file for file in files if file.left_out]
    if not odd:
        return []
    text = (
        f"{len(odd)} file(s) hold parts that are not read: {odd[0].name} has {' and '.join(odd[0].left_out)}. Without metadata the "
        "file's name gives well and site, without locations the cells have no place in the image."
    )
    return [Finding("npz-not-read", "warning", odd[0].name, text, odd[0].path)]


def build_npz_images(files: Sequence[NpzFile], context: PlateContext) -> tuple[pa.Table, list[Finding]]:
    """One row per file: position, file names by channel, other metadata, and the number of nuclei."""
    rows: list[dict[str, str | int | None]] = []
    renamed = 0
    for file in files:
        row: dict[str, str | int | None] = dict.fromkeys(("Metadata_Plate", "Metadata_Well", "Metadata_Site"))
        for key, value in file.metadata.items():
            name = key if key.startswith("Metadata_") else f"Metadata_{key}"
            if value and has_suffix(value, IMAGE_FILE_SUFFIXES):
                location = PurePosixPath(value.replace("\\", "/"))
                row[f"Image_FileName_{key}"] = location.name
                row[f"Image_PathName_{key}"] = str(location.parent)
            else:
                row[name] = value
        row = _complete_position(row, file, context)
        if match := _SITE.fullmatch(str(row["Metadata_Site"] or "")):
            row["Metadata_Site"] = match["site"]
            renamed += 1
        rows.append({**row, "Metadata_NPZSource": file.name, "Image_Count_Nuclei": file.cell_count})
    names = list(dict.fromkeys(name for row in rows for name in row if name != "Image_Count_Nuclei"))
    columns: dict[str, pa.Array] = {
        "plate_key": pa.array([context.plate_key] * len(rows), pa.string()),
        "dataset_id": pa.array([context.dataset_id] * len(rows), pa.string()),
        **{name: pa.array([row.get(name) for row in rows], pa.string()) for name in names},
        "Image_Count_Nuclei": pa.array([row["Image_Count_Nuclei"] for row in rows], pa.int64()),
    }
    table = pa.table(columns)
    findings = check_plate_names(table["Metadata_Plate"].to_pylist(), context)
    if renamed:
        text = f"Sites of {renamed} file(s) are written like 's1'; the number is used."
        findings.append(Finding("site-prefix", "info", "Metadata_Site", text))
    return table, findings


def _list_measured(files: Sequence[NpzFile], images: pa.Table, context: PlateContext) -> list[MeasuredImage]:
    """Each file as the analysis of one field."""
    apart = [name for name in images.column_names if is_image_identity_column(name, context)]
    named = [name for name in images.column_names if is_file_column(name)]
    measured = []
    for file, row in zip(files, images.to_pylist(), strict=True):
        plate, well, site = (row[f"Metadata_{part}"] for part in ("Plate", "Well", "Site"))
        place = build_place(plate, well, site, [(name, row[name]) for name in apart], context)
        shown = image_files((name, row[name]) for name in named)
        measured.append(MeasuredImage(place, file.name, file.cell_count, shown, source=file.path))
    return measured


def _complete_position(
    row: dict[str, str | int | None], file: NpzFile, context: PlateContext
) -> dict[str, str | int | None]:
    """Fill a missing position from the file's own name (``A01_5.npz``, ``A01/5.npz``) and the plate that is read."""
    if row["Metadata_Well"] is None or row["Metadata_Site"] is None:
        named = parse_position(file.name, context.settings.file_pattern)
        stem = PurePosixPath(file.name).stem
        simple = re.fullmatch(r"(?P<well>[A-Za-z]{1,2}\d{1,2})[_-](?P<site>\w+)", stem)
        well, site = (simple["well"], simple["site"]) if simple else _folder_position(file.name)
        row["Metadata_Well"] = row["Metadata_Well"] or named["well"] or well
        row["Metadata_Site"] = row["Metadata_Site"] or named["site"] or site
    row["Metadata_Plate"] = row["Metadata_Plate"] or context.plate_name
    return row


def _folder_position(name: str) -> tuple[str | None, str | None]:
    """Well and site of ``<plate>/<well>/<site>.npz``, as DeepProfiler lays its files out."""
    parts = PurePosixPath(name).with_suffix("").parts
    well = normalize_well(parts[-2]) if len(parts) > 1 else None
    return (None, None) if well is None else (well, parts[-1])


def _cell_schema(image_schema: pa.Schema, width: int, prefix: str) -> pa.Schema:
    keys = ["plate_key", "dataset_id"]
    rest = [field for field in image_schema if field.name not in keys]
    fields = [pa.field(name, pa.string()) for name in (*keys, "Metadata_ObjectID")]
    fields += [*rest, pa.field("Metadata_ObjectNumber", pa.int64())]
    fields += [pa.field(f"Nuclei_Location_Center_{axis}", pa.float64()) for axis in "XY"]
    return pa.schema([*fields, *(pa.field(f"{prefix}{i}", pa.float64()) for i in range(width))])


def _stream(files: Sequence[NpzFile], images: pa.Table, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The cells of one file after another, a block of rows at a time."""
    for file, row in zip(files, images.to_pylist(), strict=True):
        if not file.cell_count:
            continue
        with open_npz(file.path) as archive:
            header = archive.read_header("features")
            if header.shape not in ((file.cell_count, file.dimensions), (file.dimensions,)):
                raise MeasurementError(
                    f"{file.path}: expected {file.cell_count} × {file.dimensions} features as its header said, found "
                    f"{' × '.join(map(str, header.shape))}. Was it replaced meanwhile?"
                )
            locations = _read_locations(archive, file)
            start = 0
            for features in archive.read_blocks(
                header, file.cell_count, file.dimensions, window_rows(file.dimensions)
            ):
                stop = start + len(features)
                yield _build_batch(file, row, features, locations[start:stop], start, schema)
                start = stop


def _read_locations(archive: NpzArchive, file: NpzFile) -> np.ndarray:
    """x and y of each cell, NaN where the file has none."""
    if not file.has_locations:
        return np.full((file.cell_count, 2), np.nan)
    header = archive.read_header("locations")
    if header.shape != (file.cell_count, 2):
        raise MeasurementError(
            f"{file.path}: expected {file.cell_count} × 2 locations as its header said, found {header.shape}. Was it replaced meanwhile?"
        )
    return np.concatenate(list(archive.read_blocks(header, file.cell_count, 2, file.cell_count)))


def _build_batch(
    file: NpzFile,
    row: dict[str, str | None],
    features: np.ndarray,
    locations: np.ndarray,
    start: int,
    schema: pa.Schema,
) -> pa.RecordBatch:
    """One block of a file's cells, of which ``start`` came before."""
    count = len(features)
    features, locations = features.astype(np.float64), locations.astype(np.float64)
    stem = str(Path(file.name).with_suffix("").as_posix())
    values: dict[str, pa.Array] = {
        "Metadata_ObjectID": pa.array(
            [f"{row['plate_key']}/{stem}/{start + i + 1}" for i in range(count)], pa.string()
        ),
        "Metadata_ObjectNumber": pa.array(range(start + 1, start + count + 1), pa.int64()),
        "Nuclei_Location_Center_X": pa.array(locations[:, 0], from_pandas=True),
        "Nuclei_Location_Center_Y": pa.array(locations[:, 1], from_pandas=True),
        **{
            name: pa.array(features[:, i])
            for i, name in enumerate(schema.names[len(schema) - features.shape[1] :])
        },
    }
    arrays = [
        values[field.name] if field.name in values else pa.array([row[field.name]] * count, field.type)
        for field in schema
    ]
    return pa.record_batch(arrays, schema=schema)
