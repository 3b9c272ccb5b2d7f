"""A folder of Parquet references in, what each key of the virtual store stands for out; tables are read when a chunk of theirs is asked for.

``core/virtual/write_parquet.py`` says what the files are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import prod
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import CorruptStoreError, UnsupportedStoreError
from bioimage_assets.core.formats.zarr.documents import as_list, as_object, parse_json_object
from bioimage_assets.core.virtual.model import WHOLE_FILE, SourceFile
from bioimage_assets.core.virtual.references import Reference
from bioimage_assets.core.virtual.source_locations import find_again
from bioimage_assets.core.virtual.write_parquet import METADATA_NAME, SOURCES_NAME, WRITTEN_AT

_KEPT_TABLES = 256

__all__ = ["METADATA_NAME", "ParquetReferences", "open_parquet_references"]


class ParquetReferences:
    """References of one folder; documents are those of Zarr v2 with dots in the keys of chunks."""

    def __init__(
        self,
        folder: Path,
        documents: Mapping[str, object],
        record_size: int,
        sources: Sequence[SourceFile],
        names: Sequence[str],
    ) -> None:
        self.sources = sources
        self._folder = folder
        self._documents = documents
        self._record_size = record_size
        self._numbers = {name: number for number, name in enumerate(names)}
        self._read_table = lru_cache(maxsize=_KEPT_TABLES)(self._read_file)

    def find(self, key: str) -> bytes | Reference | None:
        """Document or place behind a key; CorruptStoreError where a reference leads into a file that is not declared."""
        document = self._documents.get(key)
        if document is not None:
            return json.dumps(document).encode()
        path, _, name = key.rpartition("/")
        grid = self._find_grid(path)
        number = None if grid is None else _number_chunk(name, grid)
        if number is None or grid is None:
            return None
        record, row = divmod(number, self._record_size)
        table = self._read_table(path, record)
        place = None if table is None else table["path"][row].as_py()
        if table is None or place is None:
            return None
        if place not in self._numbers:
            raise CorruptStoreError(
                f"{self._folder}: the reference {key!r} leads to {place[:200]}, which is none of the {len(self._numbers):,} files that it "
                "declares; it was not opened. Make the virtual plate again."
            )
        offset, size = table["offset"][row].as_py(), table["size"][row].as_py()
        return Reference(self._numbers[place], offset, size or WHOLE_FILE)

    def list_keys(self) -> Iterator[str]:
        """All keys; every table is read."""
        yield from self._documents
        for name in self._documents:
            path, _, last = name.rpartition("/")
            grid = self._find_grid(path) if last == ".zarray" else None
            for record in range(0 if grid is None else -(-prod(grid) // self._record_size)):
                table = self._read_table(path, record)
                if table is not None and grid is not None:
                    rows = np.flatnonzero(table["path"].is_valid().to_numpy()) + record * self._record_size
                    yield from (
                        f"{path}/{'.'.join(map(str, place))}"
                        for place in zip(*np.unravel_index(rows, grid), strict=True)
                    )

    def _find_grid(self, path: str) -> tuple[int, ...] | None:
        document = as_object(self._documents.get(f"{path}/.zarray"))
        shape, chunks = as_list(document.get("shape")), as_list(document.get("chunks"))
        if not chunks or len(shape) != len(chunks):
            return None
        return tuple(
            -(-int(str(extent)) // int(str(chunk))) for extent, chunk in zip(shape, chunks, strict=True)
        )

    def _read_file(self, path: str, record: int) -> pa.Table | None:
        file = self._folder / path / f"refs.{record}.parq"
        if not file.exists():
            return None
        try:
            return pq.read_table(file, columns=["path", "offset", "size"], partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise CorruptStoreError(
                f"{file}: cannot be read ({error}). Make the virtual plate again."
            ) from error


def open_parquet_references(folder: str) -> ParquetReferences:
    """Open a folder that this project wrote; UnsupportedStoreError where it does not declare its files."""
    root = Path(folder)
    if not (root / SOURCES_NAME).exists():
        raise UnsupportedStoreError(
            f"{folder}: expected references of a virtual plate, which declare the files that they lead into; found no {SOURCES_NAME}. "
            "Open it with fsspec's reference:// file system."
        )
    document = parse_json_object((root / METADATA_NAME).read_bytes(), f"{folder}/{METADATA_NAME}")
    table = pq.read_table(root / SOURCES_NAME, partitioning=None)
    rows = table.to_pylist()
    written_at = (table.schema.metadata or {}).get(WRITTEN_AT.encode())
    names = [row["uri"] for row in rows]
    places = find_again(names, None if written_at is None else written_at.decode(), folder)
    sources = [
        SourceFile(place, row["size_bytes"], row["modified_ns"], row["etag"])
        for place, row in zip(places, rows, strict=True)
    ]
    record_size = document.get("record_size")
    if not isinstance(record_size, int) or record_size < 1:
        raise CorruptStoreError(
            f"{folder}/{METADATA_NAME}: record_size must be a number of references, found {record_size!r:.40}."
        )
    return ParquetReferences(root, as_object(document.get("metadata")), record_size, sources, names)


def _number_chunk(name: str, grid: Sequence[int]) -> int | None:
    """C-order number of a chunk by its key, None where the key is none of the grid."""
    parts = name.split(".")
    if len(parts) != len(grid) or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    place = [int(part) for part in parts]
    if any(at >= count for at, count in zip(place, grid, strict=True)):
        return None
    return int(np.ravel_multi_index(place, tuple(grid)))
