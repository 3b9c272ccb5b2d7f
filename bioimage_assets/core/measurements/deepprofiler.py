"""DeepProfiler's ``.npz`` files, one per field of view, become one stream of cells with their embeddings.

A file holds ``features`` (cells × dimensions), ``locations`` (cells × 2: x, y of the nucleus centre in
pixels) and ``metadata`` (a dictionary, with ``Metadata_Model``). https://cytomining.github.io/DeepProfiler-handbook/
Features are called as pycytominer calls them, ``<model>_<i>``; ``DeepProfiler_<i>`` where no model is named.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import join_names
from bioimage_assets.core.measurements.measured_twice import (
    MeasuredImage,
    build_place,
    choose_images,
    image_files,
    is_file_column,
    tells_images_apart,
)
from bioimage_assets.core.measurements.model import PlateContext, PlateMeasurements
from bioimage_assets.core.measurements.positions import check_plate_names, parse_position
from bioimage_assets.core.model.identity import normalize_well
from bioimage_assets.core.tables.feature_columns import COMPARTMENT_PREFIXES, NO_FEATURE_PREFIXES

FEATURE_PREFIX = "DeepProfiler_"
MODEL_KEYS = ("Metadata_Model", "Model")
MAX_METADATA_BYTES = 1 << 20
_IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".npy")
_SITE = re.compile(r"s(?P<site>\d+)")
# What a pickled dictionary of numpy scalars and strings needs; nothing else is ever built from a file.
_SAFE_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
    ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NpzFile:
    """One ``.npz``: its name below the source, cells, dimensions, and metadata as text."""

    path: str
    name: str
    cell_count: int
    dimensions: int
    metadata: dict[str, str | None]

    @property
    def model(self) -> str | None:
        """The model that made the features, as the file names it."""
        return next((self.metadata[key] for key in MODEL_KEYS if self.metadata.get(key)), None)


class _PlainUnpickler(pickle.Unpickler):
    """Reads dictionaries of plain values and refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in _SAFE_GLOBALS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"refused to build {module}.{name}")


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
            files.append(inspect_npz(path, name))
        except MeasurementError as error:
            findings.append(Finding("unreadable-file", "error", name, str(error), path))
    if not files:
        raise MeasurementError(
            f"{context.plate_key}: none of the {len(paths)} .npz file(s) can be read: {findings[0].message}"
        )
    files, odd_models = _keep_one_model(files)
    findings += odd_models
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


def inspect_npz(path: str, name: str) -> NpzFile:
    """Read shapes and metadata of one file, not its features; MeasurementError where it is no DeepProfiler file."""
    try:
        with zipfile.ZipFile(path) as archive:
            with archive.open("features.npy") as handle:
                shape, _, _ = _read_header(handle)
            metadata = _read_metadata(archive) if "metadata.npy" in archive.namelist() else {}
    except (
        OSError,
        KeyError,
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        pickle.UnpicklingError,
    ) as error:
        raise MeasurementError(f"{path}: not a DeepProfiler file: {error}.") from error
    if len(shape) not in (1, 2):
        raise MeasurementError(f"{path}: features have {len(shape)} axes, expected cells × dimensions.")
    cells, dimensions = (shape[0], shape[1]) if len(shape) == 2 else (0 if shape[0] == 0 else 1, shape[0])
    return NpzFile(path, name, cells, dimensions, metadata)


def _read_header(handle: object) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(handle)  # type: ignore[arg-type]
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(handle)  # type: ignore[arg-type]
    return np.lib.format.read_array_header_2_0(handle)  # type: ignore[arg-type]


def _read_metadata(archive: zipfile.ZipFile) -> dict[str, str | None]:
    if archive.getinfo("metadata.npy").file_size > MAX_METADATA_BYTES:
        raise ValueError(f"metadata are larger than {MAX_METADATA_BYTES} bytes")
    handle = io.BytesIO(archive.read("metadata.npy"))
    _read_header(handle)
    content = _PlainUnpickler(handle).load()
    content = content.item() if isinstance(content, np.ndarray) and content.shape == () else content
    if not isinstance(content, dict):
        return {}
    return {str(key): _as_text(value) for key, value in content.items()}


def _as_text(value: object) -> str | None:
    """Metadata are text; a NaN is how pandas left an empty cell."""
    is_missing = value is None or value == "" or (isinstance(value, float) and value != value)
    return None if is_missing else str(value)


def build_npz_images(files: Sequence[NpzFile], context: PlateContext) -> tuple[pa.Table, list[Finding]]:
    """One row per file: position, file names by channel, other metadata, and the number of nuclei."""
    rows: list[dict[str, str | int | None]] = []
    renamed = 0
    for file in files:
        row: dict[str, str | int | None] = dict.fromkeys(("Metadata_Plate", "Metadata_Well", "Metadata_Site"))
        for key, value in file.metadata.items():
            name = key if key.startswith("Metadata_") else f"Metadata_{key}"
            if value and value.lower().endswith(_IMAGE_SUFFIXES):
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
    apart = [name for name in images.column_names if tells_images_apart(name, context)]
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
    """One batch per file."""
    rows = images.to_pylist()
    for file, row in zip(files, rows, strict=True):
        if not file.cell_count:
            continue
        try:
            with np.load(file.path, allow_pickle=False) as archive:
                features = np.atleast_2d(archive["features"]).astype(np.float64)
                locations = archive["locations"].astype(np.float64) if "locations" in archive.files else None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise MeasurementError(
                f"{file.path}: features cannot be read: {error}. Was it replaced meanwhile?"
            ) from error
        if features.shape != (file.cell_count, file.dimensions):
            raise MeasurementError(
                f"{file.path}: expected {file.cell_count} × {file.dimensions} features as its header said, found "
                f"{' × '.join(map(str, features.shape))}. Was it replaced meanwhile?"
            )
        yield _build_batch(file, row, features, locations, schema)


def _build_batch(
    file: NpzFile,
    row: dict[str, str | None],
    features: np.ndarray,
    locations: np.ndarray | None,
    schema: pa.Schema,
) -> pa.RecordBatch:
    count = len(features)
    if locations is None or locations.shape != (count, 2):
        locations = np.full((count, 2), np.nan)
    stem = str(Path(file.name).with_suffix("").as_posix())
    values: dict[str, pa.Array] = {
        "Metadata_ObjectID": pa.array(
            [f"{row['plate_key']}/{stem}/{i + 1}" for i in range(count)], pa.string()
        ),
        "Metadata_ObjectNumber": pa.array(range(1, count + 1), pa.int64()),
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
