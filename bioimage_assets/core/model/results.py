"""What registering stores in a catalog gives back: row counts per store, and warnings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RegistrationResult:
    """Rows that one store has in the catalog after it was registered."""

    source_uri: str
    image_assets_rows_published: int
    chunk_rows_published: int

    def to_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON."""
        return {
            "source_uri": self.source_uri,
            "image_assets_rows_published": self.image_assets_rows_published,
            "chunk_rows_published": self.chunk_rows_published,
        }

    def to_json(self, **options: object) -> str:
        """JSON text; ``options`` go to ``json.dumps``."""
        return _to_json(self.to_dict(), options)


@dataclass(frozen=True, slots=True)
class WarehouseIngestResult:
    """Rows that several stores have in the catalog after they were registered together.

    ``warnings`` name stores that could not be read (``unreadable_count`` of them), and what was odd in the others.
    """

    catalog: str
    namespace: list[str]
    image_assets_table: str
    chunk_index_table: str | None
    datasets: list[RegistrationResult]
    warnings: list[str] = field(default_factory=list)
    unreadable_count: int = 0

    @property
    def dataset_count(self) -> int:
        """Number of stores that were registered."""
        return len(self.datasets)

    @property
    def image_assets_rows_published(self) -> int:
        """Image rows of all stores."""
        return sum(dataset.image_assets_rows_published for dataset in self.datasets)

    @property
    def chunk_rows_published(self) -> int:
        """Chunk rows of all stores."""
        return sum(dataset.chunk_rows_published for dataset in self.datasets)

    def to_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON."""
        return {
            "catalog": self.catalog,
            "namespace": list(self.namespace),
            "image_assets_table": self.image_assets_table,
            "chunk_index_table": self.chunk_index_table,
            "dataset_count": self.dataset_count,
            "image_assets_rows_published": self.image_assets_rows_published,
            "chunk_rows_published": self.chunk_rows_published,
            "datasets": [dataset.to_dict() for dataset in self.datasets],
            "warnings": list(self.warnings),
        }

    def to_json(self, **options: object) -> str:
        """JSON text; ``options`` go to ``json.dumps``."""
        return _to_json(self.to_dict(), options)


def _to_json(values: Mapping[str, object], options: Mapping[str, object]) -> str:
    return json.dumps(values, **dict(options))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class DroppedTable:
    """What went, or would go (``is_dry_run``), with a table; ``note`` says what stays where that is not plain."""

    where: str
    table: str
    row_count: int = 0
    snapshot_count: int = 0
    file_count: int = 0
    bytes: int = 0
    location: str | None = None
    is_dry_run: bool = True
    note: str | None = None
