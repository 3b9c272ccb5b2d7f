"""How columns of numpy integers, which know no null, say that a chunk is not there or has no place of its own."""

from __future__ import annotations

ABSENT = -1
"""Stored bytes of a chunk that is not stored; null in tables."""

NO_OFFSET = -1
"""Offset of what does not lie in a larger file, or lies there packed; null in tables."""
