"""Small files beside the warehouse that appear whole: written under a name of their own, then renamed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4


def write_file(path: Path, payload: bytes) -> None:
    """Replace a file by rename. Writers of several hosts and threads do not meet: each has a name that nobody else has."""
    staged = path.with_name(f".{path.name[:100]}.{uuid4().hex}")
    try:
        staged.write_bytes(payload)
        os.replace(staged, path)
    except OSError:
        with suppress(OSError):
            staged.unlink()
        raise
