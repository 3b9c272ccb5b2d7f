"""Turns chosen cells into a plan: one row per cell with its window, in the order in which stored pieces are read once.

The plan is a Parquet file in a scratch folder, sorted by DuckDB, which spills to disk: cells are never all in memory.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.errors import BioimageError, UsageError
from bioimage_assets.core.joins.sources import ProfileSource
from bioimage_assets.core.parquet_checksums import open_parquet, open_parquet_writer
from bioimage_assets.core.pixels.boxes import find_box_columns, is_box_column
from bioimage_assets.core.pixels.crop_export.cut import BAND_PX
from bioimage_assets.core.pixels.crop_export.images import PlateImages, has_planes
from bioimage_assets.core.pixels.crop_export.options import CropExport
from bioimage_assets.core.pixels.crop_export.windows import read_windows
from bioimage_assets.core.pixels.locate import OBJECT_ID_COLUMN, CropChoice, with_planes
from bioimage_assets.core.pixels.planes import is_plane_column
from bioimage_assets.core.sql import quote_identifier
from bioimage_assets.core.sql_files import parquet_relation

KEYS = ("dataset_id", "plate_key", "plate_id", "well_id", "site_id", "image_id", OBJECT_ID_COLUMN)
QC_FAILED = "Metadata_cqc_failed"
_MEMORY = "512MB"  # of the sort; more goes to the scratch folder
_SORT = (
    f"plate_key NULLS FIRST, dataset_id NULLS FIRST, image_id NULLS FIRST, t NULLS FIRST, z NULLS FIRST, "
    f"floor(y_start / {BAND_PX}), x_start, y_start, {quote_identifier(OBJECT_ID_COLUMN)} NULLS FIRST, row"
)


@dataclass(frozen=True, slots=True)
class CropPlan:
    """A sorted plan: its file, its rows, what it says as a digest, and the rows of each part of the export.

    A part holds rows of one plate: (plate key, first row, row after the last). ``group_starts`` are the first rows of the
    file's row groups.
    """

    path: Path
    count: int
    digest: str
    group_starts: tuple[int, ...]
    parts: tuple[tuple[str | None, int, int], ...]


def plan_crops(cells: ProfileSource, images: PlateImages, export: CropExport, scratch: Path) -> CropPlan:
    """Write the plan of all cells into ``scratch``.

    Raises
    ------
    UsageError
        The cells lack their ids or a column that is to be carried along, or an id comes twice.
    ContractError
        The cells have neither boxes nor centres.
    """
    staged = scratch / "cells.parquet"
    schema = _plan_schema(cells, export)
    with open_parquet_writer(staged, schema) as writer:
        first = 0
        for batch in _read_batches(cells, export):
            writer.write_batch(_plan_batch(batch, images, export, schema, first))
            first += batch.num_rows
    with duckdb.connect(
        config={"temp_directory": str(scratch / "sorting"), "memory_limit": _MEMORY}
    ) as connection:
        _require_unique(connection, staged)
        return _sort(connection, staged, scratch / "plan.parquet", schema, export)


def _read_batches(cells: ProfileSource, export: CropExport) -> Iterator[pa.RecordBatch]:
    names = cells.schema.names
    missing = [name for name in (OBJECT_ID_COLUMN, "image_id", *export.carry) if name not in names]
    if missing:
        raise UsageError(
            f"The chosen cells have no column {', '.join(missing)}; rows of joined_profiles are expected."
        )
    wanted = {*KEYS, QC_FAILED, *export.carry}
    yield from cells.batches(
        [
            at
            for at, name in enumerate(names)
            if name in wanted or is_box_column(name) or is_plane_column(name)
        ]
    )


def _plan_schema(cells: ProfileSource, export: CropExport) -> pa.Schema:
    number, text = pa.int32(), pa.string()
    carried = []
    for name in export.carry:
        if name in KEYS or name not in cells.schema.names:
            continue
        field = cells.schema.field(name)
        if pa.types.is_nested(field.type):
            raise UsageError(f"Column {name!r} is {field.type}; only plain columns are carried along.")
        carried.append(pa.field(f"carried_{name}", field.type))
    return pa.schema(
        [
            ("row", pa.int64()),
            *((name, text) for name in KEYS),
            *((name, number) for name in ("y_start", "x_start", "z", "t")),
            *((name, number) for name in ("box_y_start", "box_y_stop", "box_x_start", "box_x_stop")),
            ("qc_passed", pa.bool_()),
            ("reason_code", text),
            ("reason", text),
            *carried,
        ]
    )


def _plan_batch(
    batch: pa.RecordBatch, images: PlateImages, export: CropExport, schema: pa.Schema, first: int
) -> pa.RecordBatch:
    names = batch.schema.names
    count = batch.num_rows
    keys = {
        name: pc.cast(batch[name], pa.string()) if name in names else pa.nulls(count, pa.string())
        for name in KEYS
    }
    columns = find_box_columns(names, export.compartment)
    windows = read_windows(batch, columns, export.size_px)
    reasons: list[tuple[str, str] | None] = [
        None
        if placed
        else (
            "no-place",
            f"The row has no finite number in each of {', '.join(columns.names)}: it is not known where the cell is.",
        )
        for placed in windows.is_placed
    ]
    z, t = _plan_planes(batch, keys, images, export, reasons)
    box = dict(zip(("box_y_start", "box_y_stop", "box_x_start", "box_x_stop"), windows.box.T, strict=True))
    no_box = np.logical_not(windows.is_placed & windows.has_box)
    parts: dict[str, pa.Array] = {
        "row": pa.array(np.arange(first, first + count), pa.int64()),
        **keys,
        "y_start": pa.array(windows.y_start),
        "x_start": pa.array(windows.x_start),
        "z": pa.array(z, pa.int32()),
        "t": pa.array(t, pa.int32()),
        **{name: pa.array(np.ascontiguousarray(values), mask=no_box) for name, values in box.items()},
        "qc_passed": _passed(batch),
        "reason_code": pa.array([one and one[0] for one in reasons], pa.string()),
        "reason": pa.array([one and one[1] for one in reasons], pa.string()),
    }
    arrays = [
        parts[field.name] if field.name in parts else batch[field.name.removeprefix("carried_")]
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _passed(batch: pa.RecordBatch) -> pa.Array:
    if QC_FAILED not in batch.schema.names:
        return pa.nulls(batch.num_rows, pa.bool_())
    return pc.invert(pc.cast(batch[QC_FAILED], pa.bool_()))


def _plan_planes(
    batch: pa.RecordBatch,
    keys: Mapping[str, pa.Array],
    images: PlateImages,
    export: CropExport,
    reasons: list[tuple[str, str] | None],
) -> tuple[list[int | None], list[int | None]]:
    """Planes of each row, and in ``reasons`` why a row can have none."""
    place = [keys[name].to_pylist() for name in ("plate_key", "dataset_id", "image_id")]
    said = batch.select([name for name in batch.schema.names if is_plane_column(name)])
    chosen = CropChoice(z=export.z, t=export.t)
    planes: list[CropChoice] = []
    for number, (plate, dataset, image) in enumerate(zip(*place, strict=True)):
        planes.append(chosen)
        if reasons[number] is not None:
            continue
        if image is None:
            reasons[number] = ("no-image", "The cell is linked to no image.")
            continue
        try:
            geometry = images.find(plate, dataset, image)
            if has_planes(geometry):
                planes[-1] = with_planes(chosen, said.slice(number, 1).to_pylist()[0], geometry)
        except BioimageError as error:
            reasons[number] = (
                "image-unknown" if isinstance(error, LookupError) else "not-possible",
                str(error),
            )
    return [one.z for one in planes], [one.t for one in planes]


def _require_unique(connection: duckdb.DuckDBPyConnection, staged: Path) -> None:
    object_id = quote_identifier(OBJECT_ID_COLUMN)
    unnamed = connection.execute(
        f"SELECT count(*) FROM {parquet_relation([staged])} WHERE {object_id} IS NULL"
    ).fetchone()
    if unnamed is not None and unnamed[0]:
        raise UsageError(
            f"{unnamed[0]} chosen cells have no {OBJECT_ID_COLUMN}; nothing would tell them apart."
        )
    twice = connection.execute(
        f"SELECT {object_id}, count(*) FROM {parquet_relation([staged])} GROUP BY ALL HAVING count(*) > 1 "
        "ORDER BY ALL LIMIT 1"
    ).fetchone()
    if twice is not None:
        raise UsageError(
            f"Cell {twice[0]!r} was chosen {twice[1]} times; each may come once. Let the query give DISTINCT cells."
        )


def _sort(
    connection: duckdb.DuckDBPyConnection, staged: Path, target: Path, schema: pa.Schema, export: CropExport
) -> CropPlan:
    names = [name for name in schema.names if name != "row"]
    kept = pa.schema([schema.field(name) for name in names])
    digest = _Digest(names)
    ends: list[tuple[str | None, int]] = []
    starts: list[int] = []
    count = 0
    listed = ", ".join(quote_identifier(name) for name in names)
    result = connection.execute(f"SELECT {listed} FROM {parquet_relation([staged])} ORDER BY {_SORT}")
    with open_parquet_writer(target, kept) as writer:
        for batch in result.to_arrow_reader(export.cells_per_part):
            own = batch.cast(kept)
            writer.write_batch(own, row_group_size=max(own.num_rows, 1))
            starts.append(count)
            digest.add(own)
            for plate, stop in _plate_ends(own["plate_key"]):
                if ends and ends[-1][0] == plate:
                    ends.pop()
                ends.append((plate, count + stop))
            count += own.num_rows
    parts = tuple(_cut_parts(ends, export.cells_per_part))
    return CropPlan(target, count, digest.hex(), tuple(starts), parts)


def _plate_ends(plates: pa.Array) -> Iterator[tuple[str | None, int]]:
    """Each plate of a sorted column, and the row after its last."""
    encoded = pc.run_end_encode(plates)
    yield from zip(encoded.values.to_pylist(), encoded.run_ends.to_pylist(), strict=True)


def _cut_parts(ends: list[tuple[str | None, int]], size: int) -> Iterator[tuple[str | None, int, int]]:
    start = 0
    for plate, stop in ends:
        for first in range(start, stop, size):
            yield (plate, first, min(first + size, stop))
        start = stop


class _Digest:
    """What the rows of a plan say, whatever batches they come in."""

    def __init__(self, names: list[str]) -> None:
        self._hashes = {name: blake2b(name.encode(), digest_size=16) for name in names}

    def add(self, batch: pa.RecordBatch) -> None:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            texts = column if pa.types.is_string(column.type) else pc.cast(column, pa.string())
            self._hashes[name].update(
                "".join("-" if text is None else f"{len(text)}:{text}" for text in texts.to_pylist()).encode()
            )

    def hex(self) -> str:
        whole = blake2b(digest_size=16)
        for part in self._hashes.values():
            whole.update(part.digest())
        return whole.hexdigest()


def read_plan(plan: CropPlan, first: int, stop: int) -> pa.Table:
    """Rows ``first`` to ``stop`` of a plan."""
    groups = range(bisect_right(plan.group_starts, first) - 1, bisect_left(plan.group_starts, stop))
    with open_parquet(plan.path) as file:
        return file.read_row_groups(list(groups)).slice(first - plan.group_starts[groups[0]], stop - first)
