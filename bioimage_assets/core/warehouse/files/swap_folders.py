"""Exchange two folders in one step where the operating system can (``renameat2(2)``, Linux ≥ 3.15)."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100  # of <fcntl.h>: relative to the working folder
_RENAME_EXCHANGE = 2  # of <linux/fs.h>
# Not supported here (kernel, file system, overlay): the caller falls back to a stated order of renames.
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EXDEV, errno.EPERM})


def exchange_paths(first: Path, second: Path) -> bool:
    """Exchange two existing paths atomically; False where the platform cannot, and then nothing changed.

    Raises
    ------
    OSError
        The exchange is possible here but failed, e.g. a path is missing.
    """
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    result = rename(
        _AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), ctypes.c_uint(_RENAME_EXCHANGE)
    )
    if result == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(first), None, str(second))
