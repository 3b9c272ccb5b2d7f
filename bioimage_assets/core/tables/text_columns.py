"""The text columns of ``image_assets`` and ``chunk_index`` that readers of the seeds' tables expect.

``shape_json chunk_shape_json metadata_json`` and ``chunk_coords_json byte_length``: derived, added last,
only in the Parquet export. Lists are spelled as ``json.dumps`` does. ``byte_length`` is the nominal size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.arrow_frames import TableOrStream
from bioimage_assets.core.model.axes import count_channels
from bioimage_assets.core.model.image import axis_names

IMAGE_TEXT_COLUMNS = ("shape_json", "chunk_shape_json", "metadata_json")
CHUNK_TEXT_COLUMNS = ("chunk_coords_json", "byte_length")

_METADATA_SOURCES = (
    "uri",
    "array_path",
    "axes",
    "shape",
    "storage_variant",
    "format_family",
    "channel_names",
)


def add_image_text_columns(images: pa.Table) -> pa.Table:
    """Append the three text columns; a table that has them already is returned as it is."""
    if set(IMAGE_TEXT_COLUMNS) <= set(images.column_names):
        return images
    columns = {
        "shape_json": build_list_text(images.column("shape")),
        "chunk_shape_json": build_list_text(images.column("chunk_shape")),
        "metadata_json": pa.array(_metadata_texts(images), pa.string()),
    }
    for name, values in columns.items():
        if name not in images.column_names:
            images = images.append_column(pa.field(name, pa.string(), nullable=name != "shape_json"), values)
    return images


def add_chunk_text_columns(chunks: TableOrStream) -> TableOrStream:
    """Append the two columns to a table, or to a stream batch by batch."""
    if set(CHUNK_TEXT_COLUMNS) <= set(chunks.schema.names):
        return chunks
    if isinstance(chunks, pa.Table):
        return _with_chunk_text(chunks)
    schema = _with_chunk_text(chunks.schema.empty_table()).schema

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in chunks:
            yield from _with_chunk_text(pa.Table.from_batches([batch])).cast(schema).to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())


def build_list_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Spell lists of integers as JSON: ``[1, 1080, 1080]``; null stays null."""
    texts = []
    for chunk in column.chunks:
        words = pa.ListArray.from_arrays(
            _offsets(chunk), chunk.flatten().cast(pa.string()), mask=pc.is_null(chunk)
        )
        joined = pc.binary_join(words, ", ")
        texts.append(pc.binary_join_element_wise("[", joined, "]", ""))
    return pa.chunked_array(texts, type=pa.string())


def _offsets(chunk: pa.ListArray) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(chunk), 0)
    return pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])


def _with_chunk_text(chunks: pa.Table) -> pa.Table:
    coords = build_list_text(chunks.column("chunk_coords"))
    sizes = chunks.column("nominal_bytes").cast(pa.int64())
    return chunks.append_column("chunk_coords_json", coords).append_column("byte_length", sizes)


def _metadata_texts(images: pa.Table) -> list[str]:
    wanted = images.select([name for name in _METADATA_SOURCES if name in images.column_names])
    return [json.dumps(_seed_metadata(row), sort_keys=True) for row in wanted.to_pylist()]


def _seed_metadata(row: dict[str, object]) -> dict[str, object]:
    """The keys that the seeds put into ``metadata_json`` for Zarr arrays and TIFF series."""
    shape = row.get("shape")
    axes = row.get("axes")
    extent = list(shape) if isinstance(shape, list) else []
    content: dict[str, object] = {"ndim": len(extent)}
    if isinstance(axes, str):
        count = count_channels(axis_names(axes), extent)
        content |= {"axes": axes, "channel_count": 1 if count is None else count}
    if row.get("format_family") == "zarr":
        content["store_name"] = str(row.get("uri")).rstrip("/").rsplit("/", 1)[-1]
        content["storage_variant"] = row.get("storage_variant")
    else:
        series = str(row.get("array_path") or "series/0").rsplit("/", 1)[-1]
        content["series_index"] = int(series) if series.isdigit() else 0
    return content
