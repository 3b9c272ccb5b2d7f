"""``release.json``: what a release holds, table by table, and what it was made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import orjson

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.release.layout import RECORD_NAME

FORMAT_VERSION = 1

TableHome = Literal["catalog", "warehouse"]


@dataclass(frozen=True, slots=True)
class ReleasedTable:
    """One table of a release.

    ``folder`` lies below the release; ``partitions`` and ``partition_rows`` are the files and rows of each partition, which a catalog table has here and a
    warehouse table in its manifest. ``identifier`` and ``snapshot_id`` are those of Iceberg. ``libraries`` are the versions behind
    the rows, by package. ``updated_at`` is the time of the last change (ISO), where it is known.
    """

    name: str
    home: TableHome
    role: str
    row_count: int
    partition_count: int
    folder: str
    libraries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    identifier: tuple[str, ...] = ()
    snapshot_id: int | None = None
    updated_at: str | None = None
    partitions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    partition_rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """A whole release.

    ``content_sha256`` is that of the data and settings, whenever and by whomever they are released. ``software`` are the
    versions that the release was made with. ``absences``: what a reader may look for in vain, one sentence each.
    """

    name: str
    created_at: str
    content_sha256: str
    software: Mapping[str, str]
    tables: tuple[ReleasedTable, ...]
    description: str = ""
    license: str = ""
    author: str = ""
    publisher: str = ""
    file_count: int = 0
    total_bytes: int = 0
    absences: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """JSON of the file."""
        content = {"format_version": FORMAT_VERSION, **asdict(self)}
        return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def read_record(folder: Path) -> ReleaseRecord:
    """Read the record of a release; UsageError where it is none, or of a later version of this package."""
    path = folder / RECORD_NAME
    try:
        content = orjson.loads(path.read_bytes())
        version = content.pop("format_version")
        if version != FORMAT_VERSION:
            raise UsageError(
                f"{path} has format {version}, expected {FORMAT_VERSION}. Read it with the version of this package that wrote it."
            )
        tables = tuple(_read_table(table) for table in content.pop("tables"))
        return ReleaseRecord(tables=tables, absences=tuple(content.pop("absences")), **content)
    except FileNotFoundError as error:
        raise UsageError(f"{folder} is no release: there is no {RECORD_NAME}.") from error
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} is not the record of a release ({error}). Restore it from a copy."
        ) from error


def _read_table(content: Mapping[str, object]) -> ReleasedTable:
    table = ReleasedTable(**content)  # type: ignore[arg-type]
    return ReleasedTable(
        **{
            **content,  # type: ignore[arg-type]
            "identifier": tuple(table.identifier),
            "libraries": {name: tuple(versions) for name, versions in table.libraries.items()},
            "partitions": {key: tuple(names) for key, names in table.partitions.items()},
        }
    )
