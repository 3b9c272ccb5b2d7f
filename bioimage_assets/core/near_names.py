"""A name that is none of those there are in; the names that were probably meant, in words, out."""

from __future__ import annotations

import difflib
from collections.abc import Collection

from bioimage_assets.core.model.identity import dataset_of

_MAX_NAMES = 3


def suggest_name(name: str, known: Collection[str]) -> str:
    """`` Did you mean 'a' or 'b'?`` with the nearest first; empty where none is near."""
    near = difflib.get_close_matches(name, known, n=_MAX_NAMES, cutoff=0.6)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def suggest_plate(key: str, known: Collection[str]) -> str:
    """The same for the key of a plate; the name of a dataset, or of a plate alone, gives the keys that belong to it."""
    if "/" not in key:
        meant = [one for one in sorted(known) if key in (dataset_of(one), one.rpartition("/")[2])]
        if meant:
            more = " …" if len(meant) > _MAX_NAMES else ""
            return f" The key of a plate is DATASET/PLATE: {', '.join(meant[:_MAX_NAMES])}{more}."
    return suggest_name(key, known)
