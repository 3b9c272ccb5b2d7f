"""Values of a TOML document by the keys that are known; a key that is not known is an error that says which may be meant."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bioimage_assets.core.errors import SettingsError
from bioimage_assets.core.settings.toml_values import ValueRefusedError


@dataclass(frozen=True, slots=True)
class TomlKey:
    """One key: ``table.name`` in the file sets ``field`` of the settings; ``example`` is TOML for the template."""

    table: str
    name: str
    field: str
    parse: Callable[[object], object]
    example: str
    meaning: str

    @property
    def path(self) -> str:
        """Dotted path of the key in the file."""
        return f"{self.table}.{self.name}" if self.table else self.name


def parse_toml(text: str, location: str) -> dict[str, Any]:
    """The document of a text; SettingsError naming ``location`` where it is no TOML."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, lists in lists in lists
        raise SettingsError(f"{location}: not valid TOML: {error}.") from error


def read_keys(
    document: Mapping[str, object], keys: Sequence[TomlKey], location: str
) -> Iterator[tuple[TomlKey, object]]:
    """Give each key of a document with its parsed value; ``location`` is what errors begin with.

    Raises
    ------
    SettingsError
        A key is unknown, or its value not acceptable.
    """
    by_path = {key.path: key for key in keys}
    for path, value in _walk(document, by_path):
        key = by_path.get(path)
        if key is None:
            raise SettingsError(f"{location}: unknown key '{path}'.{suggest_key(path, keys)}")
        try:
            yield key, key.parse(value)
        except ValueRefusedError as error:
            raise SettingsError(f"{location}: {path}: {error}.") from error


def _walk(
    document: Mapping[str, object], by_path: Mapping[str, TomlKey], prefix: str = ""
) -> Iterator[tuple[str, object]]:
    """Give (dotted path, value) of every key, not descending into a known key's own tables."""
    tables = {key.table for key in by_path.values()}
    for name, value in document.items():
        path = f"{prefix}{name}"
        is_table = path in tables or any(table.startswith(f"{path}.") for table in tables)
        if isinstance(value, dict) and is_table and path not in by_path:
            yield from _walk(value, by_path, f"{path}.")
        else:
            yield path, value


def suggest_key(path: str, keys: Sequence[TomlKey]) -> str:
    """Say which key may have been meant: the nearest path, else the same name in another table."""
    name = path.rsplit(".", 1)[-1]
    near = difflib.get_close_matches(path, [key.path for key in keys], n=1, cutoff=0.75)
    near = near or [key.path for key in keys if name in (key.name, key.field)]
    if not near:
        by_name = {key.name: key.path for key in keys}
        near = [by_name[match] for match in difflib.get_close_matches(name, by_name, n=1, cutoff=0.7)]
    known = ", ".join(dict.fromkeys(key.table or key.name for key in keys))
    return f" Did you mean '{near[0]}'?" if near else f" Known tables: {known}."
