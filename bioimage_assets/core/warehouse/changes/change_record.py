"""Reads ``_warehouse/journal.json``: a change that this project makes, or nothing.

A root may come from anybody. Its journal says what to rename and what to remove, and is carried out by whoever
opens the root; so every word of it has to have the form that :class:`~.journal.ChangeJournal` writes. All names
are names below the root; that no link stands on the way is looked at when the change is carried out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from bioimage_assets.core.errors import ManifestError
from bioimage_assets.core.warehouse.manifest.layout import (
    INTERNAL_DIR,
    find_entry_folder,
    is_file_name,
    leaf_name,
    split_folder,
)
from bioimage_assets.core.warehouse.manifest.records import WarehouseTableManifestEntry

# In a change's work folder: the table's folder as it will be.
NEXT_FOLDER = "next"
# A record holds the entry of one table; at 100,000 partitions these are some 40 MB.
MAX_RECORD_BYTES = 256 << 20

_WORK = re.compile(r"commit-[0-9a-f]{32}")
_STAGED = re.compile(r"put-[0-9]{5,9}")


@dataclass(frozen=True, slots=True)
class TableRecord:
    """A change of one table. Paths are relative: ``folder`` and ``appears`` to the root, values of ``puts`` to ``work``.

    ``appears`` is the folder that comes into being, ``exchange`` the inode of the folder that takes the table's place.
    """

    folder: str
    work: str
    puts: Mapping[str, str] = field(default_factory=dict)
    drops: tuple[str, ...] = ()
    entry: Mapping[str, object] | None = None
    appears: str | None = None
    exchange: int | None = None

    def to_bytes(self) -> bytes:
        """As the journal stores it."""
        content: dict[str, object] = {
            "folder": self.folder,
            "entry": dict(self.entry) if self.entry is not None else None,
            "puts": dict(self.puts),
            "drops": list(self.drops),
            "work": self.work,
        }
        content |= {"appears": self.appears} if self.appears is not None else {}
        content |= {"exchange": self.exchange} if self.exchange is not None else {}
        return orjson.dumps(content, option=orjson.OPT_INDENT_2)


@dataclass(frozen=True, slots=True)
class MovesRecord:
    """A conversion of the layout: folders (relative to the root) with their new names and inodes."""

    moves: tuple[tuple[str, str, int], ...]
    work: str

    def to_bytes(self) -> bytes:
        """As the journal stores it."""
        content = {"moves": [list(move) for move in self.moves], "work": self.work}
        return orjson.dumps(content, option=orjson.OPT_INDENT_2)


def find_odd_names(record: TableRecord | MovesRecord) -> tuple[str, ...]:
    """Names of folders and files that :func:`parse_record` would not take; a change that has one is not recorded."""
    if isinstance(record, MovesRecord):
        return tuple(
            name for old, new, _ in record.moves for name in (old, new) if not _is_table_folder(name)
        )
    folders = () if _is_table_folder(record.folder) else (record.folder,)
    return folders + tuple(name for name in (*record.puts, *record.drops) if not _is_part(name))


def parse_record(payload: bytes) -> TableRecord | MovesRecord | None:
    """Read a journal; None where this project never wrote it, whatever it says."""
    try:
        content = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict):
        return None
    work = content.get("work")
    if not isinstance(work, str) or not _WORK.fullmatch(work):
        return None
    return _parse_moves(content, work) if "moves" in content else _parse_table(content, work)


def _parse_moves(content: Mapping[str, object], work: str) -> MovesRecord | None:
    moves = content["moves"]
    if not isinstance(moves, list) or not all(_is_move(move) for move in moves):
        return None
    return MovesRecord(tuple((old, new, inode) for old, new, inode in moves), work)


def _is_move(move: object) -> bool:
    return (
        isinstance(move, list)
        and len(move) == 3
        and _is_table_folder(move[0])
        and _is_table_folder(move[1])
        and _is_inode(move[2])
    )


def _parse_table(content: Mapping[str, object], work: str) -> TableRecord | None:
    folder, puts, drops = content.get("folder"), content.get("puts"), content.get("drops")
    appears, inode, entry = content.get("appears"), content.get("exchange"), content.get("entry")
    if not isinstance(folder, str) or not _is_table_folder(folder):
        return None
    if not isinstance(puts, dict) or not isinstance(drops, list):
        return None
    if not all(_is_part(name) for name in (*puts, *drops)):
        return None
    if appears is not None and not (isinstance(appears, str) and f"{folder}/".startswith(f"{appears}/")):
        return None
    if inode is not None and not _is_inode(inode):
        return None
    if not all(_is_staged(staged, name, folder, appears) for name, staged in puts.items()):
        return None
    if entry is not None and not _is_entry(entry, folder):
        return None
    known = entry if isinstance(entry, dict) else None
    exchange = inode if isinstance(inode, int) else None
    return TableRecord(folder, work, dict(puts), tuple(drops), known, appears, exchange)


def _is_table_folder(folder: object) -> bool:
    segments = split_folder(folder) if isinstance(folder, str) else None
    return segments is not None and segments[0] != INTERNAL_DIR


def _is_part(name: object) -> bool:
    return isinstance(name, str) and is_file_name(name) and name.lower().endswith(".parquet")


def _is_staged(staged: object, name: str, folder: str, appears: str | None) -> bool:
    """Whether a finished file is where a change puts it: by number, or under its name in the folder to come."""
    if not isinstance(staged, str):
        return False
    below = folder[len(appears) :] if appears is not None else ""
    return _STAGED.fullmatch(staged) is not None or staged == f"{NEXT_FOLDER}{below}/{name}"


def _is_inode(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_entry(entry: object, folder: str) -> bool:
    try:
        name = WarehouseTableManifestEntry.from_dict(entry).table_name
    except ManifestError:
        return False
    return folder in (find_entry_folder(name), leaf_name(name))
