"""DuckDB views of a joined plate: the pixel box of every object, and the chunks it touches.

The views read the tables they are made from; nothing is copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import duckdb
import pyarrow as pa

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.joins.query import query_metadata_table
from bioimage_assets.core.joins.sources import open_profiles
from bioimage_assets.core.joins.table_files import is_remote, list_table_files
from bioimage_assets.core.pixels.boxes import (
    DEFAULT_BOX_SIZE_PX,
    BoxColumns,
    find_box_columns,
    is_box_column,
)
from bioimage_assets.core.pixels.planes import PLANE_COLUMNS
from bioimage_assets.core.sql import quote_identifier
from bioimage_assets.core.sql_files import parquet_relation
from bioimage_assets.core.stores.open import local_path

VIEW_NAME = "cell_pixels"
ViewSource: TypeAlias = "str | Path | Sequence[str] | pa.Table"


def build_locator_view(
    connection: duckdb.DuckDBPyConnection,
    joined: ViewSource,
    image_assets: ViewSource,
    *,
    chunk_index: ViewSource | None = None,
    view_name: str = VIEW_NAME,
    compartment: str | None = None,
    level: int = 0,
    box_size_px: int = DEFAULT_BOX_SIZE_PX,
    object_id_column: str = "Metadata_ObjectID",
    storage_options: Mapping[str, object] | None = None,
) -> tuple[str, ...]:
    """Create the view ``view_name``, and ``<view_name>_chunks`` where a chunk index is given.

    The first has one row per linked object: ``object_id dataset_id image_id uri array_path level axes
    channel_names y_start y_stop x_start x_stop y_start_um y_stop_um x_start_um x_stop_um z t``, pixels counted at
    ``level`` from zero, stops exclusive; ``z`` and ``t`` are the planes that ``Metadata_Z`` (null: all) and
    ``Metadata_T`` (null: the first) name. The second has one row per object and stored piece that it touches.

    Parameters
    ----------
    joined, image_assets, chunk_index
        Parquet files, folders or glob patterns, or Arrow tables (which are registered in the connection).
        Remote files are read into memory, of the profiles only the columns that the view needs.
    storage_options
        Of the object store that the tables lie in; by default the project's (``BIOIMAGE_STORAGE_*``).

    Raises
    ------
    UsageError
        The tables lack a column that the view needs.
    ContractError
        The profiles have no bounding box or centre.

    Examples
    --------
    >>> build_locator_view(connection, "joined_profiles/", "image_assets/")
    ('cell_pixels',)
    """
    try:
        keys = ("dataset_id", "image_id", object_id_column)
        sources = {"joined": _relation(connection, joined, f"{view_name}_joined", storage_options, keys)}
        sources["images"] = _relation(connection, image_assets, f"{view_name}_images", storage_options)
        names = connection.sql(f"SELECT * FROM {sources['joined']} LIMIT 0").columns
        columns = find_box_columns(names, compartment)
        has_id = object_id_column in names
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {quote_identifier(view_name)} AS "
            + _object_query(
                sources, columns, level, box_size_px, object_id_column if has_id else None, _planes(names)
            )
        )
        if chunk_index is None:
            return (view_name,)
        chunks = _relation(connection, chunk_index, f"{view_name}_index", storage_options)
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {quote_identifier(view_name + '_chunks')} AS "
            + _chunk_query(quote_identifier(view_name), sources["images"], chunks, level)
        )
    except duckdb.Error as error:
        raise UsageError(f"The locator view cannot be made: {error}") from error
    return (view_name, f"{view_name}_chunks")


def _relation(
    connection: duckdb.DuckDBPyConnection,
    source: ViewSource,
    name: str,
    storage_options: Mapping[str, object] | None,
    keys: Sequence[str] = (),
) -> str:
    """SQL of a table; of remote files only ``keys`` and columns of boxes are read where keys are given."""
    if isinstance(source, pa.Table):
        connection.register(name, source)
        return quote_identifier(name)
    given = [source] if isinstance(source, str | Path) else list(source)
    files = [file for item in given for file in list_table_files(str(item), storage_options)]
    if any(is_remote(file) for file in files):
        opened = open_profiles(files, storage_options)
        keep = (*keys, *PLANE_COLUMNS["z"], *PLANE_COLUMNS["t"])
        names = opened.schema.names
        wanted = [column for column in names if not keys or column in keep or is_box_column(column)]
        connection.register(name, query_metadata_table(opened, columns=wanted))
        return quote_identifier(name)
    return parquet_relation([local_path(file) or file for file in files])


def _planes(names: Sequence[str]) -> tuple[str, str]:
    """SQL of the z and the t plane of an object, null where no column says it."""
    found = [next((name for name in PLANE_COLUMNS[axis] if name in names), None) for axis in "zt"]
    z, t = ("NULL" if n is None else f"TRY_CAST(j.{quote_identifier(n)} AS DOUBLE)::BIGINT" for n in found)
    return z, t


def _bounds(columns: BoxColumns, box_size_px: int) -> list[str]:
    """SQL of y start, x start, y stop, x stop in full-resolution pixels."""
    names = [f"j.{quote_identifier(name)}" for name in columns.names]
    if not columns.is_center:
        return [f"floor({n})" for n in names[:2]] + [f"ceil({n})" for n in names[2:]]
    starts = [f"floor({name} + 0.5 - {box_size_px / 2})" for name in names]
    return starts + [f"({start} + {box_size_px})" for start in starts]


def _object_query(
    sources: dict[str, str],
    columns: BoxColumns,
    level: int,
    box_size_px: int,
    object_id: str | None,
    planes: tuple[str, str],
) -> str:
    y0, x0, y1, x1 = _bounds(columns, box_size_px)
    identity = f"j.{quote_identifier(object_id)}" if object_id else "NULL"
    y_start, y_stop = _scaled("cy0", "cy1", "height", "level_height")
    x_start, x_stop = _scaled("cx0", "cx1", "width", "level_width")
    return f"""
