"""The committed list of changes that no test needs to notice, with reasons."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

EXPLAINED = Path(__file__).with_name("explained.toml")


def read_explained(path: Path = EXPLAINED) -> dict[tuple[str, str], str]:
    """Reason by (module below ``core``, name of the change).

    Raises
    ------
    ValueError
        When an entry has no reason worth the name, or stands there twice.
    """
    explained: dict[tuple[str, str], str] = {}
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("change", []):
        key = (entry["module"], f"{entry['function']}: {entry['change']}")
        if len(entry.get("why", "").split()) < 4:
            raise ValueError(f"{path}: {key} has no reason; say in a sentence why nobody can see the change.")
        if key in explained:
            raise ValueError(f"{path}: {key} stands there twice.")
        explained[key] = entry["why"]
    return explained


def find_stale(explained: Mapping[tuple[str, str], str], changes: Mapping[str, Sequence[str]]) -> list[str]:
    """Entries that name no change of their module; ``changes`` holds the names of all, by module."""
    return [
        f"{module}: {name}" for module, name in explained if module in changes and name not in changes[module]
    ]
