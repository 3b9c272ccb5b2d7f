"""Stores below a folder or bucket prefix that match a pattern, found by listing folder after folder."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bioimage_assets.core.errors import StoreNotFoundError
from bioimage_assets.core.stores.tree import open_tree

_GLOB_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|[^*?\[]+|\[")
_GLOB_REGEX = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def find_stores(root: str, pattern: str, storage_options: Mapping[str, object]) -> list[tuple[str, str]]:
    """Matches as (URI, path below the root), sorted; neither a match nor a Zarr folder is searched further.

    StoreNotFoundError where nothing is at the root.
    """
    missing = f"{root} is empty or does not exist; expected a folder or bucket prefix that holds stores."
    matches = build_glob(pattern)
    try:
        tree = open_tree(root, dict(storage_options))
        pending = tree.children("")
    except StoreNotFoundError as error:
        raise StoreNotFoundError(missing) from error
    if not pending:
        raise StoreNotFoundError(missing)
    found = []
    while pending:
        entry = pending.pop()
        if matches.fullmatch(entry.path):
            found.append(entry.path)
        elif entry.is_folder and not entry.name.lower().endswith(".zarr"):
            pending.extend(tree.children(entry.path))
    return [(tree.uri(path), path) for path in sorted(found)]


def build_glob(pattern: str) -> re.Pattern[str]:
    """Regular expression of a glob over paths with ``/``: ``**`` spans folders, ``*`` and ``?`` do not."""
    parts = []
    for token in _GLOB_TOKEN.findall(pattern):
        if token.startswith("[") and len(token) > 1:
            parts.append("[^" + token[2:] if token[1] in "!^" else token)
        else:
            parts.append(_GLOB_REGEX.get(token) or re.escape(token))
    return re.compile("".join(parts))
