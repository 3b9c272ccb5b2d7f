"""The options that every store, table and root is opened with, from ``BIOIMAGE_STORAGE_*`` variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TypeVar

PREFIX = "BIOIMAGE_STORAGE_"
FOLLOW_VARIABLE = "BIOIMAGE_FOLLOW_SYMLINKS"
# An option of local stores: whether links that lead out of a store, or to folders, are followed.
FOLLOW_SYMLINKS = "follow_symlinks"
_ON = ("1", "on", "true", "yes")

Value = TypeVar("Value")


def read_storage_options(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Options by lower-cased name (``endpoint``, ``skip_signature`` …); what a caller does not give is taken from here.

    >>> read_storage_options({"BIOIMAGE_STORAGE_ENDPOINT": "http://localhost:9000", "HOME": "/root"})
    {'endpoint': 'http://localhost:9000'}
    """
    env = os.environ if environ is None else environ
    options = {name[len(PREFIX) :].lower(): value for name, value in env.items() if name.startswith(PREFIX)}
    if follow := env.get(FOLLOW_VARIABLE):
        options[FOLLOW_SYMLINKS] = follow
    return options


def follows_symlinks(options: Mapping[str, object] | None) -> bool:
    """Tell whether local stores are opened so that links are followed; without options the environment says it.

    >>> follows_symlinks({"follow_symlinks": "on"})
    True
    """
    value = (options or read_storage_options()).get(FOLLOW_SYMLINKS, False)
    return str(value).strip().lower() in _ON


def with_follow_symlinks(options: Mapping[str, Value], follow: bool | None) -> dict[str, Value | str]:
    """The options with what a dataset says about links; None says nothing."""
    if follow is None:
        return dict(options)
    return {**options, FOLLOW_SYMLINKS: "on" if follow else "off"}


def without_local_options(options: Mapping[str, Value]) -> dict[str, Value]:
    """The options that are meant for servers."""
    return {name: value for name, value in options.items() if name.lower() != FOLLOW_SYMLINKS}
