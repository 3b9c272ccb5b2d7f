"""One table of one plate on its way into storage."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

Watch = Callable[[str], AbstractContextManager[None]]
"""Entered with a plate's key while there is work on it; see ``plate_at_work``."""


@dataclass
class PlateTable:
    """One table of one plate, ready to be stored.

    ``data`` is a ``pa.Table``, a ``pa.RecordBatchReader``, a call that gives one of them when the table is
    written, or None where the plate has no such table. ``row_count`` overrides the rows that were written,
    for tables that are used where they lie. ``late_metadata`` and ``findings``, where it is a call, are asked
    after the data were written. ``is_current``: the table is stored already as it would be built now, and stays.
    ``steps`` are the library calls behind the data, as the manifest lists them: plain values, in their order.
    """

    data: Any
    fingerprint: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    row_count: int | None = None
    late_metadata: Callable[[], Mapping[str, Any]] | None = None
    is_current: bool = False
    findings: Sequence[Any] | Callable[[], Sequence[Any]] | None = None
    steps: Sequence[Mapping[str, object]] = ()

    @property
    def is_streamed(self) -> bool:
        """Whether files are read, and cells joined, only while the table is written."""
        return hasattr(self.data, "read_next_batch")
