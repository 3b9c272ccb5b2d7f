"""Reads CellProfiler LoadData tables (CSV, or Parquet as JUMP has them): file names with their plate, well, site and channel.

Source of truth: https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-4.2.6/modules/fileprocessing.html#loaddata
(FileName_x with PathName_x, or URL_x; Metadata_x). Paths are those of the machine that wrote the file, so an
image is found by the longest tail of its path that exists in the folder. Illumination functions that a table names
beside the images (``FileName_IllumDNA``) are not images.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.plate_folders.load_data_parquet import read_parquet_rows
from bioimage_assets.core.formats.plate_folders.patterns import NameParts
from bioimage_assets.core.model.file_kinds import GZIP_START, PARQUET_START, can_list_images
from bioimage_assets.core.model.identity import normalize_site, normalize_well, without_query
from bioimage_assets.core.model.store_paths import count_shared_tail
from bioimage_assets.core.model.well_columns import join_well
from bioimage_assets.core.stores.base import MAX_XML_BYTES

LAYOUT = "load-data"
MAX_ROWS = 5_000_000  # one row per field and plane, see MAX_LISTED_FILES in listing
_ILLUMINATION = "illum"


class LoadDataImage(NamedTuple):
    """One image of a row: its path or URL as the table gives it, the channel's name, and its place on the plate."""

    location: str
    channel: str
    parts: NameParts


def is_load_data(uri: str) -> bool:
    """Tell a table by its name."""
    return can_list_images(without_query(uri).rpartition("/")[2])


def parse_load_data(payload: bytes, name: str, keys: Iterable[str], log: FindingLog) -> dict[str, NameParts]:
    """Read one CSV: file in the folder to its parts; CorruptStoreError where it is not a LoadData table.

    Rows without a well and files that are not in the folder are findings.
    """
    return match_images(read_load_data(payload, name, log), keys, log)


def match_images(
    images: Iterable[LoadDataImage], keys: Iterable[str], log: FindingLog
) -> dict[str, NameParts]:
    """Find each image among some keys by the longest tail of its path."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        by_name[key.rpartition("/")[2]].append(key)
    found: dict[str, NameParts] = {}
    for image in images:
        path = path_of_location(image.location)
        known = _find_key(path, by_name)
        if known is None:
            text = f"LoadData names {path!r} for {image.channel}, not in the folder."
            log.note("file-missing", "error", path, text)
        else:
            found[known] = image.parts
    return found


def read_load_data(payload: bytes, name: str, log: FindingLog) -> Iterator[LoadDataImage]:
    """Yield the images of a table row by row; errors and findings as for ``parse_load_data``."""
    is_parquet = payload.startswith(PARQUET_START)
    rows = (
        read_parquet_rows(payload, name, MAX_ROWS) if is_parquet else _read_rows(_unpack(payload, name), name)
    )
    channels = _channel_columns(next(rows).keys())
    if not channels:
        raise CorruptStoreError(
            f"{name}: no FileName_<channel> and no URL_<channel> column; not a LoadData table."
        )
    for row in rows:
        well_id = normalize_well(_metadata(row, "Well", "CPD_WELL_POSITION"))
        well_id = well_id or join_well(_metadata(row, "Row"), _metadata(row, "Col", "Column"))
        if well_id is None:
            text = "A row of the LoadData table has no well; skipped."
            log.note_repeated("load-data-row-without-well", "warning", name, text)
            continue
        for channel in channels:
            location = _location_of(row, channel)
            if location is None:
                log.note(
                    "file-missing", "error", name, f"LoadData names no file for {channel} of well {well_id}."
                )
                continue
            parts = NameParts(
                LAYOUT, well_id, normalize_site(_metadata(row, "Site", "Field", "FieldID", "FOV")), _metadata(row, "Plate"), channel,
                _number(_metadata(row, "Z", "ZPlane")), _number(_metadata(row, "T", "Timepoint")), _metadata(row, "Acquisition"),
            )  # fmt: skip
            yield LoadDataImage(location, channel, parts)


def path_of_location(location: str) -> str:
    """Path of a URL without its scheme and, on the web, its query; a path as it is."""
    return unquote(without_query(location).partition("://")[2]) if "://" in location else location


def _unpack(payload: bytes, name: str) -> bytes:
    """Text of a table, packed with gzip or not; never more than a document may have."""
    if not payload.startswith(GZIP_START):
        return payload
    try:
        # 16: a gzip header. Bounded, where gzip.decompress would unpack whatever is claimed.
        text = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(payload, MAX_XML_BYTES + 1)
    except zlib.error as error:
        raise CorruptStoreError(f"{name}: not a gzip file ({error}).") from error
    if len(text) > MAX_XML_BYTES:
        raise CorruptStoreError(f"{name}: unpacks to more than {MAX_XML_BYTES >> 20} MB.")
    return text


def _read_rows(payload: bytes, name: str) -> Iterator[dict[str, str | None]]:
    """Yield the header as a row of its own, then the rows."""
    # Excel writes a byte-order mark; restkey takes what long rows have too many.
    reader = csv.DictReader(io.StringIO(payload.decode("utf-8-sig", "replace")), restkey="")
    try:
        yield dict.fromkeys(reader.fieldnames or [])
        for number, row in enumerate(reader):
            if number >= MAX_ROWS:
                raise CorruptStoreError(f"{name}: more than {MAX_ROWS} rows.")
            yield row
    except csv.Error as error:
        raise CorruptStoreError(f"{name}: not a CSV table ({error}).") from error


def _channel_columns(columns: Iterable[str]) -> list[str]:
    channels: dict[str, None] = {}
    for column in columns:
        head, found, channel = column.partition("_")
        is_image = not channel.lower().startswith(_ILLUMINATION)
        if found and channel and is_image and head in ("FileName", "URL"):
            channels[channel] = None
    return list(channels)


def _metadata(row: Mapping[str, str | None], *names: str) -> str | None:
    for name in names:
        value = row.get(f"Metadata_{name}")
        if value:
            return value.strip()
    return None


def _location_of(row: Mapping[str, str | None], channel: str) -> str | None:
    if url := row.get(f"URL_{channel}"):
        return url.strip()
    name = row.get(f"FileName_{channel}")
    folder = row.get(f"PathName_{channel}") or ""
    return (f"{folder.rstrip('/')}/{name}" if folder else name).replace("\\", "/") if name else None


def _find_key(path: str, by_name: Mapping[str, list[str]]) -> str | None:
    parts = [part for part in path.split("/") if part]
    candidates = by_name.get(parts[-1], []) if parts else []
    if len(candidates) <= 1:
        return candidates[0] if candidates else None
    # The table was written on another machine: only the end of its paths is the same here.
    return max(candidates, key=lambda key: count_shared_tail(key.split("/"), parts))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None
