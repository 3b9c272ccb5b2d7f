"""What a check of a plate is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.resources.project import ProjectResource


@dataclass(frozen=True)
class CheckInputs:
    """Stored tables of one plate.

    ``find_source`` looks for it in the watched roots, and gives None where it is in none any more; few checks ask.
    ``table_name`` is the table that is checked.
    """

    project: ProjectResource
    tables: ProjectTables
    plate_key: str
    find_source: Callable[[], PlateSource | None]
    table_name: str = ""

    @property
    def settings(self) -> DatasetSettings:
        """Settings of the plate's dataset, the defaults where the dataset is gone."""
        source = self.find_source()
        return self.project.dataset_settings(source.dataset_uri) if source else DatasetSettings()

    @property
    def is_strict(self) -> bool:
        """Whether findings of level error block what is made of the table."""
        return self.project.settings.strict or self.settings.strict

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of the plate in a table; MissingTableError where nothing was ever stored under the name."""
        return self.tables.read(name, self.plate_key, columns)

    def find(self, name: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """The same, None where nothing is stored."""
        return self.tables.find(name, self.plate_key, columns)
