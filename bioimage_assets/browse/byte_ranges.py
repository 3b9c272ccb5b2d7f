"""The part of an object that a Range header asks for: https://www.rfc-editor.org/rfc/rfc9110#name-range-requests"""

from __future__ import annotations

import re

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class NotInObjectError(ValueError):
    """Raise where a range begins behind the end of its object: the answer is 416."""


def read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Offset and length; None where all is wanted, or the header asks for what may be ignored (several parts, other units).

    >>> read_range("bytes=0-9", 100), read_range("bytes=90-", 100), read_range("bytes=-5", 100), read_range(None, 100)
    ((0, 10), (90, 10), (95, 5), None)
    """
    found = None if header is None else _RANGE.fullmatch(header.strip().replace(" ", ""))
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        length = int(found[2])
        if not length or not size:
            raise NotInObjectError
        return (max(0, size - length), min(size, length))
    start, stop = int(found[1]), size if not found[2] else int(found[2]) + 1
    if found[2] and stop <= start:
        return None  # not a range: it is ignored
    if start >= size:
        raise NotInObjectError
    return (start, min(stop, size) - start)
