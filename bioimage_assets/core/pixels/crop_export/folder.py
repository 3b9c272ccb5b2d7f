"""The folder of an export: parts that are whole or not there, and a manifest of what was asked for and what is in it.

    <folder>/crops_manifest.json
    <folder>/crops/part-00000.parquet      cells that were cut
    <folder>/refused/part-00000.parquet    cells of the same part that could not be; no file where there are none

A part is written aside, flushed and renamed. It is whole where its file of crops stands under its name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from filelock import FileLock, Timeout

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.parquet_checksums import open_parquet, open_parquet_writer
from bioimage_assets.core.pixels.crop_export.ome_values import OME_COLUMN
from bioimage_assets.core.pixels.crop_export.rows import REFUSED_SCHEMA, RowBatch

MANIFEST = "crops_manifest.json"
FORMAT = "bioimage_assets.crops/1"
METADATA_KEY = b"bioimage_assets.crops"
_REFUSED_KEY = b"bioimage_assets.crops.refused"
CROPS, REFUSED = "crops", "refused"
_ROW_GROUP = 256  # cells; a reader of one cell decodes so many


@dataclass(frozen=True, slots=True)
class PartCount:
    """What a part holds."""

    name: str
    crop_count: int
    refused: tuple[tuple[str, int], ...]

    @property
    def refused_count(self) -> int:
        """Cells that could not be cut."""
        return sum(count for _, count in self.refused)


class CropFolder:
    """The parts and the manifest of one export."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other exports out of the folder, which is made where it is not there; UsageError where one is at work."""
        if self.root.exists() and not self.root.is_dir():
            raise UsageError(f"{self.root} is a file; name a folder for the crops.")
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UsageError(
                f"Another export is at work in {self.root}; wait for it, or name another folder."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def read_manifest(self) -> dict[str, object] | None:
        """The manifest, None where there is none; UsageError where the folder holds something else."""
        path = self.root / MANIFEST
        if not path.exists():
            others = [entry.name for entry in self.root.iterdir() if entry.name != ".lock"]
            if others:
                raise UsageError(
                    f"{self.root} holds {sorted(others)[0]!r} and no {MANIFEST}: it is no folder of crops. Name an empty one."
                )
            return None
        try:
            found = json.loads(path.read_text())
        except (ValueError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read as JSON: {error}. Name another folder.") from error
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise UsageError(f"{path} is no manifest of crops ({FORMAT}). Name another folder.")
        return found

    def write_manifest(self, content: Mapping[str, object]) -> None:
        """Replace the manifest, where it says something else."""
        text = json.dumps({"format": FORMAT, **content}, indent=1, ensure_ascii=False) + "\n"
        path = self.root / MANIFEST
        if path.exists() and path.read_text() == text:
            return
        staged = path.with_name(f".{MANIFEST}.new")
        with staged.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staged, path)

    def read_part(self, number: int, digest: str, row_count: int) -> PartCount | None:
        """What a part holds, None where it is not there; a part of another plan, or a damaged one, is written again."""
        path = self._path(CROPS, number)
        found = _footer(path)
        if found is None:
            return None
        metadata, crop_count = found
        said = json.loads(metadata.get(METADATA_KEY, b"{}"))
        counts = json.loads(metadata.get(_REFUSED_KEY, b"{}"))
        refused = tuple((str(code), int(count)) for code, count in counts.items())
        part = PartCount(path.name, crop_count, refused)
        if said.get("plan") != digest or crop_count + part.refused_count != row_count:
            return None
        other = _footer(self._path(REFUSED, number)) if part.refused_count else ({}, 0)
        return part if other is not None and other[1] == part.refused_count else None

    def write_part(
        self, number: int, schema: pa.Schema, batches: Iterable[RowBatch], provenance: Mapping[str, object]
    ) -> PartCount:
        """Write one part; the crops take their name last."""
        for kind in (CROPS, REFUSED):
            (self.root / kind).mkdir(exist_ok=True)
        crops, refused = self._path(CROPS, number), self._path(REFUSED, number)
        staged = crops.with_name(f".{crops.name}.new")
        counts: dict[str, int] = {}
        kept: list[pa.RecordBatch] = []
        crop_count = 0
        columns = [name for name in schema.names if name != OME_COLUMN]
        said = json.dumps({**provenance, "part": number}, ensure_ascii=False).encode()
        schema = schema.with_metadata({METADATA_KEY: said})
        with open_parquet_writer(staged, schema, compression="zstd", use_dictionary=columns) as writer:
            for batch in batches:
                writer.write_batch(
                    batch.crops.replace_schema_metadata(schema.metadata), row_group_size=_ROW_GROUP
                )
                crop_count += batch.crops.num_rows
                if batch.refused.num_rows:
                    kept.append(batch.refused)
                    for code in batch.refused["reason_code"].to_pylist():
                        counts[code] = counts.get(code, 0) + 1
            writer.add_key_value_metadata({_REFUSED_KEY: json.dumps(dict(sorted(counts.items()))).encode()})
        self._write_refused(refused, kept)
        _settle(staged, crops)
        return PartCount(crops.name, crop_count, tuple(sorted(counts.items())))

    def _write_refused(self, target: Path, batches: list[pa.RecordBatch]) -> None:
        if not batches:
            target.unlink(missing_ok=True)
            return
        staged = target.with_name(f".{target.name}.new")
        with open_parquet_writer(staged, REFUSED_SCHEMA, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
        _settle(staged, target)

    def _path(self, kind: str, number: int) -> Path:
        return self.root / kind / f"part-{number:05d}.parquet"


def _footer(path: Path) -> tuple[dict[bytes, bytes], int] | None:
    """Key-value metadata and row count of a Parquet file; None where it is not there or has no footer."""
    try:
        with open_parquet(path) as file:
            return dict(file.metadata.metadata or {}), int(file.metadata.num_rows)
    except (OSError, pa.ArrowInvalid):
        return None


def _settle(staged: Path, target: Path) -> None:
    with staged.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(staged, target)
