"""The error for what the operating system refused: which file, why, and what to do."""

from __future__ import annotations

import errno
from pathlib import Path

from bioimage_assets.core.errors import WarehouseError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def describe_failure(error: OSError) -> str:
    """Reason of a failure and the file that it met, where the error says which."""
    if error.errno in _FULL:
        reason = "no space is left (or a size limit was reached); free space and run again"
    elif error.errno in _DENIED:
        reason = "permission is denied or the file system is read-only"
    else:
        reason = error.strerror or str(error)
    # Arrow names the file in its text only.
    file = error.filename or (error.strerror or "").partition("'")[2].partition("'")[0]
    return f"{reason} ({file})" if file else reason


def as_warehouse_error(error: OSError, path: Path, action: str) -> WarehouseError:
    """Say in the project's words why a root cannot be read or written."""
    kept = "" if action == "read" else " No row was changed."
    return WarehouseError(f"Cannot {action} the warehouse at {path}: {describe_failure(error)}.{kept}")