WITH boxes AS (
    SELECT {identity} AS object_id, j.dataset_id, j.image_id,
        i.uri, i.array_path AS image_array_path, i.format_family, i.axes, i.channel_names,
        i.pixel_size_y_um, i.pixel_size_x_um, i.levels[{level + 1}] AS stored,
        {_axis_length("i.shape", "y")} AS height, {_axis_length("i.shape", "x")} AS width,
        {_axis_length(f"i.levels[{level + 1}].shape", "y")} AS level_height,
        {_axis_length(f"i.levels[{level + 1}].shape", "x")} AS level_width,
        {y0} AS y0, {x0} AS x0, {y1} AS y1, {x1} AS x1, {planes[0]} AS z, {planes[1]} AS t
    FROM {sources["joined"]} j
    JOIN {sources["images"]} i ON j.dataset_id = i.dataset_id AND j.image_id = i.image_id
), clipped AS (
    SELECT *, greatest(0, least(y0, height)) AS cy0, greatest(0, least(y1, height)) AS cy1,
        greatest(0, least(x0, width)) AS cx0, greatest(0, least(x1, width)) AS cx1
    FROM boxes
)
SELECT object_id, dataset_id, image_id, uri,
    CASE WHEN contains(format_family, 'tiff') OR contains(format_family, 'png') THEN image_array_path ELSE stored.path END AS array_path,
    {level} AS level, axes, channel_names,
    {y_start} AS y_start, {y_stop} AS y_stop, {x_start} AS x_start, {x_stop} AS x_stop,
    cy0 * pixel_size_y_um AS y_start_um, cy1 * pixel_size_y_um AS y_stop_um,
    cx0 * pixel_size_x_um AS x_start_um, cx1 * pixel_size_x_um AS x_stop_um, z, t
FROM clipped"""


def _scaled(start: str, stop: str, full: str, level: str) -> tuple[str, str]:
    """SQL of the pixels of a level that cover a range of full resolution, as ``boxes.PixelBox.scaled`` counts them."""
    ratio = f"({full} / {level})"
    cases = [
        f"WHEN {step} >= 1 AND {level} IN (floor({full} / {step}), ceil({full} / {step})) THEN {step}"
        for step in (f"pow(2, round(log2({ratio})))", f"floor({ratio})", f"ceil({ratio})")
    ]
    step = f"CASE {' '.join(cases)} END"
    first, last = (f"coalesce({end} / {step}, {end} * {level} / {full})" for end in (start, stop))
    low = f"least(floor({first}), {level} - 1)"
    high = f"CASE WHEN {stop} > {start} THEN least(ceil({last}), {level}) ELSE {low} END"
    return f"CAST({low} AS BIGINT)", f"CAST({high} AS BIGINT)"


def _axis_position(axis: str, axes: str = "i.axes") -> str:
    """1-based position of an axis in axes text of either form (``tczyx`` or comma-separated)."""
    names = (
        f"CASE WHEN contains({axes}, ',') THEN string_split({axes}, ',') ELSE string_split({axes}, '') END"
    )
    return f"list_position({names}, '{axis}')"


def _axis_length(shape: str, axis: str) -> str:
    return f"{shape}[{_axis_position(axis)}]"


def _chunk_query(view: str, images: str, chunks: str, level: int) -> str:
    """Pieces that overlap each box; inner chunks stand in for the shard object that holds them."""
    z, t, y, x = (_axis_position(axis, "p.axes") for axis in "ztyx")
    unit = (
        "CASE WHEN k.kind = 'object' AND i.shard_shape IS NOT NULL "
        f"THEN i.levels[{level + 1}].shard_shape ELSE i.levels[{level + 1}].chunk_shape END"
    )
    return f"""
WITH pieces AS (
    SELECT k.*, i.axes AS image_axes, {unit} AS unit, i.shard_shape IS NOT NULL AS is_sharded,
        count(*) FILTER (WHERE k.kind = 'inner') OVER (PARTITION BY k.dataset_id, k.image_id) AS inner_count
    FROM {chunks} k JOIN {images} i ON k.dataset_id = i.dataset_id AND k.image_id = i.image_id
    WHERE k.level = {level}
)
SELECT p.object_id, p.dataset_id, p.image_id, p.uri, p.array_path, p.level,
    k.kind, k.chunk_key, k.chunk_coords, k.stored_offset, k.stored_bytes, k.is_present
FROM {view} p
JOIN pieces k ON p.dataset_id = k.dataset_id AND p.image_id = k.image_id
WHERE NOT (k.kind = 'object' AND k.is_sharded AND k.inner_count > 0)
    AND k.chunk_coords[{y}] * k.unit[{y}] < p.y_stop
    AND (k.chunk_coords[{y}] + coalesce(k.strip_count, 1)) * k.unit[{y}] > p.y_start
    AND k.chunk_coords[{x}] * k.unit[{x}] < p.x_stop
    AND (k.chunk_coords[{x}] + 1) * k.unit[{x}] > p.x_start
    AND ({z} IS NULL OR p.z IS NULL OR k.chunk_coords[{z}] = p.z // k.unit[{z}])
    AND ({t} IS NULL OR k.chunk_coords[{t}] = coalesce(p.t, 0) // k.unit[{t}])"""
