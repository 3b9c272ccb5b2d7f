"""A warehouse root becomes a data source of BioFile Finder: one Parquet and one CSV file with all images of its plates.

Written when it is asked for. BioFile Finder opens one file, so that each change of a plate would have to write the rows of all plates;
replacing a plate in the root stays as cheap as it is. Plates are read one after the other, in bounded memory.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from bioimage_assets.core.errors import MissingTableError, UsageError
from bioimage_assets.core.parquet_checksums import open_parquet, open_parquet_writer, write_parquet_table
from bioimage_assets.core.scratch import open_scratch, replace_when_done
from bioimage_assets.core.stores.open import local_path
from bioimage_assets.core.tables.biofile_finder import (
    COLUMNS,
    CellCount,
    FileFacts,
    PlateFacts,
    build_rows,
    list_paths,
)
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS
from bioimage_assets.core.warehouse.root import Warehouse

PARQUET_NAME, CSV_NAME = "biofile_finder.parquet", "biofile_finder.csv"
DESCRIPTION_NAME = "biofile_finder_columns.csv"
_FAILED = "Metadata_cqc_failed"
# Columns of well profiles that say how they were made, not what is in the well.
_NOT_IN_A_PLATEMAP = (
    "Metadata_Plate",
    "Metadata_Well",
    "Metadata_Site",
    "Metadata_Normalized_To",
    "Metadata_Object_Count",
    "Metadata_QC_Failed_Count",
)
# Addresses of pictures by image, of the images of one plate.
MakeThumbnails = Callable[[str, pa.Table], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class BiofileManifest:
    """What was written."""

    parquet_path: str
    csv_path: str
    plate_count: int
    row_count: int


def write_biofile_manifest(
    warehouse: Warehouse, folder: str | Path, browse_url: str, make_thumbnails: MakeThumbnails | None = None
) -> BiofileManifest:
    """Write the data source of all plates that the root holds images of; each file appears whole.

    The same root gives the same bytes. A plate that has left the root is gone from the next manifest.

    Raises
    ------
    MissingTableError
        The root holds no images.
    UsageError
        The folder cannot be written.
    """
    plates = warehouse.partitions_with_rows("image_assets") if warehouse.has_table("image_assets") else ()
    if not plates:
        raise MissingTableError(
            f"The root {warehouse.root} holds no table image_assets. Build the asset cytomining_warehouse, or run "
            "'bioimage-assets export-cytomining-catalog', first."
        )
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{target} cannot be made: {error.strerror or error}.") from error
    with open_scratch() as scratch:
        further: set[str] = set()
        count = 0
        staged = [scratch / f"{number}.parquet" for number in range(len(plates))]
        for plate_key, path in zip(plates, staged, strict=True):
            rows = _read_plate(warehouse, plate_key, browse_url, make_thumbnails)
            further |= {name for name in rows.column_names if name not in COLUMNS}
            count += rows.num_rows
            write_parquet_table(rows, path)
        _write_files(target, staged, _schema(sorted(further)))
    return BiofileManifest(str(target / PARQUET_NAME), str(target / CSV_NAME), len(plates), count)


def _schema(further: Sequence[str]) -> pa.Schema:
    own = [(name, kind) for name, (kind, _) in COLUMNS.items()]
    return pa.schema([*own, *((name, pa.string()) for name in further)])


def _write_files(target: Path, staged: Sequence[Path], schema: pa.Schema) -> None:
    with (
        replace_when_done(target / PARQUET_NAME) as parquet_path,
        replace_when_done(target / CSV_NAME) as csv_path,
        open_parquet_writer(parquet_path, schema) as parquet,
        pa_csv.CSVWriter(csv_path, schema) as text,
    ):
        for path in staged:
            with open_parquet(path) as file:
                rows = _conform(file.read(), schema)
            parquet.write_table(rows)
            text.write_table(rows)
        parquet.close()
        text.close()
    described = [(name, text) for name, (_, text) in COLUMNS.items()]
    described += [(name, "Column of the platemap.") for name in schema.names if name not in COLUMNS]
    names, texts = zip(*described, strict=True)
    with replace_when_done(target / DESCRIPTION_NAME) as path:
        pa_csv.write_csv(pa.table({"Column Name": names, "Description": texts}), path)


def _conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        rows[field.name] if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _read_plate(
    warehouse: Warehouse, plate_key: str, browse_url: str, make_thumbnails: MakeThumbnails | None
) -> pa.Table:
    images = _read_images(warehouse, plate_key)
    facts = PlateFacts(
        cells=_count_cells(warehouse, plate_key),
        wells=_read_wells(warehouse, plate_key),
        thumbnails={} if make_thumbnails is None else make_thumbnails(plate_key, images),
        files={path: _look_at(path) for path in list_paths(images)},
    )
    return build_rows(images, facts, browse_url)


def _read_images(warehouse: Warehouse, plate_key: str) -> pa.Table:
    """Rows with the declared columns; those that an older root lacks are null."""
    stored = set(warehouse.schema("image_assets").names)
    rows = warehouse.read(
        "image_assets",
        columns=[name for name in IMAGE_ASSETS.names if name in stored],
        plate_keys=[plate_key],
    )
    for field in IMAGE_ASSETS:
        if field.name not in rows.column_names:
            rows = rows.append_column(field.name, pa.nulls(rows.num_rows, field.type))
    return rows


def _count_cells(warehouse: Warehouse, plate_key: str) -> dict[str, CellCount]:
    measured: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for batch in _stream(warehouse, "joined_profiles", plate_key, ["image_id"]):
        _add(measured, batch["image_id"])
    for batch in _stream(warehouse, "cosmicqc_profiles", plate_key, ["image_id", _FAILED]):
        _add(judged, batch["image_id"])
        is_passed = pc.invert(pc.fill_null(pc.cast(batch[_FAILED], pa.bool_()), True))
        _add(passed, batch["image_id"].filter(is_passed))
    return {image: CellCount(count, judged[image], passed[image]) for image, count in measured.items()}


def _add(counts: Counter[str], images: pa.Array) -> None:
    for found in pc.value_counts(images.drop_null()).to_pylist():
        counts[found["values"]] += found["counts"]


def _stream(
    warehouse: Warehouse, name: str, plate_key: str, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    if not warehouse.find_partitions(name, [plate_key]):
        return
    schema = warehouse.dataset(name, plate_keys=[plate_key]).schema
    if set(columns) <= set(schema.names):
        yield from warehouse.batches(name, columns=list(columns), plate_keys=[plate_key])


def _read_wells(warehouse: Warehouse, plate_key: str) -> dict[str, dict[str, str]]:
    """Columns of the platemap by well; where a well has several profiles, the different values with commas between."""
    name = "pycytominer_profiles"
    if not warehouse.find_partitions(name, [plate_key]):
        return {}
    schema = warehouse.dataset(name, plate_keys=[plate_key]).schema
    wanted = [
        field.name for field in schema if field.name.startswith("Metadata_") and _is_of_a_platemap(field)
    ]
    rows = warehouse.read(name, columns=["well_id", *wanted], plate_keys=[plate_key])
    found: dict[str, dict[str, dict[str, None]]] = {}
    for row in rows.to_pylist():
        for column in wanted if row["well_id"] is not None else ():
            if row[column] is not None:
                found.setdefault(row["well_id"], {}).setdefault(column, {})[_spell(row[column])] = None
    return {
        well: {column: ",".join(texts) for column, texts in values.items()} for well, values in found.items()
    }


def _is_of_a_platemap(field: pa.Field) -> bool:
    is_plain = (
        pa.types.is_string(field.type) or pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
    )
    return is_plain and field.name not in _NOT_IN_A_PLATEMAP


def _spell(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _look_at(path: str) -> FileFacts:
    """Size and time of a local file; nothing of one in an object store, or gone."""
    local = local_path(path)
    if local is None:
        return FileFacts()
    try:
        info = os.stat(local)
    except OSError:
        return FileFacts()
    return FileFacts(info.st_size, info.st_mtime)
