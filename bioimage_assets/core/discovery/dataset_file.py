"""Reading ``dataset.toml`` beside the data, and writing a commented one from what is found.

https://toml.io/en/v1.0.0
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from bioimage_assets.core.discovery.dataset_template import write_dataset_template
from bioimage_assets.core.errors import KeyMissingError, SettingsError, StoreNotFoundError
from bioimage_assets.core.settings.dataset import DATASET_FILE, DatasetSettings
from bioimage_assets.core.settings.dataset_keys import DATASET_KEYS, KEYS_BY_PATH, ValueRefusedError
from bioimage_assets.core.stores.open import open_store

__all__ = ["parse_dataset_settings", "read_dataset_settings", "write_dataset_template"]

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
    location = f"{dataset_uri.rstrip('/')}/{DATASET_FILE}"
    try:
        store = open_store(dataset_uri, storage_options=storage_options)
    except StoreNotFoundError:
        return DatasetSettings()
    try:
        payload = store.get(DATASET_FILE, max_bytes=MAX_SETTINGS_BYTES)
    except KeyMissingError:
        return DatasetSettings()
    finally:
        store.close()
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{location}: the file is not UTF-8 text: {error}.") from error
    return parse_dataset_settings(text, location)


def parse_dataset_settings(text: str, location: str = DATASET_FILE) -> DatasetSettings:
    """Parse the text of a ``dataset.toml``; every problem is a SettingsError naming ``location`` and the key."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, lists in lists in lists
        raise SettingsError(f"{location}: not valid TOML: {error}.") from error
    values: dict[str, Any] = {}
    for path, value in _walk(document):
        key = KEYS_BY_PATH.get(path)
        if key is None:
            raise SettingsError(f"{location}: unknown key '{path}'.{_suggest(path)}")
        try:
            parsed = key.parse(value)
        except ValueRefusedError as error:
            raise SettingsError(f"{location}: {path}: {error}.") from error
        if key.field == "aliases":
            values.setdefault("aliases", {})[key.name] = parsed
        else:
            values[key.field] = parsed
    return DatasetSettings(**values)


def _walk(document: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Give (dotted path, value) of every key, not descending into a known key's own tables."""
    tables = {key.table for key in DATASET_KEYS}
    for name, value in document.items():
        path = f"{prefix}{name}"
        is_table = path in tables or any(table.startswith(f"{path}.") for table in tables)
        if isinstance(value, dict) and is_table and path not in KEYS_BY_PATH:
            yield from _walk(value, f"{path}.")
        else:
            yield path, value


def _suggest(path: str) -> str:
    """Say which key may have been meant: the nearest path, else the same name in another table."""
    name = path.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(path, KEYS_BY_PATH, n=1, cutoff=0.75)
    near = near or [key.path for key in DATASET_KEYS if name in (key.name, key.field)]
    if not near:
        by_name = {key.name: key.path for key in DATASET_KEYS}
        near = [by_name[match] for match in difflib.get_close_matches(name, by_name, n=1, cutoff=0.7)]
    known = ", ".join(dict.fromkeys(key.table for key in DATASET_KEYS))
    return f" Did you mean '{near[0]}'?" if near else f" Known tables: {known}."
