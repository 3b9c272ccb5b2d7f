"""Column names of single-cell tables are sorted into features to profile, place columns to leave out, and the rest.

Prefixes as CellProfiler and CytoTable write them (https://cytomining.github.io/CytoTable/). pycytominer
takes every compartment column for a feature, positions in the image included
(https://github.com/cytomining/pycytominer/issues/224), so that a profile learns where in the well a cell lay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from bioimage_assets.core.tables.schemas import IMAGE_ASSETS

COMPARTMENT_PREFIXES = ("Cells_", "Cytoplasm_", "Nuclei_")

# Where an object lies, what it is numbered and which object it belongs to: identity, not phenotype.
PLACE_PATTERN = re.compile(
    r"_Location_|_AreaShape_BoundingBox|_AreaShape_Center_|_ObjectNumber|_Object_Number|_ImageNumber|_TableNumber"
    r"|_Children_|_Parent_|ClosestObjectNumber"
)
# Columns that are no feature in tables without compartment prefixes (embeddings of DeepProfiler, IN Carta).
_OTHER_PREFIXES = ("Metadata_", "Image_", "profile_", "Location_", "ome_arrow_")


@dataclass(frozen=True, slots=True)
class FeatureColumns:
    """The feature columns of a table (``profiled``) and numeric ones left out of profiles (``places``)."""

    profiled: tuple[str, ...]
    places: tuple[str, ...]


def select_feature_columns(schema: pa.Schema) -> FeatureColumns:
    """Sort the columns of a table into features and places, in table order.

    Features are numeric columns named by compartment. Only where a table has none, every floating-point
    column that is no metadata, image or key column is one (embeddings).
    """
    numeric = [field for field in schema if _is_number(field.type)]
    measured = [field.name for field in numeric if field.name.startswith(COMPARTMENT_PREFIXES)]
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


def split_places(names: Iterable[str]) -> FeatureColumns:
    """Sort feature names into those that describe a cell and those that say where or which it is."""
    profiled: list[str] = []
    places: list[str] = []
    for name in names:
        (places if PLACE_PATTERN.search(name) else profiled).append(name)
    return FeatureColumns(tuple(profiled), tuple(places))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
