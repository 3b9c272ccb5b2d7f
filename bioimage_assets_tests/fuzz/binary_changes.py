"""Changes of files that are not text: TIFF directories, npy headers, SQLite, Parquet, HDF5, and bytes of any file."""

from __future__ import annotations

import random
import re
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets_tests.fuzz.text_changes import Change

_NUMBERS = (0, 1, 2, 3, 7, 8, 16, 24, 32, 64, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
_TAGS = (
    254,
    256,
    257,
    258,
    259,
    262,
    270,
    273,
    277,
    278,
    279,
    282,
    283,
    284,
    317,
    322,
    323,
    324,
    325,
    330,
    339,
    51123,
)
_PIECES = (
    b"", b"\0", b"\xff", b"null", b"-1", b"1e400", b"NaN", b"[[[[", b'"\\ud800"', b"\xff\xff\xff\xff", b"\0\0\0\x80", b"9" * 5000,
)  # fmt: skip
_DESCRIPTIONS = (
    "'<f8'",
    "'|O'",
    "'|V3'",
    "'<U9'",
    "'|S0'",
    "'>i2'",
    "'<c16'",
    "'<M8[ns]'",
    "[('a', '|O')]",
    "'x'",
    "3",
    "'|b1'",
)
_SHAPES = ("()", "(0,)", "(-1, 4)", "(2,)", "(1000000000, 4)", "(4, 1000000000)", "(2, 2, 2)", "(3.5,)", "(True,)", f"({'1,' * 80})")  # fmt: skip
_SQL_VALUES = (
    "NULL", "0", "-1", "1.5", "9e999", "9223372036854775807", "9223372036854775808", "''", "'x'", "'A01'", "'nan'", "x'00ff'",
    "zeroblob(100000)", "zeroblob(20000000)", "randomblob(9)", "'1,5'", "CAST(x'ff' AS TEXT)", "'a' || char(0) || 'b'",
)  # fmt: skip


def draw_bytes(raw: bytes, draw: random.Random) -> Change:
    """Other bytes at any place: a flipped one, a piece that means something, a number, or the end cut off."""
    return {
        "at": draw.randrange(len(raw) + 1),
        "remove": draw.choice([0, 1, 1, 4, 8, 40, 10**9]),
        "insert": draw.choice([*_PIECES, bytes([draw.randrange(256)]), struct.pack("<I", len(raw))]).hex(),
    }


def apply_bytes(raw: bytes, change: Change) -> bytes:
    """Replace a stretch."""
    at, remove = int(str(change["at"])), int(str(change["remove"]))
    return raw[:at] + bytes.fromhex(str(change["insert"])) + raw[at + remove :]


def draw_tiff(raw: bytes, draw: random.Random) -> Change:
    """Another code, type, count or value of a tag, number of tags or next directory."""
    part = draw.choice(["code", "type", "count", "value", "value", "value", "next", "tags"])
    values = {"code": _TAGS, "type": (*range(19), 99)}.get(part, (*_NUMBERS, len(raw) - 1, len(raw), 8))
    return {"part": part, "at": [draw.randrange(12), draw.randrange(24)], "value": draw.choice(values)}


def apply_tiff(raw: bytes, change: Change) -> bytes:
    """Make the change in the n-th directory, SubIFDs included."""
    order = "<" if raw[:2] == b"II" else ">"
    is_big = raw[2:3] == b"+" or raw[3:4] == b"+"
    found = list(_list_ifds(raw, order, is_big))
    if not found:
        return raw
    directory, entry = (int(number) for number in change["at"])  # type: ignore[attr-defined]
    start, count = found[directory % len(found)]
    count_form, number_form, size = ("Q", "Q", 20) if is_big else ("H", "I", 12)
    first = start + (8 if is_big else 2)
    at = first + size * (entry % count)
    wide = 8 if is_big else 4
    places = {
        "code": (at, "H"), "type": (at + 2, "H"), "count": (at + 4, number_form), "value": (at + 4 + wide, number_form),
        "next": (first + size * count, number_form), "tags": (start, count_form),
    }  # fmt: skip
    place, form = places[str(change["part"])]
    changed = bytearray(raw)
    value = int(str(change["value"])) % 2 ** (8 * struct.calcsize(order + form))
    if place + struct.calcsize(order + form) <= len(changed):
        struct.pack_into(order + form, changed, place, value)
    return bytes(changed)


def _list_ifds(raw: bytes, order: str, is_big: bool) -> Iterator[tuple[int, int]]:
    """(offset, number of tags) of each directory, in the order they are met; stops where the file makes no sense."""
    head, size, number = (8, 20, "Q") if is_big else (2, 12, "I")
    try:
        waiting = [struct.unpack_from(order + number, raw, 8 if is_big else 4)[0]]
        seen: set[int] = set()
        while waiting and len(seen) < 40:
            start = waiting.pop(0)
            if not start or start in seen:
                continue
            seen.add(start)
            count = struct.unpack_from(order + ("Q" if is_big else "H"), raw, start)[0]
            if not 0 < count < 200:
                continue
            yield start, count
            for index in range(count):
                at = start + head + size * index
                code, _, items, value = struct.unpack_from(order + "HH" + number * 2, raw, at)
                if code == 330 and items == 1:
                    waiting.append(value)
            waiting.append(struct.unpack_from(order + number, raw, start + head + size * count)[0])
    except struct.error:
        return


def draw_npy(raw: bytes, draw: random.Random) -> Change:
    """Another type, shape or order in the header of an array."""
    part = draw.choice(["descr", "shape", "fortran_order"])
    values = {"descr": _DESCRIPTIONS, "shape": _SHAPES, "fortran_order": ("True", "1", "None")}[part]
    return {"part": part, "value": draw.choice(values)}


def apply_npy(raw: bytes, change: Change) -> bytes:
    """Write the header anew, with its length."""
    if raw[:6] != b"\x93NUMPY":
        return raw
    length = struct.unpack_from("<H", raw, 8)[0]
    header, rest = raw[10 : 10 + length].decode("latin-1"), raw[10 + length :]
    pattern = rf"('{change['part']}': )(\([^)]*\)|\[.*?\]|'[^']*'|\w+)"
    header = re.sub(pattern, lambda match: match.group(1) + str(change["value"]), header, count=1)
    header = header.rstrip().ljust(117) + "\n"
    return raw[:8] + struct.pack("<H", len(header)) + header.encode("latin-1") + rest


def draw_sqlite(raw: bytes, draw: random.Random) -> Change:
    """Another value in a cell or column, and tables and columns that are other things."""
    return {
        "do": draw.choice(
            ["cell"] * 4 + ["column", "rename", "drop", "view", "endless", "table", "add", "rows"]
        ),
        "at": [draw.randrange(8), draw.randrange(16), draw.randrange(20)],
        "value": draw.choice(_SQL_VALUES),
    }


def apply_sqlite(path: Path, change: Change) -> None:
    """Make the change with SQL; what SQLite refuses changes nothing."""
    database = sqlite3.connect(path)
    try:
        names = [
            row[0]
            for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ]
        table_at, column_at, row_at = (int(number) for number in change["at"])  # type: ignore[attr-defined]
        table = names[table_at % len(names)]
        columns = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]
        column = columns[column_at % len(columns)]
        value = change["value"]
        statements = {
            "cell": [f'UPDATE "{table}" SET "{column}" = {value} WHERE rowid = {row_at + 1}'],
            "column": [f'UPDATE "{table}" SET "{column}" = {value}'],
            "rename": [f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO "{column.upper()}_\x07 é"'],
            "drop": [f'ALTER TABLE "{table}" DROP COLUMN "{column}"'],
            "table": [f'DROP TABLE "{table}"'],
            "add": [f'ALTER TABLE "{table}" ADD COLUMN "ImageNumber2" DEFAULT {value}'],
            "rows": [f'INSERT INTO "{table}" SELECT * FROM "{table}"'],
            "view": [
                f'ALTER TABLE "{table}" RENAME TO hidden',
                f'CREATE VIEW "{table}" AS SELECT * FROM hidden UNION ALL SELECT * FROM hidden',
            ],
            "endless": [
                f'ALTER TABLE "{table}" RENAME TO hidden',
                f'CREATE VIEW "{table}" AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) '
                "SELECT hidden.* FROM n, hidden",
            ],
        }
        for statement in statements[str(change["do"])]:
            database.execute(statement)
        database.commit()
    except (sqlite3.Error, ZeroDivisionError):
        pass
    finally:
        database.close()


_TYPES: dict[str, pa.Array] = {
    "null": pa.nulls(1),
    "bool": pa.array([True]),
    "int64": pa.array([2**63 - 1]),
    "uint64": pa.array([2**64 - 1], pa.uint64()),
    "nan": pa.array([float("nan")]),
    "half": pa.array([np.float16(1.5)], pa.float16()),
    "text": pa.array(["A01"]),
    "blob": pa.array([b"\xff\x00"]),
    "list": pa.array([[1.0, 2.0]]),
    "struct": pa.array([{"a": 1}]),
    "time": pa.array([10**18], pa.timestamp("ns", "UTC")),
    "duration": pa.array([1], pa.duration("s")),
    "decimal": pa.array([1], pa.decimal128(38, 10)),
    "dictionary": pa.array(["x"]).dictionary_encode(),
}


def draw_parquet(raw: bytes, draw: random.Random) -> Change:
    """A column of another type, name, twice or gone; no rows; other bytes in the footer."""
    return {
        "do": draw.choice(["type"] * 4 + ["rename", "drop", "twice", "no-rows", "footer", "footer"]),
        "at": draw.randrange(40),
        "type": draw.choice(list(_TYPES)),
        "value": draw.choice(
            ["", "Metadata_Well", "Metadata_Plate", "image_id", "x" * 5000, "a.b", "é\x07", "Cells_Area"]
        ),
        "byte": draw.randrange(256),
        "place": draw.randrange(10_000),
    }


def apply_parquet(path: Path, change: Change) -> None:
    """Write the table anew, or one byte of its footer; what pyarrow refuses changes nothing."""
    raw = path.read_bytes()
    if change["do"] == "footer":
        length = struct.unpack("<I", raw[-8:-4])[0] + 8 if len(raw) > 12 else 0
        at = len(raw) - 1 - int(str(change["place"])) % (length or 1)
        path.write_bytes(raw[:at] + bytes([int(str(change["byte"]))]) + raw[at + 1 :])
        return
    try:
        table = pq.ParquetFile(pa.BufferReader(raw)).read()
        at = int(str(change["at"])) % table.num_columns
        name = table.column_names[at]
        if change["do"] == "type":
            one = _TYPES[str(change["type"])]
            values = one.take(pa.array([0] * table.num_rows, pa.int64()))
            table = table.set_column(at, name, values)
        elif change["do"] == "rename":
            table = table.rename_columns(
                [*table.column_names[:at], str(change["value"]), *table.column_names[at + 1 :]]
            )
        elif change["do"] == "twice":
            table = table.append_column(name, table[at])
        else:
            table = table.slice(0, 0) if change["do"] == "no-rows" else table.remove_column(at)
        pq.write_table(table, path)
    except (pa.ArrowException, ZeroDivisionError, OSError):
        path.write_bytes(raw)


def draw_hdf5(raw: bytes, draw: random.Random) -> Change:
    """An attribute or data set of another type or shape, or gone."""
    return {
        "do": draw.choice(
            ["attribute", "attribute", "no-attribute", "data", "data", "shape", "delete", "link"]
        ),
        "at": [draw.randrange(40), draw.randrange(8)],
        "value": draw.choice(
            [0, -1, 2**40, 1.5, "", "array", "csr_matrix", "categorical", "x" * 3000, [1, 2], [[1.0]]]
        ),
    }


def apply_hdf5(path: Path, change: Change) -> None:
    """Make the change on the n-th object; what HDF5 refuses changes nothing."""
    import h5py  # heavy, and needed here alone

    raw = path.read_bytes()
    object_at, attribute_at = (int(number) for number in change["at"])  # type: ignore[attr-defined]
    try:
        with h5py.File(path, "r+") as file:
            names: list[str] = []
            file.visit(names.append)
            name = sorted(names)[object_at % len(names)]
            item = file[name]
            attributes = sorted(item.attrs)
            attribute = attributes[attribute_at % len(attributes)] if attributes else "encoding-type"
            if change["do"] == "attribute":
                item.attrs[attribute] = change["value"]
            elif change["do"] == "no-attribute":
                del item.attrs[attribute]
            else:
                kept = dict(item.attrs)
                shape = getattr(item, "shape", ())
                del file[name]
                if change["do"] == "data":
                    file[name] = change["value"]
                    file[name].attrs.update(kept)
                elif change["do"] == "shape":
                    file.create_dataset(
                        name, shape=(*shape, 2**20) if shape else (7,), chunks=True
                    ).attrs.update(kept)
                elif change["do"] == "link":
                    file[name] = h5py.ExternalLink("../../outside/thesis.txt", "/x")
    except (KeyError, OSError, RuntimeError, TypeError, ValueError, ZeroDivisionError):
        path.write_bytes(raw)
