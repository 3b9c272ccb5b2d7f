"""A plate in, whether its stored scan is one of other files than there are now: its rows say where in the files the pixels lie."""

from __future__ import annotations

from bioimage_assets.core.discovery.of_project import find_plate_sources, read_filled_settings
from bioimage_assets.core.storage.stale import is_made_of_other_files
from bioimage_assets.core.storage.state import look_at_tables
from bioimage_assets.core.storage.tables import ProjectTables

_TABLE = "chunk_index"


def is_scan_outdated(tables: ProjectTables, plate_key: str) -> bool:
    """List the files of a plate and compare them with those of its last scan; none is opened.

    False, too, where nobody can tell: the plate is in no watched root, or its rows were stored by no run.
    """
    source = find_plate_sources(tables.settings, [plate_key]).get(plate_key)
    if source is None:
        return False
    state = look_at_tables(tables, [_TABLE], [plate_key])
    settings = read_filled_settings(tables.settings, source.dataset_uri)
    return is_made_of_other_files(state, _TABLE, source, settings)
