"""One table of one plate or dataset on its way into storage, and what is known of it once it is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from bioimage_assets.core.findings import Finding


@dataclass(frozen=True, slots=True)
class PageSummary:
    """What the index of all pages says about one; None where a plate has no such number."""

    cells: int | None = None
    linked: int | None = None
    errors: int = 0
    warnings: int = 0
    worst: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A page: HTML, its pictures (PNG) by name, and the names of pictures that it may have, of which older ones are removed.

    When it was made, and by which run, is written into the HTML where ``page_html.MADE_HERE`` stands.
    """

    html: str
    pictures: Mapping[str, bytes]
    picture_names: frozenset[str]
    summary: PageSummary = PageSummary()


Metadata: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PlateFiles:
    """Files beside the warehouse: ``write`` puts them whole at the URI that it is given, which ends with ``suffix``, and describes them."""

    suffix: str
    write: Callable[[str], Metadata]


TableData: TypeAlias = pa.Table | pa.RecordBatchReader | Path | Page | PlateFiles
"""Rows, a stream of them, the Parquet file that they were spooled to; or a page, or files."""

Watch = Callable[[str], AbstractContextManager[None]]
"""Entered with a plate's key while there is work on it; see ``plate_at_work``."""


@dataclass(slots=True)
class PlateTable:
    """One table of one partition, ready to be stored.

    ``data`` may be a call that gives the rows when the table is written, and is None where the partition has no such table.
    ``row_count`` overrides the rows that were written, for tables that are used in place.
    ``late_metadata`` and ``findings``, where it is a call, are asked after the data were written.
    ``steps`` are the library calls behind the data, as the manifest lists them: plain values, in their order.
    ``fingerprint`` is given by whoever runs the step.
    """

    data: TableData | Callable[[], TableData] | None
    metadata: Metadata = field(default_factory=dict)
    row_count: int | None = None
    late_metadata: Callable[[], Metadata] | None = None
    findings: Sequence[Finding] | Callable[[], Sequence[Finding]] | None = None
    steps: Sequence[Mapping[str, object]] = ()
    fingerprint: str = ""

    @classmethod
    def absent(cls, note: str) -> PlateTable:
        """A table that the partition does not have, and why; what an earlier run found about it is forgotten."""
        return cls(None, {"note": note}, findings=())

    def rows(self) -> TableData | None:
        """The rows; asked once."""
        return self.data() if callable(self.data) else self.data

    @property
    def is_streamed(self) -> bool:
        """Whether files are read, and cells joined, only while the table is written."""
        return isinstance(self.data, pa.RecordBatchReader)


@dataclass(frozen=True, slots=True)
class StoredTable:
    """One table of one partition as it is stored; ``metadata`` is what the materialisation says about it.

    ``row_count`` is None for what has no rows, a page.
    """

    row_count: int | None
    fingerprint: str
    metadata: Metadata = field(default_factory=dict)
    table_name: str | None = None
    snapshot_id: int | None = None
    uri: str | None = None
