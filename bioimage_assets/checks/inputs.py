"""What a check of a plate is given."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.resources.project import ProjectResource


@dataclass(frozen=True)
class CheckInputs:
    """Stored tables of one plate; ``source`` is None where it is in no watched root any more.

    ``table_name`` is the table that is checked.
    """

    project: ProjectResource
    tables: ProjectTables
    plate_key: str
    source: PlateSource | None
    table_name: str = ""

    @property
    def settings(self) -> DatasetSettings:
        """Settings of the plate's dataset, the defaults where the dataset is gone."""
        if self.source is None:
            return DatasetSettings()
        return self.project.dataset_settings(self.source.dataset_uri)

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
