"""Nulls the words that a dataset declares missing, and failed formulas, in the metadata columns of its measurements; others stay."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.measurements.model import PlateMeasurements
from bioimage_assets.core.text_files.missing_words import SPREADSHEET_ERRORS

_METADATA = ("Metadata_", "Image_Metadata_")
# Rows are distinguished by these, whatever stands in them.
_KEYS = frozenset({"Metadata_ObjectID", "Metadata_Plate", "Metadata_TableNumber", "Metadata_NPZSource"})


def drop_missing_words(measured: PlateMeasurements, words: Collection[str]) -> PlateMeasurements:
    """Give measurements without some words (``[platemaps] missing``), compared without surrounding blanks."""
    missing = pa.array(sorted({*words, *SPREADSHEET_ERRORS}), pa.string())
    reader, images = measured.reader, measured.image_table
    if images is not None:
        images = pa.Table.from_batches(_clean(images.to_batches(), images.schema, missing), images.schema)
    cleaned = pa.RecordBatchReader.from_batches(reader.schema, _clean(reader, reader.schema, missing))
    return replace(measured, reader=cleaned, image_table=images)


def _clean(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, missing: pa.Array
) -> Iterator[pa.RecordBatch]:
    columns = [
        index
        for index, field in enumerate(schema)
        if field.name.startswith(_METADATA) and field.name not in _KEYS and pa.types.is_string(field.type)
    ]
    for batch in batches:
        arrays = batch.columns
        for index in columns:
            is_missing = pc.is_in(pc.utf8_trim_whitespace(arrays[index]), value_set=missing)
            if pc.any(is_missing).as_py():
                arrays[index] = pc.if_else(is_missing, pa.scalar(None, pa.string()), arrays[index])
        yield pa.record_batch(arrays, schema=schema)
