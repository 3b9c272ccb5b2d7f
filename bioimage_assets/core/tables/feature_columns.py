"""Which columns of single-cell tables are features to profile, which are places to leave out.

One rule per kind of source, tried on every table (``docs/measurement-sources.md``):

1. CellProfiler and CytoTable name features ``<compartment>_<category>_<measure>``. Compartments are Cells, Cytoplasm, Nuclei
   and those that ``dataset.toml`` lists. Where it lists none and the table has no feature of the usual three, every word
   before a CellProfiler category (``Soma_AreaShape_Area``) is a compartment.
2. IN Carta ends every measure with its wavelength: ``Primary_Target_Area_wv1``.
3. Embeddings are floating columns that are numbered: a stem, an underscore and a whole number (``efficientnet_0``,
   ``feature_001``), or a whole number alone. Three columns or more share the stem, so that one ``score_2`` beside
   CellProfiler's features is none.
4. Only where 1 and 2 find nothing but places, every floating column that is not a metadata, image, key or place column is a
   feature: embeddings and measures under any name.

Places are what says where a cell is, which number it has and to which object it belongs. pycytominer takes them for
features (https://github.com/cytomining/pycytominer/issues/224), so that a profile learns where in the well a cell lay.
``[features]`` of ``dataset.toml`` has the last word: ``include`` adds columns, places too, ``exclude`` wins over all.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from bioimage_assets.core.model.compartments import CELL_FIRST, COMPARTMENT_PREFIXES
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS

# Fewer numbered columns of one stem may be anything: two scores, two replicates.
MIN_EMBEDDING_COLUMNS = 3

# A bounding box has a place, its area and volume are sizes.
PLACE_PATTERN = re.compile(
    r"_Location_|_AreaShape_BoundingBox(?!Area|Volume)|_AreaShape_Center_|_ObjectNumber|_Object_Number|_ImageNumber"
    r"|_TableNumber|_Children_|_Parent_|_TrackObjects_(?:Label|Parent)|ClosestObjectNumber|_Max_(?:left|top)_border_|_cg_[XY]_wv"
)
# Longer names are nobody's words for a place; the pattern below looks at each part of a name.
_MAX_PLACE_NAME = 255
# How other tools call where an object is: ``x``, ``centroid-0``, ``bbox_2``, ``Center_X``, ``location_y_um``.
_OTHER_PLACE = re.compile(
    r"(?:.*[_\-. ])?(?:centroid|center|centre|location|position|pos|coords?|bbox|bounding_?box)"
    r"(?:[_\-. ]?(?:\d++|[xyz]|min|max|minimum|maximum|row|col|px|um))*|[xyz]",
    re.IGNORECASE,
)
# Keys and treatments that a tool left as numbers under names of their own: ``cell_id``, ``Site``, ``dose_um``, ``time_h``.
_KEY_NAME = re.compile(
    r"(?:plate|well|site|field|fov|row|col|column|image|object|table|cell|time|time_?point|frame|batch|replicate"
    r"|dose|conc|concentration|(?:cell|object)_?count)(?:[_\-. ]?(?:id|number|no|index|nm|um|mm|m|s|min|h))?",
    re.IGNORECASE,
)
_WAVELENGTH = re.compile(r"_wv\d+\Z")
_NUMBERED = re.compile(r"(?:(?P<stem>.+)_)?\d+")
# https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-4.2.6/modules/measurement.html
_CATEGORY = re.compile(
    r"(?P<compartment>.+?)_(?:AreaShape|Intensity|Texture|Granularity|RadialDistribution|Correlation|Neighbors)_"
)
# Columns that are features only they are included by name.
NO_FEATURE_PREFIXES = ("Metadata_", "Image_", "profile_", "Location_", "ome_arrow_")
_KNOWN = frozenset(IMAGE_ASSETS.names)


@dataclass(frozen=True, slots=True)
class FeatureColumns:
    """The feature columns of a table (``profiled``) and numeric ones left out of profiles (``places``)."""

    profiled: tuple[str, ...]
    places: tuple[str, ...]


def select_feature_columns(schema: pa.Schema, settings: DatasetSettings | None = None) -> FeatureColumns:
    """Sort the columns of a table into features and places, in table order, by the rules at the top of this file.

    Numeric columns are integers, floats, decimals and booleans (0 and 1), also dictionary-encoded ones.
    """
    settings = settings or DatasetSettings()
    numeric = [field.name for field in schema if is_number(field.type)]
    floating = [field.name for field in schema if is_floating(field.type)]
    named = list_named_features(numeric, settings)
    if split_places(named).profiled:
        measured = {*named, *list_embeddings(floating, settings)}
    else:
        measured = {*named, *(name for name in floating if may_be_feature(name, settings))}
    included = {name for name in numeric if is_included(name, settings)}
    found = split_places(name for name in numeric if name in measured and name not in included)
    kept = included | {name for name in found.profiled if not fits_pattern(name, settings.feature_exclude)}
    return FeatureColumns(tuple(name for name in numeric if name in kept), found.places)


def list_named_features(numeric: Iterable[str], settings: DatasetSettings) -> list[str]:
    """Columns that compartment or wavelength make features or places, whatever else is in the table."""
    names = [name for name in numeric if name not in _KNOWN]
    prefixes = tuple(f"{name}_" for name in _find_compartments(names, settings))
    return [name for name in names if name.startswith(prefixes) or _WAVELENGTH.search(name)]


def list_embeddings(floating: Iterable[str], settings: DatasetSettings) -> list[str]:
    """Numbered columns of which at least ``MIN_EMBEDDING_COLUMNS`` share a stem."""
    stems: dict[str, list[str]] = {}
    for name in floating:
        match = _NUMBERED.fullmatch(name)
        if match and may_be_feature(name, settings) and not find_compartment(name) and not is_place(name):
            stems.setdefault(match["stem"] or "", []).append(name)
    return [name for names in stems.values() if len(names) >= MIN_EMBEDDING_COLUMNS for name in names]


def split_places(names: Iterable[str]) -> FeatureColumns:
    """Sort feature names into those that describe a cell and those that say where or which it is."""
    profiled: list[str] = []
    places: list[str] = []
    for name in names:
        (places if is_place(name) else profiled).append(name)
    return FeatureColumns(tuple(profiled), tuple(places))


def is_place(name: str) -> bool:
    """Tell a column that says where or which an object is."""
    is_word = len(name) <= _MAX_PLACE_NAME and _OTHER_PLACE.fullmatch(name) is not None
    return is_word or PLACE_PATTERN.search(name) is not None


def is_number(kind: pa.DataType) -> bool:
    """Integers, floats, decimals and booleans, plain or dictionary-encoded."""
    if pa.types.is_dictionary(kind):
        return is_number(kind.value_type)
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    )


def is_floating(kind: pa.DataType) -> bool:
    """Floats and decimals with decimals, plain or dictionary-encoded."""
    if pa.types.is_dictionary(kind):
        return is_floating(kind.value_type)
    return bool(pa.types.is_floating(kind) or (pa.types.is_decimal(kind) and kind.scale > 0))


def _find_compartments(names: Sequence[str], settings: DatasetSettings) -> tuple[str, ...]:
    """The usual compartments and those of the settings; without either, those that the names themselves show."""
    listed = (*settings.compartments, *settings.feature_compartments)
    known = tuple(dict.fromkeys((*CELL_FIRST, *listed)))
    is_usual = any(name.startswith(COMPARTMENT_PREFIXES) and not is_place(name) for name in names)
    if listed or is_usual:
        return known
    shown = (find_compartment(name) for name in names)
    return (*known, *dict.fromkeys(compartment for compartment in shown if compartment is not None))


def find_compartment(name: str) -> str | None:
    """What stands before CellProfiler's category in the name of a column (``Soma`` of ``Soma_AreaShape_Area``)."""
    match = _CATEGORY.match(name)
    return match["compartment"] if match and not name.startswith(NO_FEATURE_PREFIXES) else None


def may_be_feature(name: str, settings: DatasetSettings) -> bool:
    """Whether a column may be a feature where no name tells: no metadata, image or key."""
    return (
        name not in _KNOWN
        and not name.startswith(NO_FEATURE_PREFIXES)
        and not _KEY_NAME.fullmatch(name)
        and not any(name in columns for columns in settings.aliases.values())
    )


def is_included(name: str, settings: DatasetSettings) -> bool:
    """Whether the settings say that a column is a feature; metadata and columns of the image never are."""
    return (
        fits_pattern(name, settings.feature_include)
        and not fits_pattern(name, settings.feature_exclude)
        and not name.startswith("Metadata_")
        and name not in _KNOWN
    )


def fits_pattern(name: str, patterns: Sequence[str]) -> bool:
    """Whether a shell pattern of ``*`` and ``?`` fits the whole name; brackets stand for themselves."""
    return any(fnmatch.fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in patterns)
