"""The settings behind a project's tables, as files below a release: ``project.json``, each ``dataset.toml`` and ``campaign.toml``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import orjson

from bioimage_assets.core.discovery.dataset_file import read_settings_text
from bioimage_assets.core.discovery.roots import discover_roots
from bioimage_assets.core.errors import SettingsError, StoreError
from bioimage_assets.core.model.identity import dataset_of, is_partition_key
from bioimage_assets.core.release.layout import SETTINGS_DIR
from bioimage_assets.core.release.place_files import write_file
from bioimage_assets.core.settings.campaign import CAMPAIGN_FILE
from bioimage_assets.core.settings.dataset import DATASET_FILE
from bioimage_assets.core.settings.project import ProjectSettings
from bioimage_assets.core.storage.step_keys import partition_of

# What decides about numbers or where they are kept. Addresses, folders and storage options stay here: they may hold secrets.
_PROJECT_FIELDS = (
    "catalog_namespace", "engine", "follow_symlinks", "iceberg_tables", "max_head_requests", "pictures", "strict",
    "warehouse_layout",
)  # fmt: skip


def gather_settings(settings: ProjectSettings, keys: Collection[str], release: Path) -> tuple[str, ...]:
    """Write what is there; give a sentence for each dataset whose settings cannot be told.

    ``keys`` are those of stored partitions: plates, datasets, campaigns, what their steps wrote, and places of registered
    profiles that name no plate. The latter are of no dataset.
    """
    partitions = {key for key in map(partition_of, keys) if is_partition_key(key)}
    content = {name: getattr(settings, name) for name in _PROJECT_FIELDS}
    payload = orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    write_file(release / SETTINGS_DIR / "project.json", payload + b"\n")
    plates = sorted(key for key in partitions if "/" in key)
    datasets = sorted({dataset_of(key) for key in partitions})
    return (
        *_write_campaigns(settings, release),
        *_write_datasets(settings, _find_datasets(settings, plates), datasets, release),
    )


def _find_datasets(settings: ProjectSettings, plate_keys: Collection[str]) -> Mapping[str, str]:
    """Folder of each dataset, by the dataset part of its plates' keys."""
    found = discover_roots(
        settings.incoming_uris,
        storage_options=settings.storage_options,
        datasets={dataset_of(key) for key in plate_keys},
        plate_keys=set(plate_keys),
    )
    return {dataset_of(source.plate_key): source.dataset_uri for source in found.sources}


def _write_datasets(
    settings: ProjectSettings, folders: Mapping[str, str], datasets: Collection[str], release: Path
) -> Iterator[str]:
    for dataset in datasets:
        folder = folders.get(dataset)
        if folder is None:
            yield (
                f"The settings of dataset {dataset} are not known: no watched root has a plate of it (BIOIMAGE_INCOMING)."
            )
            continue
        text, problem = _read(folder, DATASET_FILE, settings)
        if text is not None:
            write_file(release / SETTINGS_DIR / dataset / DATASET_FILE, text.encode())
        else:
            yield (
                problem or f"Dataset {dataset} has no {DATASET_FILE}: its tables were made with the defaults."
            )


def _write_campaigns(settings: ProjectSettings, release: Path) -> Iterator[str]:
    for number, root in enumerate(settings.incoming_uris, 1):
        text, problem = _read(root, CAMPAIGN_FILE, settings)
        if text is not None:
            write_file(release / SETTINGS_DIR / f"campaigns-{number}" / CAMPAIGN_FILE, text.encode())
        elif problem is not None:
            yield problem


def _read(folder: str, name: str, settings: ProjectSettings) -> tuple[str | None, str | None]:
    """Text of a file of settings, and why it cannot be read."""
    try:
        return read_settings_text(folder, name, storage_options=settings.storage_options), None
    except (SettingsError, StoreError) as error:
        return None, f"{name} of {folder} could not be read: {error}"
