"""Columns of one flat profile table (Parquet or CSV, any tool) become the columns of ``single_cells``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import join_names, resolve_duplicates, storable_type
from bioimage_assets.core.measurements.model import Grain, PlateContext
from bioimage_assets.core.measurements.positions import first_column, position_candidates

IMAGE_NUMBER_NAMES = ("Metadata_ImageNumber", "ImageNumber", "Image_ImageNumber", "Metadata_Image_Number")
OBJECT_NUMBER_NAMES = (
    "Metadata_ObjectNumber", "ObjectNumber", "Metadata_Cytoplasm_ObjectNumber", "Metadata_Cells_ObjectNumber",
    "Metadata_Nuclei_ObjectNumber", "Cytoplasm_ObjectNumber", "Cells_ObjectNumber", "Nuclei_ObjectNumber",
    "Cytoplasm_Number_Object_Number", "Cells_Number_Object_Number", "Nuclei_Number_Object_Number",
)  # fmt: skip
TABLE_NUMBER_NAMES = ("Metadata_TableNumber", "TableNumber", "Image_TableNumber", "Metadata_NPZSource")

ColumnKind = Literal["constant", "id", "text", "number", "source"]


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of the result: ``source`` is its index in the source table, None where it is made here."""

    name: str
    kind: pa.DataType
    role: ColumnKind
    source: int | None
    constant: str | None = None


@dataclass(frozen=True, slots=True)
class TableLayout:
    """How a source table maps to the result; ``id_sources`` are the source columns that name a row, outermost first."""

    columns: tuple[TableColumn, ...]
    id_sources: tuple[int, ...]
    has_object_number: bool
    grain: Grain
    plate_source: int | None

    @property
    def schema(self) -> pa.Schema:
        """Schema of every batch of the result."""
        return pa.schema([pa.field(column.name, column.kind) for column in self.columns])


def plan_table(schema: pa.Schema, context: PlateContext) -> tuple[TableLayout, list[Finding]]:
    """Map the columns of a source table: keys first, then every source column once, under its own name.

    A source column that is called like one of the plate's keys (``plate_key``, ``dataset_id``,
    ``Metadata_ObjectID``) is kept as ``profile_<name>``; plate, well and site become text.
    """
    names, changed = resolve_duplicates(schema.names)
    findings = []
    if changed:
        text = f"Column names occur more than once; the later ones are now {join_names(changed)}."
        findings.append(Finding("duplicate-columns", "warning", "", text))
    index = {name: i for i, name in enumerate(names)}
    columns = [
        TableColumn("plate_key", pa.string(), "constant", None, context.plate_key),
        TableColumn("dataset_id", pa.string(), "constant", None, context.dataset_id),
        TableColumn("Metadata_ObjectID", pa.string(), "id", None),
    ]
    used: set[int] = set()
    found = {part: first_column(names, options) for part, options in position_candidates(context).items()}
    for part, name in found.items():
        output = f"Metadata_{part.capitalize()}"
        if name is not None:
            columns.append(TableColumn(output, pa.string(), "text", index[name]))
            used |= {index[name]} if name == output else set()
        elif part == "plate":
            columns.append(TableColumn(output, pa.string(), "constant", None, context.plate_name))
    for output, options in (("Metadata_ImageNumber", IMAGE_NUMBER_NAMES), ("Metadata_ObjectNumber", OBJECT_NUMBER_NAMES)):
        name = first_column(names, options)
        if name is not None and _is_number(schema.field(index[name]).type):
            columns.append(TableColumn(output, pa.int64(), "number", index[name]))
            used |= {index[name]} if name == output else set()
    taken = {column.name.lower() for column in columns}
    for position, name in enumerate(names):
        if position not in used:
            output = f"profile_{name}" if name.lower() in taken else name
            kind = storable_type(schema.field(position).type, name)
            columns.append(TableColumn(output, kind, "source", position))
    return _layout(columns, names, found, schema), findings


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)


def _layout(
    columns: Sequence[TableColumn], names: Sequence[str], found: dict[str, str | None], schema: pa.Schema
) -> TableLayout:
    index = {name: i for i, name in enumerate(names)}
    table = first_column(names, TABLE_NUMBER_NAMES)
    image = first_column(names, IMAGE_NUMBER_NAMES)
    number = first_column(names, OBJECT_NUMBER_NAMES)
    ids = [name for name in (table, image) if name is not None]
    ids = ids or [name for name in (found["well"], found["site"]) if name is not None]
    if number is not None:
        ids.append(number)
    grain: Grain = "cell" if number is not None or table is not None else "image" if found["site"] or image else "well"
    if not ids:
        grain = "cell"
    plate = index[found["plate"]] if found["plate"] else None
    return TableLayout(tuple(columns), tuple(index[name] for name in ids), number is not None, grain, plate)
