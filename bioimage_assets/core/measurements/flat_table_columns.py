"""Which columns of ``single_cells`` the columns of a flat profile table are (Parquet or CSV, any tool)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import join_names, resolve_duplicates, storable_type
from bioimage_assets.core.measurements.model import Grain, PlateContext
from bioimage_assets.core.measurements.positions import first_column, position_candidates
from bioimage_assets.core.model.well_columns import find_well_columns
from bioimage_assets.core.tables.feature_columns import list_named_features
from bioimage_assets.core.tables.feature_gaps import list_measured_text

IMAGE_NUMBER_NAMES = ("Metadata_ImageNumber", "ImageNumber", "Image_ImageNumber", "Metadata_Image_Number")
OBJECT_NUMBER_NAMES = (
    "Metadata_ObjectNumber", "ObjectNumber", "Metadata_Cytoplasm_ObjectNumber", "Metadata_Cells_ObjectNumber",
    "Metadata_Nuclei_ObjectNumber", "Cytoplasm_ObjectNumber", "Cells_ObjectNumber", "Nuclei_ObjectNumber",
    "Cytoplasm_Number_Object_Number", "Cells_Number_Object_Number", "Nuclei_Number_Object_Number",
)  # fmt: skip
TABLE_NUMBER_NAMES = ("Metadata_TableNumber", "TableNumber", "Image_TableNumber", "Metadata_NPZSource")
# Where object numbers start again in every plane and time point.
STACK_NAMES = ("Metadata_Z", "Metadata_T")

ColumnKind = Literal["constant", "id", "text", "number", "source", "parsed", "well", "text-number"]


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of the result: ``source`` is its index in the source table, None where it is made here.

    A ``parsed`` column is the part ``constant`` (plate, well, site) of the file name in the source column. A ``well``
    is made of the row in the source column and the column number in ``other``. A ``text-number`` is parsed from text with the
    decimal point ``constant``.
    """

    name: str
    kind: pa.DataType
    role: ColumnKind
    source: int | None
    constant: str | None = None
    other: int | None = None


@dataclass(frozen=True, slots=True)
class TableLayout:
    """How a source table maps to the result; ``id_sources`` are the source columns that name a row, outermost first."""

    columns: tuple[TableColumn, ...]
    id_sources: tuple[int, ...]
    has_object_number: bool
    grain: Grain
    plate_source: int | None
    has_own_ids: bool = False

    @property
    def schema(self) -> pa.Schema:
        """Schema of every batch of the result."""
        return pa.schema([pa.field(column.name, column.kind) for column in self.columns])


def plan_table(
    schema: pa.Schema,
    context: PlateContext,
    *,
    has_own_ids: bool = False,
    text_numbers: Mapping[str, str] | None = None,
) -> tuple[TableLayout, list[Finding]]:
    """Map the columns of a source table: keys first, then every source column once, under its own name.

    A source column that is called like one of the plate's keys (``plate_key``, ``dataset_id``) is kept as
    ``profile_<name>``, a foreign ``Metadata_ObjectID`` as ``Metadata_SourceObjectID``; ``has_own_ids`` says that
    the source is this project's own ``single_cells`` of the same plate, whose ids stay. Plate, well and
    site become text; what is missing of them is read from the image file names of each row. ``text_numbers`` are the
    columns whose texts become numbers, with their decimal points.
    """
    names, changed = resolve_duplicates(schema.names)
    findings = []
    if changed:
        text = f"Column names occur more than once; the later ones are now {join_names(changed)}."
        findings.append(Finding("duplicate-columns", "warning", "", text))
    found = {part: first_column(names, options) for part, options in position_candidates(context).items()}
    columns, used = _key_columns(names, schema, found, context)
    if has_own_ids:
        used |= {
            names.index(name) for name in ("plate_key", "dataset_id", "Metadata_ObjectID") if name in names
        }
    taken = {column.name.lower() for column in columns}
    text_numbers = text_numbers or {}
    measured = _list_measured(schema, names, context)
    given = schema.names  # a list is built each time that it is asked for
    for position, name in enumerate(names):
        if position not in used:
            output = name
            if name.lower() in taken:
                output = "Metadata_SourceObjectID" if name == "Metadata_ObjectID" else f"profile_{name}"
            if given[position] in text_numbers:
                point = text_numbers[given[position]]
                columns.append(TableColumn(output, pa.float64(), "text-number", position, point))
                continue
            kind = storable_type(schema.field(position).type, name, is_measured=name in measured)
            columns.append(TableColumn(output, kind, "source", position))
    unique, _ = resolve_duplicates([column.name for column in columns])
    columns = [replace(column, name=name) for column, name in zip(columns, unique, strict=True)]
    return _layout(columns, names, found, has_own_ids), findings


