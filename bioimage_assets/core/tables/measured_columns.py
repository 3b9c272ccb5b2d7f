"""Columns of tables that depend on what was measured: those that are always there, and families told by a pattern.

For the data dictionary in ``docs/tables.md``; tables that have the same columns on every plate stand in ``schemas.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# CellProfiler's modules, as its columns name them after the compartment:
# https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-4.2.6/index.html
CATEGORIES = {
    "AreaShape": ("size and shape of the object", "pixels, square pixels or ratios"),
    "Location": ("where the object lies in its field", "pixels"),
    "Intensity": ("brightness of a channel under the object", "0 to 1 of the pixel type"),
    "Texture": ("Haralick's measures of a channel, by scale and direction", ""),
    "Granularity": ("share of a channel's signal at one size of structure", "%"),
    "Correlation": ("how two channels go together under the object", "-1 to 1, or shares"),
    "RadialDistribution": ("where a channel is bright between centre and rim", "shares"),
    "Neighbors": ("how many neighbours, and how near", "counts, pixels, %"),
    "Number": ("number of the object in its image", ""),
    "Children": ("how many objects lie inside", "counts"),
    "Parent": ("number of the object around", ""),
    "ObjectSkeleton": ("length and branches of a skeleton", "pixels, counts"),
}
AS_MEASURED = "as measured"


@dataclass(frozen=True, slots=True)
class MeasuredColumns:
    """One column, or a family of columns: ``<…>`` in the name stands for any word.

    ``kind`` is an Arrow type, or :data:`AS_MEASURED`. ``meaning`` and ``unit`` are empty where the name says them
    (``catalog/nested_docs.py``, ``catalog/column_units.py``). ``is_always_there`` is False where some plates lack it.
    """

    name: str
    kind: str
    meaning: str = ""
    unit: str = ""
    is_always_there: bool = True
    is_nullable: bool = True

    def fits(self, column: str) -> bool:
        """Whether a column is this one, or of this family."""
        pattern = "".join(
            "(.+)" if part.startswith("<") else re.escape(part) for part in re.split("(<[^>]+>)", self.name)
        )
        return re.fullmatch(pattern, column) is not None

    @property
    def is_family(self) -> bool:
        """Whether it stands for several columns."""
        return "<" in self.name


def _list(kind: str, *names: str, always: bool = True) -> tuple[MeasuredColumns, ...]:
    return tuple(MeasuredColumns(name, kind, is_always_there=always) for name in names)


def _features(meaning: str, unit: str) -> tuple[MeasuredColumns, ...]:
    return (
        MeasuredColumns("<Compartment>_<Category>_<feature>", "double", meaning, unit, is_always_there=False),
        _OTHER_FEATURES,
    )


_OTHER_FEATURES = MeasuredColumns(
    "<model>_<number>, …",
    "double",
    "A feature of another tool",
    is_always_there=False,
)
_KEYS = _list("string", "plate_key", "dataset_id")
_PLATE_AND_WELL = _list("string", "plate_id", "well_id")
_PLACE = _list("string", "Metadata_Plate", "Metadata_Well", "Metadata_Site", always=False)
_IMAGE_NUMBER = _list("int64", "Metadata_ImageNumber", always=False)
_OBJECT_NUMBERS = (
    *_list("int64", "Metadata_ObjectNumber", always=False),
    MeasuredColumns("Metadata_<object>_Parent_<object>", "int64", "Number of the object around it", is_always_there=False),
)  # fmt: skip
_OF_IMAGE = (
    MeasuredColumns("Image_Count_<object>", "int64", "Objects that the measurement tool counted in the image", "count", False),
    MeasuredColumns("Image_FileName_<channel>", "string", "File that the channel was measured on", is_always_there=False),
    MeasuredColumns("Image_PathName_<channel>", "string", "Folder of that file", is_always_there=False),
    MeasuredColumns("Image_MD5Digest_<channel>", "string", "MD5 of that file", is_always_there=False),
    MeasuredColumns("Image_Height_<channel>", "double", "Height of the image", "pixels", False),
    MeasuredColumns("Image_Width_<channel>", "double", "Width of the image", "pixels", False),
    MeasuredColumns("Image_Metadata_<name>", "string", "What the measurement tool knew of the image", is_always_there=False),
    MeasuredColumns("Image_<name>", AS_MEASURED, "Any other measurement of the whole image", is_always_there=False),
)  # fmt: skip
_OTHER_METADATA = MeasuredColumns(
    "Metadata_<name>", "string", "Any other metadata that the measurements carry", is_always_there=False
)
_OF_CELLS = (*_OBJECT_NUMBERS, *_OF_IMAGE, _OTHER_METADATA)
_RAW = _features("A feature of CellProfiler, as it was measured", "by category")
_SCALED = _features(
    "The feature, relative to what Metadata_Normalized_To names", "deviations of the reference"
)
_OF_PLATEMAP = MeasuredColumns(
    "Metadata_<platemap column>", AS_MEASURED, "Column of the platemap: text, or a number where the name says that it is a quantity",
    is_always_there=False,
)  # fmt: skip
_JOINED = (
    MeasuredColumns("plate_key", "string", is_nullable=False),
    *_list("string", "dataset_id", "plate_id", "well_id", "site_id", "acquisition_id", "image_id", "format_family", "uri", "array_path", "axes"),
    MeasuredColumns("shape", "list<int64>"),
    *_list("string", "dtype"),
    MeasuredColumns("channel_names", "list<string>"),
    *_list("double", "pixel_size_x_um", "pixel_size_y_um", "pixel_size_z_um"),
    *_list("string", "join_rule", "Metadata_ObjectID"),
    *_PLACE,
    *_IMAGE_NUMBER,
)  # fmt: skip
_QUALITY = (
    *_KEYS,
    *_list("string", "Metadata_ObjectID", "image_id"),
    *_PLACE,
    MeasuredColumns("Metadata_cqc_<condition>_is_outlier", "bool", "Whether the condition flags the cell", is_always_there=False),
    MeasuredColumns("Metadata_cqc_<condition>_<feature>_zscore", "double", "The feature, relative to the cells of the plate", "standard deviations", False),
    *_list("bool", "Metadata_cqc_failed", "Metadata_cqc_missing"),
)  # fmt: skip
_COUNTS = (
    *_list("int64", "Metadata_Object_Count", "Metadata_QC_Failed_Count"),
    *_list("bool", "Metadata_Low_Cell_Count"),
    *_list("string", "Metadata_Normalized_To"),
)
_WELLS = (
    *_KEYS, *_PLATE_AND_WELL, *_list("string", "Metadata_Plate", "Metadata_Well", always=False), *_COUNTS, _OF_PLATEMAP, *_SCALED,
)  # fmt: skip
_CORRECTED = (
    *_list("string", "Metadata_Correction_Batch", "Metadata_Reference_Batch", "Metadata_Correction_Method", "Metadata_Position_Corrected"),
    *_list("int64", "Metadata_Filled_Features"),
)  # fmt: skip
_TREATMENTS = (
    *_list("string", "Metadata_Normalized_To"),
    MeasuredColumns("Metadata_Well", "string", "Well of a negative control; null for treatments", is_always_there=False),
    *_list("int64", "Metadata_Replicate_Count", "Metadata_Plate_Count"),
    *_list("int64", "Metadata_Object_Count", always=False),
)  # fmt: skip

MEASURED_COLUMNS: dict[str, tuple[MeasuredColumns, ...]] = {
    "single_cells": (*_KEYS, *_list("string", "Metadata_ObjectID"), *_PLACE, *_IMAGE_NUMBER, *_OF_CELLS, *_RAW),
    "measured_images": (*_KEYS, *_PLACE, *_IMAGE_NUMBER, *_OF_IMAGE, _OTHER_METADATA),
    "joined_profiles": (*_JOINED, *_OF_CELLS, *_RAW),
    "cosmicqc_profiles": _QUALITY,
    "pycytominer_profiles": _WELLS,
    "normalized_cells": (
        *_JOINED, *_list("bool", "Metadata_cqc_failed"), *_list("string", "Metadata_Normalized_To"), *_OF_CELLS, *_SCALED,
    ),
    "pycytominer_selected_features": _WELLS,
    "pycytominer_consensus": (*_list("string", "dataset_id"), *_TREATMENTS, _OF_PLATEMAP, *_SCALED),
    "sphered_profiles": (
        *_KEYS, *_PLATE_AND_WELL, *_list("string", "Metadata_Plate", "Metadata_Well", always=False), *_COUNTS, *_CORRECTED,
        _OF_PLATEMAP, *_features("The feature, without effects of position and batch", "deviations of the batch's controls"),
    ),
    "campaign_consensus": (
        *_list("string", "campaign_key", "campaign_id"),
        *_TREATMENTS,
        *_list("int64", "Metadata_Dataset_Count", "Metadata_Batch_Count"),
        *_list("int64", "Metadata_Source_Count", always=False),
        _OF_PLATEMAP,
        *_SCALED,
    ),
    "campaign_cell_profiles": (
        *_list("string", "campaign_key", "campaign_id"), *_KEYS, *_PLATE_AND_WELL, *_list("string", "Metadata_Well", always=False),
        *_list("int64", "Metadata_Object_Count"), *_RAW,
    ),
}  # fmt: skip
"""Columns in the order in which they stand, as far as it is the same on every plate; the first that fits a column says what it is."""
