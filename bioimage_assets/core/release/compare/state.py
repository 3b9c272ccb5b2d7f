"""One state of many tables, to be compared: a release, a warehouse root or a project, whatever keeps the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyarrow.dataset as ds

from bioimage_assets.core.release.record import TableHome


@dataclass(frozen=True, slots=True)
class PartitionFiles:
    """One partition: its rows, and a text that is the same only for the same files; None where that is not known."""

    row_count: int
    token: str | None = None


@dataclass(frozen=True, slots=True)
class ComparedTable:
    """One table; ``open`` gives the rows of some of its partitions with their own columns, None means all."""

    name: str
    home: TableHome
    partitions: Mapping[str, PartitionFiles]
    open: Callable[[str | None], ds.Dataset] = field(repr=False)

    @property
    def row_count(self) -> int:
        """Rows of the whole table."""
        return sum(part.row_count for part in self.partitions.values())


@dataclass(frozen=True, slots=True)
class ComparedState:
    """Tables by home and name; ``settings`` (path to checksum) and ``software`` are what a release says, empty elsewhere."""

    label: str
    tables: Mapping[tuple[TableHome, str], ComparedTable]
    settings: Mapping[str, str] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_release(self) -> bool:
        """Whether settings and versions are known."""
        return bool(self.software)
