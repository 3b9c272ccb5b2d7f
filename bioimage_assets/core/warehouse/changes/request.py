"""What a caller wants to be written, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bioimage_assets.core.warehouse.changes.sources import PartSource
from bioimage_assets.core.warehouse.changes.stage_parts import TableDescription
from bioimage_assets.core.warehouse.manifest.layout import Layout

WriteMode = Literal["replace", "overwrite", "append", "remove"]


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """What to write and how.

    ``keys`` are the partitions that a ``replace`` exchanges for the given rows, or that a ``remove``
    takes away; None in the other modes. ``steps`` are the calls that made the data, in order, as the manifest tells them.
    """

    table_name: str
    mode: WriteMode
    sources: Sequence[PartSource]
    description: TableDescription
    keys: tuple[str, ...] | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    run_id: str | None = None
    layout: Layout | None = None
    steps: Sequence[Mapping[str, object]] = ()
