"""Names of folders below a dataset that never hold a plate's images. Source of truth: README, "Your own data"."""

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


def is_reserved_folder(name: str) -> bool:
    """Tell whether a folder of this name is left out of a walk; ``.snapshots`` and other hidden ones are too."""
    return name.startswith(".") or name.lower() in RESERVED_FOLDERS
