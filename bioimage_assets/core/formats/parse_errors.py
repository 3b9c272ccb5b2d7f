"""The project's error for whatever parsing a foreign file can raise, in one place.

Readers check what they know can be wrong. A file that is wrong in another way still costs itself only: whatever of
the closed list below leaves its reader is a StoreError with the file's name, which scans turn into a finding.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from zipfile import BadZipFile

from bioimage_assets.core.errors import BioimageError, CorruptStoreError, LimitExceededError, StoreError

# ValueError: UnicodeError, JSON, Arrow's ArrowInvalid, numbers out of range. LookupError: indexes and keys.
# ArithmeticError: overflow, division by zero, decimal. SyntaxError: ElementTree.ParseError. TypeError and
# AttributeError: a value of another kind than the format demands. RuntimeError: RecursionError. OSError: a bad disk.
FOREIGN_ERRORS = (
    ValueError, TypeError, AttributeError, LookupError, ArithmeticError, SyntaxError, RuntimeError, EOFError,
    BufferError, AssertionError, MemoryError, OSError, struct.error, zlib.error, BadZipFile,
)  # fmt: skip


def as_store_error(error: Exception, where: str) -> StoreError:
    """Give the project's error of one file; a StoreError keeps what it says."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, MemoryError):
        return LimitExceededError(f"{where}: needs more memory than there is; it was not read.")
    return CorruptStoreError(
        f"{where}: its contents contradict its format ({type(error).__name__}: {str(error)[:200]}). "
        "Write it again, or leave it out."
    )


@contextmanager
def foreign_file(where: str) -> Iterator[None]:
    """Turn whatever parsing one file raises into a StoreError that names it; errors of this project pass."""
    try:
        yield
    except BioimageError:
        raise
    except FOREIGN_ERRORS as error:
        raise as_store_error(error, where) from error