def _list_measured(schema: pa.Schema, names: Sequence[str], context: PlateContext) -> set[str]:
    """Columns that names make features or places, and empty ones that are numbered like embeddings."""
    named = pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])
    measured = set(list_named_features(names, context.settings))
    return measured | {
        name
        for name in list_measured_text(named, context.settings)
        if pa.types.is_null(named.field(name).type)
    }


def _key_columns(
    names: Sequence[str], schema: pa.Schema, found: dict[str, str | None], context: PlateContext
) -> tuple[list[TableColumn], set[int]]:
    """The key columns of the result, and the source columns that they already hold under the same name."""
    columns = [
        TableColumn("plate_key", pa.string(), "constant", None, context.plate_key),
        TableColumn("dataset_id", pa.string(), "constant", None, context.dataset_id),
        TableColumn("Metadata_ObjectID", pa.string(), "id", None),
    ]
    used: set[int] = set()
    file_name = next(
        (i for i, name in enumerate(names) if name.startswith(("Image_FileName_", "FileName_"))), None
    )
    for part, name in found.items():
        output = f"Metadata_{part.capitalize()}"
        if name is not None:
            columns.append(TableColumn(output, pa.string(), "text", names.index(name)))
            used |= {names.index(name)} if name == output else set()
        elif part == "well" and (two := _find_two_columns(names, found)) is not None:
            row, column = (names.index(name) for name in two)
            columns.append(TableColumn(output, pa.string(), "well", row, None, column))
        elif file_name is not None:
            columns.append(TableColumn(output, pa.string(), "parsed", file_name, part))
        elif part == "plate":
            columns.append(TableColumn(output, pa.string(), "constant", None, context.plate_name))
    for output, options in (
        ("Metadata_ImageNumber", IMAGE_NUMBER_NAMES),
        ("Metadata_ObjectNumber", OBJECT_NUMBER_NAMES),
    ):
        name = first_column(names, options)
        if name is not None and _is_number(schema.field(names.index(name)).type):
            columns.append(TableColumn(output, pa.int64(), "number", names.index(name)))
            used |= {names.index(name)} if name == output else set()
    return columns, used


def _find_two_columns(names: Sequence[str], found: dict[str, str | None]) -> tuple[str, str] | None:
    """Row and column of the well; ``Row`` and ``Column`` mean it in a table that knows sites."""
    return find_well_columns(names, with_bare=found["site"] is not None)


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    )


def _layout(
    columns: Sequence[TableColumn], names: Sequence[str], found: dict[str, str | None], has_own_ids: bool
) -> TableLayout:
    table = first_column(names, TABLE_NUMBER_NAMES)
    image = first_column(names, IMAGE_NUMBER_NAMES)
    number = first_column(names, OBJECT_NUMBER_NAMES)
    ids = [name for name in (table, image) if name is not None]
    if not ids:
        well = (found["well"],) if found["well"] else _find_two_columns(names, found) or ()
        ids = [name for name in (*well, found["site"]) if name is not None]
        ids += [name for name in STACK_NAMES if ids and name in names]
    if number is not None:
        ids.append(number)
    grain: Grain = "cell"
    if ids and number is None and table is None:
        grain = "image" if found["site"] or image else "well"
    if has_own_ids:
        ids = ["Metadata_ObjectID"]
    plate = names.index(found["plate"]) if found["plate"] else None
    sources = tuple(names.index(name) for name in ids)
    return TableLayout(tuple(columns), sources, number is not None, grain, plate, has_own_ids)
