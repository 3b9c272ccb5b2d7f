"""What a step of a plate or dataset is given: its stored inputs, its files, its settings and a folder for large leftovers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from bioimage_assets.core.errors import StoreNotFoundError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.identity import build_key_part
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.settings.campaign import CampaignSettings
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.settings.project import ProjectSettings
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.core.storage_options import with_follow_symlinks


@dataclass(frozen=True, slots=True)
class StepInputs:
    """Inputs of one partition of a step.

    Parameters
    ----------
    partition
        Key of the plate (``dataset/plate``), of the dataset or of the campaign (``campaign:name``).
    sources
        Files of the plate, or of all plates of the dataset or campaign, as they were listed before the step began.
    settings
        The dataset's, or the campaign's, settings, read once for this step.
    asked
        Names of the step's tables that are wanted; a step that makes them from one look may give all.
    stored_rows
        Rows that the tables of a scan have by now, by name; empty for other steps.
    scratch
        Folder for files that are too large for memory; removed after the step.
    """

    tables: ProjectTables
    partition: str
    sources: tuple[PlateSource, ...]
    settings: DatasetSettings
    scratch: Path
    asked: tuple[str, ...] = ()
    stored_rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def source(self) -> PlateSource:
        """The plate's files."""
        return self.sources[0]

    @property
    def campaign(self) -> CampaignSettings:
        """The settings of a step of a campaign."""
        assert isinstance(self.settings, CampaignSettings), f"{self.partition} is a campaign"
        return self.settings

    def name_file(self, finding: Finding) -> Finding:
        """The same finding, naming the file of settings that it speaks of."""
        if isinstance(self.settings, CampaignSettings):
            return finding.name_campaign(self.settings.file_uri, self.settings.name)
        return finding.name_file(self.source.dataset_uri)

    @property
    def dataset_id(self) -> str:
        """Dataset part of the partition's key."""
        return build_key_part(self.source.dataset_name)

    @property
    def project(self) -> ProjectSettings:
        """Settings of the whole project."""
        return self.tables.settings

    @property
    def storage_options(self) -> Mapping[str, str]:
        """What stores are opened with."""
        return with_follow_symlinks(self.tables.settings.storage_options, self.settings.follow_symlinks)

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of this partition in a stored table; MissingTableError where nothing was ever stored under the name."""
        return self.tables.read(name, self.partition, columns)

    def find(self, name: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """The same, None where nothing is stored."""
        return self.tables.find(name, self.partition, columns)

    def stream(self, name: str, columns: Sequence[str] | None = None) -> pa.RecordBatchReader:
        """The same as a stream in bounded memory."""
        return self.tables.stream(name, self.partition, columns)

    def find_cells(self, name: str) -> list[str] | pa.Table | None:
        """A wide table of this partition in the form that streams best."""
        return self.tables.find_cells(name, self.partition)


def require_source(plate_key: str, sources: Sequence[PlateSource]) -> tuple[PlateSource, ...]:
    """Give the plate's files or say that they are gone; stored rows are never removed for that.

    Raises
    ------
    StoreNotFoundError
        The plate is in no watched root.
    """
    if not sources:
        raise StoreNotFoundError(
            f"No store of plate {plate_key!r} is found in the watched roots. Its stored rows are kept; "
            "bring the store back, or remove the plate with 'bioimage-assets partitions remove'."
        )
    return tuple(sources)


def require_dataset(dataset: str, sources: Sequence[PlateSource]) -> tuple[PlateSource, ...]:
    """Give the dataset's plates as they are in the watched roots; StoreNotFoundError where there is none."""
    if not sources:
        raise StoreNotFoundError(
            f"No plate of dataset {dataset!r} is found in the watched roots; stored rows are kept."
        )
    return tuple(sources)


def require_campaign(campaign: CampaignSettings, sources: Sequence[PlateSource]) -> tuple[PlateSource, ...]:
    """Give the plates of all datasets of a campaign; StoreNotFoundError where there is none."""
    if not sources:
        raise StoreNotFoundError(
            f"{campaign.file_uri}: no plate of campaign {campaign.name!r} (datasets {', '.join(campaign.datasets)}) is found in "
            "the watched roots; stored rows are kept."
        )
    return tuple(sources)
