"""Names of folders right below a dataset that are no plates. Source of truth: README, "Your own data".

Deeper down, and in a folder that is scanned by itself, these are names like any other.
"""

from __future__ import annotations

MEASUREMENTS_FOLDER = "measurements"
SHARED_FOLDERS = frozenset({"platemaps", "metadata"})
RESERVED_FOLDERS = SHARED_FOLDERS | {
    MEASUREMENTS_FOLDER,
    "truth",
    "segmentation",
    "masks",
    "profiles",
    "quality_control",
}


# Right below a dataset: LoadData tables of plates whose images lie elsewhere.
IMAGE_LIST_FOLDERS = frozenset({"load_data", "load_data_csv"})
NO_PLATE_FOLDERS = RESERVED_FOLDERS | IMAGE_LIST_FOLDERS
# Reserved folders that may well hold images which are no fields of view: masks, outlines, what is known to be true.
MASK_FOLDERS = frozenset({"segmentation", "masks"})
PICTURE_FOLDERS = MASK_FOLDERS | {MEASUREMENTS_FOLDER, "truth", "quality_control"}
