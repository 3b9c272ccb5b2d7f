"""Says that there is no project in this folder: neither the watched roots nor anything stored is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bioimage_assets.core.findings import Finding

if TYPE_CHECKING:
    from bioimage_assets.core.settings.project import ProjectSettings

UNSEEN_ROOT = "unreadable-root"
"""Code of a watched root that is missing or cannot be read."""


def find_missing_project(settings: ProjectSettings) -> list[Finding]:
    """One finding where nothing of a project is on this disk, as in a folder that was entered by mistake."""
    places = [*settings.incoming_uris, settings.warehouse_uri, str(settings.data_dir)]
    if any("://" in place or Path(place).exists() for place in places):
        return []
    text = (
        f"There is no project in {Path.cwd()}: expected the watched folder {settings.incoming_uris[0]} or the warehouse "
        f"{settings.warehouse_uri}, found neither. Go to the folder of the project, or name its data folder in "
        f"BIOIMAGE_DATA_DIR; to begin one, create {settings.incoming_uris[0]} and put a dataset into it."
    )
    return [Finding("no-project", "error", "", text)]
