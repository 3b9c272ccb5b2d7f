"""The tables that `locate` looks into: files that were named, else the project's own, as narrow as can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bioimage_assets.cli.profile_commands import TableChoice
from bioimage_assets.cli.project_tables import StoredTables
from bioimage_assets.core.errors import MissingTableError


@dataclass(frozen=True, slots=True)
class LocatedTables:
    """Joined profiles to look the object up in, and where the tables of its image are."""

    joined: object
    image_assets: str | None
    chunk_index: str | None
    tables: StoredTables

    def of_image(self, row: Mapping[str, object]) -> tuple[object | None, object | None]:
        """Image and chunk table of one object; None where the project has none."""
        return self._narrow("image_assets", self.image_assets, row), self._narrow(
            "chunk_index", self.chunk_index, row
        )

    def _narrow(self, name: str, given: str | None, row: Mapping[str, object]) -> object | None:
        if given is not None:
            return given
        try:
            table = self.tables.find(name)
        except MissingTableError:
            return None
        plate, image = row.get("plate_key"), row.get("image_id")
        where = None if image is None else "image_id = '" + str(image).replace("'", "''") + "'"
        found: object = self.tables.read(
            table, plate_keys=None if plate is None else [str(plate)], where=where
        )
        return found


def find_tables(tables: StoredTables, object_id: str, given: TableChoice) -> LocatedTables:
    """What `locate` needs; of the project's joined profiles only the plate that the object's id names."""
    joined = _joined(tables, object_id) if given.joined is None else given.joined
    return LocatedTables(joined, given.image_assets, given.chunk_index, tables)


def _joined(tables: StoredTables, object_id: str) -> object:
    table = tables.find("joined_profiles")
    plate_key = "/".join(object_id.split("/")[:2])
    if table.home == "catalog":
        return tables.read(table, plate_keys=[plate_key])
    assert tables.warehouse is not None
    known = [plate_key] if tables.warehouse.find_partitions(table.name, [plate_key]) else None
    if tables.warehouse.files_at.is_local:
        return tables.warehouse.dataset(table.name, plate_keys=known)
    files = tables.warehouse.files(table.name, known)
    if not files:
        raise MissingTableError(f"The table {table.name} of {tables.warehouse.root} has no files.")
    return files
