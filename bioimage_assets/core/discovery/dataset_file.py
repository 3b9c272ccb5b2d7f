"""Reading ``dataset.toml`` beside the data, and writing a commented one from what is found.

https://toml.io/en/v1.0.0
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bioimage_assets.core.discovery.dataset_template import write_dataset_template
from bioimage_assets.core.errors import (
    CorruptStoreError,
    KeyMissingError,
    SettingsError,
    StoreNotFoundError,
    UnsupportedStoreError,
)
from bioimage_assets.core.settings.dataset import DATASET_FILE, DatasetSettings
from bioimage_assets.core.settings.dataset_keys import DATASET_KEYS
from bioimage_assets.core.settings.toml_keys import parse_toml, read_keys
from bioimage_assets.core.stores.open import open_store

__all__ = ["parse_dataset_settings", "read_dataset_settings", "read_settings_text", "write_dataset_template"]

MAX_SETTINGS_BYTES = 1 << 20  # a dataset.toml is written by hand: some kB


def read_dataset_settings(
    dataset_uri: str, *, storage_options: Mapping[str, object] | None = None
) -> DatasetSettings:
    """Read ``<dataset_uri>/dataset.toml``, local or remote; the defaults where there is none.

    ``storage_options`` are the project's (``BIOIMAGE_STORAGE_*``), for a dataset in a bucket.

    Raises
    ------
    SettingsError
        The file is not TOML, or a key is unknown or its value not acceptable; names file and key.

    Examples
    --------
    >>> read_dataset_settings("data/incoming/screen").normalization_method
    'standardize'
    """
    text = read_settings_text(dataset_uri, DATASET_FILE, storage_options=storage_options)
    if text is None:
        return DatasetSettings()
    return parse_dataset_settings(text, f"{dataset_uri.rstrip('/')}/{DATASET_FILE}")


def read_settings_text(
    folder_uri: str, name: str, *, storage_options: Mapping[str, object] | None = None
) -> str | None:
    """Text of a file of settings in a folder, local or remote; None where there is no such file or folder.

    None, too, where a single file is in the place of the folder: a store at the top of a watched root is a dataset of its own.

    Raises
    ------
    SettingsError
        The file is not UTF-8 text.
    """
    try:
        store = open_store(folder_uri, storage_options=storage_options)
    except (
        StoreNotFoundError,
        UnsupportedStoreError,
        CorruptStoreError,
    ):  # nothing, a TIFF, a broken archive
        return None
    try:
        payload = store.get(name, max_bytes=MAX_SETTINGS_BYTES)
    except KeyMissingError:
        return None
    finally:
        store.close()
    try:
        return payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        location = f"{folder_uri.rstrip('/')}/{name}"
        raise SettingsError(f"{location}: the file is not UTF-8 text: {error}.") from error


def parse_dataset_settings(text: str, location: str = DATASET_FILE) -> DatasetSettings:
    """Parse the text of a ``dataset.toml``; every problem is a SettingsError naming ``location`` and the key."""
    values: dict[str, Any] = {}
    for key, parsed in read_keys(parse_toml(text, location), DATASET_KEYS, location):
        if key.field == "aliases":
            values.setdefault("aliases", {})[key.name] = parsed
        else:
            values[key.field] = parsed
    return DatasetSettings(**values)
