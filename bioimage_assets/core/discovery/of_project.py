"""Settings of a project in; plates of its watched roots, and settings of their datasets, out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bioimage_assets.core.discovery.dataset_file import read_dataset_settings
from bioimage_assets.core.discovery.roots import discover_roots
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.settings.project import ProjectSettings


def find_plate_sources(project: ProjectSettings, plate_keys: Iterable[str]) -> dict[str, PlateSource]:
    """Sources of the given plates; a plate whose store is gone is absent from the result."""
    wanted = set(plate_keys)
    found = discover_roots(
        project.incoming_uris,
        storage_options=project.storage_options,
        datasets={dataset_of(key) for key in wanted},
        plate_keys=wanted,
    )
    return {source.plate_key: source for source in found.sources}


def read_filled_settings(project: ProjectSettings, dataset_uri: str) -> DatasetSettings:
    """Settings beside a dataset, in a bucket too; what they leave open and the project settles is filled in."""
    settings = read_dataset_settings(dataset_uri, storage_options=project.storage_options)
    if settings.follow_symlinks is None and project.follow_symlinks:
        settings = replace(settings, follow_symlinks=True)
    if settings.pictures is None and not project.pictures:
        settings = replace(settings, pictures=False)
    return settings
