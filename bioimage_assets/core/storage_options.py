"""The storage options that every store, table and root is opened with, from ``BIOIMAGE_STORAGE_*`` variables."""

from __future__ import annotations

import os
from collections.abc import Mapping

PREFIX = "BIOIMAGE_STORAGE_"


def read_storage_options(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Options by lower-cased name (``endpoint``, ``skip_signature`` …); what a caller does not give is taken from here.

    >>> read_storage_options({"BIOIMAGE_STORAGE_ENDPOINT": "http://localhost:9000", "HOME": "/root"})
    {'endpoint': 'http://localhost:9000'}
    """
    env = os.environ if environ is None else environ
    return {name[len(PREFIX) :].lower(): value for name, value in env.items() if name.startswith(PREFIX)}
