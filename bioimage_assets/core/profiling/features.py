"""Column names of single-cell tables are sorted into features to profile, place columns to leave out, and the rest.

Prefixes as CellProfiler and CytoTable write them (https://cytomining.github.io/CytoTable/). pycytominer
takes every compartment column for a feature, positions in the image included
(https://github.com/cytomining/pycytominer/issues/224), so that a profile learns where in the well a cell lay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bioimage_assets.core.tables.schemas import IMAGE_ASSETS

COMPARTMENT_PREFIXES = ("Cells_", "Cytoplasm_", "Nuclei_")

# Where an object lies, what it is numbered and which object it belongs to: identity, not phenotype.
PLACE_PATTERN = re.compile(
    r"_Location_|_AreaShape_BoundingBox|_AreaShape_Center_|_ObjectNumber|_Object_Number|_ImageNumber|_TableNumber"
    r"|_Children_|_Parent_|ClosestObjectNumber|_Max_(?:left|top)_border_|_cg_[XY]_wv"
)
# IN Carta names targets freely (``Primary_Target_Area_wv1``); every measure ends with its wavelength.
_WAVELENGTH = re.compile(r"_wv\d+\Z")
# Columns that are no feature in tables without compartment prefixes (embeddings of DeepProfiler, IN Carta).
_OTHER_PREFIXES = ("Metadata_", "Image_", "profile_", "Location_", "ome_arrow_")


@dataclass(frozen=True, slots=True)
class FeatureColumns:
    """The feature columns of a table (``profiled``) and numeric ones left out of profiles (``places``)."""

    profiled: tuple[str, ...]
    places: tuple[str, ...]


def select_feature_columns(schema: pa.Schema) -> FeatureColumns:
    """Sort the columns of a table into features and places, in table order.

    Features are numeric columns named by compartment, or by wavelength as IN Carta does. Only where a table has none, every floating-point
    column that is no metadata, image or key column is one (embeddings).
    """
    numeric = [field for field in schema if _is_number(field.type)]
    measured = [
        field.name
        for field in numeric
        if field.name.startswith(COMPARTMENT_PREFIXES) or _WAVELENGTH.search(field.name)
    ]
    if not measured:
        known = set(IMAGE_ASSETS.names)
        measured = [
            field.name
            for field in numeric
            if pa.types.is_floating(field.type)
            and field.name not in known
            and not field.name.startswith(_OTHER_PREFIXES)
        ]
    return split_places(measured)


def drop_empty_features(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Leave out features that have no value in any of the tables, which are all of one dataset.

    Datasets share a stored table: each is read with the features of the others as columns of nulls, and one
    with embeddings would be taken for one with compartments.
    """
    known = frozenset(IMAGE_ASSETS.names)
    filled: set[str] = set()
    named: dict[str, None] = {}
    for table in tables:
        for name, column in zip(table.column_names, table.columns, strict=True):
            if name in known or name.startswith(_OTHER_PREFIXES):
                continue
            named[name] = None
            if name not in filled and not _is_empty(column):
                filled.add(name)
    empty = named.keys() - filled
    return [table.select([n for n in table.column_names if n not in empty]) for table in tables]


def _is_empty(column: pa.ChunkedArray) -> bool:
    is_feature = pa.types.is_floating(column.type) or pa.types.is_null(column.type)
    return bool(is_feature and column.null_count == len(column))


def with_profiles(wells: pa.Table) -> pa.Table:
    """Wells that have a profile: a well without a passing cell has nulls only, and nothing to compare."""
    names = select_feature_columns(wells.schema).profiled
    has_value = np.zeros(wells.num_rows, bool)
    for name in names:
        values = wells[name].to_numpy()
        has_value |= np.isfinite(values.astype(np.float64))
    return wells.filter(pa.array(has_value)) if names else wells


def split_places(names: Iterable[str]) -> FeatureColumns:
    """Sort feature names into those that describe a cell and those that say where or which it is."""
    profiled: list[str] = []
    places: list[str] = []
    for name in names:
        (places if PLACE_PATTERN.search(name) else profiled).append(name)
    return FeatureColumns(tuple(profiled), tuple(places))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
