"""What a column of a measurement file holds: its role, its type, and its name in ``single_cells``.

The naming is CytoTable's (``Metadata_ImageNumber``, ``Metadata_Cells_Parent_Nuclei``, ``Image_FileName_DNA``,
``Cells_AreaShape_Area``): https://cytomining.github.io/CytoTable/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from bioimage_assets.core.model.compartments import COMPARTMENT_PREFIXES, COMPARTMENTS
from bioimage_assets.core.tables.feature_columns import find_compartment, is_number

# Of one name in a message; paths are longer than names of columns.
MAX_SHOWN_CHARS = 500
ColumnRole = Literal["unit", "image", "object", "number-object", "parent", "text", "number"]

# Columns of these names are text whatever they hold: plates `001`, wells, sites `M10`, paths, digests.
TEXT_PREFIXES = ("Metadata_", "FileName_", "PathName_", "URL_", "MD5Digest_")

# Prefixes as CellProfiler spells them; spreadsheets and databases change the case.
_PREFIXES = (*TEXT_PREFIXES, "Image_", "Count_", "Parent_")
_CANONICAL = {name.lower(): name for name in (*COMPARTMENTS, "Image")}
_KEY_ROLES: dict[str, ColumnRole] = {
    "tablenumber": "unit",
    "imagenumber": "image",
    "objectnumber": "object",
    "number_object_number": "number-object",
}


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """One column of a measurement file: how it is called there, what it is, how it is called here.

    ``parent`` is the compartment that a ``parent`` column points to.
    """

    source: str
    role: ColumnRole
    output: str
    kind: pa.DataType
    parent: str | None = None


def canonical_compartment(name: str) -> str:
    """Spell a compartment the usual way (``cells`` is ``Cells``); other names stay as they are."""
    return _CANONICAL.get(name.lower(), name)


def canonical_name(name: str) -> str:
    """Spell the known prefixes of a column the usual way (``METADATA_Well``, ``count_cells``); the rest stays."""
    lowered = name.lower()
    for prefix in _PREFIXES:
        if lowered.startswith(prefix.lower()):
            rest = name[len(prefix) :]
            return prefix + (canonical_name(rest) if prefix == "Image_" else canonical_compartment(rest))
    return name


def describe_column(compartment: str, source: str) -> SourceColumn:
    """Say what a column of a compartment's table is; the prefix of the compartment may be there or not."""
    bare = source.strip()
    for prefix in (f"{compartment}_", "Metadata_"):
        stripped = bare[len(prefix) :] if bare.lower().startswith(prefix.lower()) else bare
        role = _KEY_ROLES.get(stripped.lower())
        if role is not None:
            output = (
                f"{compartment}_Number_Object_Number" if role == "number-object" else f"Metadata_{stripped}"
            )
            kind = pa.float64() if role == "number-object" else pa.int64()
            return SourceColumn(source, role, output, kind)
    if bare.lower().startswith(f"{compartment}_".lower()):
        bare = bare[len(compartment) + 1 :]
    bare = canonical_name(bare)
    if bare.startswith("Parent_"):
        parent = canonical_compartment(bare.removeprefix("Parent_"))
        return SourceColumn(source, "parent", f"Metadata_{compartment}_Parent_{parent}", pa.int64(), parent)
    if bare.startswith("Metadata_"):
        return SourceColumn(source, "text", bare, pa.string())
    if bare.startswith(TEXT_PREFIXES):
        return SourceColumn(source, "text", f"{compartment}_{bare}", pa.string())
    return SourceColumn(source, "number", f"{compartment}_{bare}", pa.float64())


def resolve_duplicates(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give every column its own name: the second ``x`` becomes ``x_2``, the third ``x_3``, first come first.

    Names that differ only in case count as equal, since SQL engines and case-blind file systems cannot
    tell them apart. Returns the names and those that were changed. Idempotent.
    """
    taken = {name.lower() for name in names}
    seen: dict[str, int] = {}
    resolved: list[str] = []
    changed: list[str] = []
    for name in names:
        final = name
        if name.lower() in seen:
            number = seen[name.lower()]
            while f"{name}_{number}".lower() in taken:
                number += 1
            final = f"{name}_{number}"
            seen[name.lower()] = number + 1
            taken.add(final.lower())
            changed.append(final)
        seen.setdefault(final.lower(), 2)
        resolved.append(final)
    return tuple(resolved), tuple(changed)


def is_feature(name: str) -> bool:
    """Tell by its name alone whether a column is measured: a usual compartment, or another with CellProfiler's category."""
    return name.startswith(COMPARTMENT_PREFIXES) or find_compartment(name) is not None


def storable_type(kind: pa.DataType, name: str, *, is_measured: bool | None = None) -> pa.DataType:
    """Type a source column is stored with, the same for every plate of a dataset.

    Numeric features are float64, booleans too: one plate's ``Area`` without decimals must not make another plate's
    table incompatible. ``is_measured`` says that it is one; None asks the name for a usual compartment. Integers that are
    no features stay integers, half floats become single ones, decimals with decimals (NUMERIC of a database) float64. A
    column of nothing but nulls is float64 if it is a feature, else text. Dictionary columns become their values. All else
    stays.
    """
    measured = is_feature(name) if is_measured is None else is_measured
    if pa.types.is_dictionary(kind):
        return storable_type(kind.value_type, name, is_measured=measured)
    if pa.types.is_null(kind):
        return pa.float64() if measured else pa.string()
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if (measured and is_number(kind)) or (pa.types.is_decimal(kind) and kind.scale > 0):
        return pa.float64()
    return pa.float32() if pa.types.is_float16(kind) else kind


def join_names(names: Iterable[str], limit: int = 5) -> str:
    """List some names for a message: the first few, shortened, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    shown = (
        name if len(name) <= MAX_SHOWN_CHARS else f"{name[:MAX_SHOWN_CHARS]}…" for name in listed[:limit]
    )
    return ", ".join(shown) + more
