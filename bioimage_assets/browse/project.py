"""The project that is looked at: its settings and stored tables, and of some plates what was read already."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import pyarrow as pa

from bioimage_assets.browse.kept import Kept
from bioimage_assets.core.settings.project import ProjectSettings
from bioimage_assets.core.storage.open_tables import open_project_tables
from bioimage_assets.core.storage_options import with_follow_symlinks

KEPT_PLATES = 8
LOOK_AGAIN_S = 2.0
"""Seconds for which it is taken for granted that nobody has stored anything since the last look."""

Value = TypeVar("Value")


class BrowsedProject:
    """Stored tables of one project, read for many requests.

    What was read is kept until the catalog or the warehouse changes, which is looked for every other second.
    """

    def __init__(self, settings: ProjectSettings) -> None:
        self.settings = settings
        self.tables = open_project_tables(settings)
        self._kept: Kept[object] = Kept(KEPT_PLATES * 8)
        self._lock = threading.Lock()
        self._looked_at = 0.0
        self._state: object = None
        self._change = 0

    @property
    def storage_options(self) -> dict[str, str]:
        """What stores are opened with."""
        return with_follow_symlinks(self.settings.storage_options, self.settings.follow_symlinks)

    def find(self, name: str, partition: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """Rows of one plate; None where none are stored. The catalog is not made by looking."""
        if self.tables.is_in_catalog(name) and not self.tables.is_catalog_there():
            return None
        return self.tables.find(name, partition, columns)

    def keep(self, key: tuple[object, ...], make: Callable[[], Value]) -> Value:
        """What ``make`` gave for this key since the stored tables changed last."""
        self._forget_old()
        return self._kept.get(key, make)  # type: ignore[return-value]  # each key has values of one type

    def recall(self, key: tuple[object, ...]) -> object | None:
        """What is kept for a key, if anything; nothing is made."""
        self._forget_old()
        return self._kept.recall(key)

    @property
    def change(self) -> int:
        """How often something was stored since the start, as far as it was seen."""
        self._forget_old()
        return self._change

    def _forget_old(self) -> None:
        now = time.monotonic()
        with self._lock:
            if now - self._looked_at < LOOK_AGAIN_S:
                return
            self._looked_at = now
        state = self._read_state()
        with self._lock:
            is_same = state == self._state
            self._state = state
            self._change += not is_same
        if not is_same:
            self._kept.clear()

    def _read_state(self) -> object:
        """What changes with every write: the warehouse's generation, and where the catalog keeps its image table's metadata."""
        where = None
        if self.tables.is_in_catalog("image_assets") and self.tables.is_catalog_there():
            catalog, identifier = self.tables.identify("image_assets")
            if catalog.table_exists(identifier):
                where = catalog.load_table(identifier).metadata_location
        return (self.tables.warehouse.manifest().generation, where)
