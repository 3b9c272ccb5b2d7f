"""One change of a case: which file, which part of its structure, and what comes there; a plain object of JSON."""

from __future__ import annotations

import io
import os
import random
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from bioimage_assets_tests.fuzz import binary_changes, text_changes
from bioimage_assets_tests.fuzz.text_changes import Change

_OF_BYTES: dict[
    str, tuple[Callable[[bytes, random.Random], Change | None], Callable[[bytes, Change], bytes]]
] = {
    "json": (text_changes.draw_json, text_changes.apply_json),
    "xml": (text_changes.draw_xml, text_changes.apply_xml),
    "csv": (text_changes.draw_csv, text_changes.apply_csv),
    "toml": (text_changes.draw_toml, text_changes.apply_toml),
    "bytes": (binary_changes.draw_bytes, binary_changes.apply_bytes),
    "tiff": (binary_changes.draw_tiff, binary_changes.apply_tiff),
    "npy": (binary_changes.draw_npy, binary_changes.apply_npy),
}
_OF_FILES: dict[str, tuple[Callable[[bytes, random.Random], Change], Callable[[Path, Change], None]]] = {
    "sqlite": (binary_changes.draw_sqlite, binary_changes.apply_sqlite),
    "parquet": (binary_changes.draw_parquet, binary_changes.apply_parquet),
    "hdf5": (binary_changes.draw_hdf5, binary_changes.apply_hdf5),
}
_STRUCTURES = {
    ".json": "json", ".jdce": "json", ".zattrs": "json", ".zarray": "json", ".zgroup": "json", ".zmetadata": "json", ".xml": "xml", ".ome": "xml",
    ".xdce": "xml", ".mlf": "xml", ".mes": "xml", ".mrf": "xml", ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".htd": "csv",
    ".toml": "toml", ".tif": "tiff", ".tiff": "tiff", ".npy": "npy", ".sqlite": "sqlite", ".parquet": "parquet", ".h5ad": "hdf5",
    ".npz": "zip", ".zip": "zip", ".ozx": "zip",
}  # fmt: skip
# Documents say more than pixels: they are changed more often.
_WEIGHTS = {
    "json": 8,
    "xml": 8,
    "toml": 8,
    "csv": 6,
    "sqlite": 6,
    "parquet": 6,
    "hdf5": 6,
    "zip": 6,
    "npy": 6,
    "tiff": 3,
    "bytes": 1,
}
_ARCHIVE_TRICKS = ("drop", "twice", "rename", "encrypted", "method", "size", "checksum")
_METHODS = (1, 8, 9, 12, 14, 93, 99)
_NAMES = ("", ".", "..", "../outside/evil", "/tmp/evil", "a\\b", "zarr.json", "zarr.json/x", "é\ud7ff", "x" * 255, "\x00", " ", "P1.csv")  # fmt: skip


def structure_of(name: str) -> str:
    """How a file of this name is changed."""
    base = Path(name)
    return _STRUCTURES.get((base.suffix or base.name).lower(), "bytes")


def draw_change(folder: Path, draw: random.Random) -> Change | None:
    """Any change of any file below ``folder``, or None where nothing can be changed."""
    files = sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
    if not files:
        return None
    name = draw.choices(files, [_WEIGHTS[structure_of(file)] for file in files])[0]
    luck = draw.random()
    if luck < 0.05:
        tricks = ["delete", "empty", "link", "loop", "folder", "move", "pipe"]
        return {"file": name, "how": "file", "do": draw.choice(tricks), "to": draw.choice(_NAMES)}
    how = "bytes" if luck < 0.2 else structure_of(name)
    raw = (folder / name).read_bytes()
    if how == "tiff" and b"<?xml" in raw and draw.random() < 0.6:
        change = text_changes.draw_xml(raw, draw)
        return change and {"file": name, "how": "tiff-xml", **change}
    if how == "zip":
        change = _draw_archive(raw, draw)
    else:
        change = (_OF_BYTES.get(how) or _OF_FILES[how])[0](raw, draw)
    return change and {"file": name, "how": how, **change}


def apply_change(folder: Path, change: Change) -> None:
    """Make a change in a copy of the example; one that no longer fits changes nothing."""
    path = folder / str(change["file"])
    if path.is_symlink() or not path.is_file():
        return
    how = str(change["how"])
    if how == "file":
        _change_file(path, change)
    elif how in _OF_FILES:
        _OF_FILES[how][1](path, change)
    else:
        path.write_bytes(_change_bytes(path.read_bytes(), how, change))


def _change_bytes(raw: bytes, how: str, change: Change) -> bytes:
    try:
        if how == "zip":
            return _change_archive(raw, change)
        if how == "tiff-xml":
            return _change_description(raw, change)
        return _OF_BYTES[how][1](raw, change)
    except (ValueError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return raw  # an earlier change broke the structure


def _change_file(path: Path, change: Change) -> None:
    do = change["do"]
    if do == "empty":
        path.write_bytes(b"")
        return
    if do == "move":
        name = str(change["to"]).replace("/", "_").replace("\x00", "_")
        if name not in ("", ".", ".."):
            path.rename(path.with_name(name))
        return
    path.unlink()
    if do == "link":
        path.symlink_to(_outside(path))
    elif do == "loop":
        path.symlink_to(path.name)
    elif do == "folder":
        path.mkdir()
    elif do == "pipe":
        os.mkfifo(path)


def _outside(path: Path) -> Path:
    """The file beside the case that nobody may touch."""
    case = next(parent for parent in path.parents if parent.name == "case")
    return case.parent / "outside/thesis.txt"


def _draw_archive(raw: bytes, draw: random.Random) -> Change | None:
    """A change of a member, or of what the archive says about it."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = [item for item in archive.infolist() if not item.is_dir()]
            item = draw.choice(members)
            inner = archive.read(item)
    except (zipfile.BadZipFile, IndexError, NotImplementedError, OSError, RuntimeError, ValueError):
        return None
    if draw.random() < 0.3:
        return {
            "member": item.filename,
            "do": draw.choice(_ARCHIVE_TRICKS),
            "to": draw.choice(_NAMES),
            "number": draw.choice([*_METHODS, 0, 2**31, 2**32 - 1]),
        }
    how = structure_of(item.filename)
    how = how if how in _OF_BYTES and draw.random() < 0.85 else "bytes"
    change = _OF_BYTES[how][0](inner, draw)
    return change and {"member": item.filename, "do": "inner", "inner": {"how": how, **change}}


def _change_archive(raw: bytes, change: Change) -> bytes:
    """Write the archive anew with one member changed; lies about a member are written into its central entry."""
    sink = io.BytesIO()
    name = str(change["member"])
    with zipfile.ZipFile(io.BytesIO(raw)) as archive, zipfile.ZipFile(sink, "w") as changed:
        for item in archive.infolist():
            payload = archive.read(item)
            if item.filename != name:
                changed.writestr(item, payload)
                continue
            if change["do"] == "inner":
                inner: Change = change["inner"]  # type: ignore[assignment]
                payload = _change_bytes(payload, str(inner["how"]), inner)
            if change["do"] == "drop":
                continue
            target = zipfile.ZipInfo(str(change["to"]) or "x") if change["do"] == "rename" else item
            changed.writestr(target, payload)
            if change["do"] == "twice":
                changed.writestr(zipfile.ZipInfo(name), payload[:-1] + b"\x07")
    return _lie_about(sink.getvalue(), name.encode(), str(change["do"]), int(str(change.get("number", 0))))


# Offset in a central entry, bytes.
_LIES = {"encrypted": (8, 2), "method": (10, 2), "checksum": (16, 4), "size": (24, 4)}


def _lie_about(raw: bytes, name: bytes, what: str, number: int) -> bytes:
    """The archive with one field of one central entry changed."""
    if what not in _LIES:
        return raw
    offset, size = _LIES[what]
    value = 1 if what == "encrypted" else number % 2 ** (8 * size)
    at = raw.find(b"PK\x01\x02")
    while at >= 0 and raw[at + 46 : at + 46 + len(name)] != name:
        at = raw.find(b"PK\x01\x02", at + 4)
    if at < 0:
        return raw
    place = at + offset
    return raw[:place] + value.to_bytes(size, "little") + raw[place + size :]


def _change_description(raw: bytes, change: Change) -> bytes:
    """Change the OME-XML inside a TIFF: in its place where it fits, else at the end with the tag pointing there."""
    start = raw.find(b"<?xml")
    end = raw.find(b"</OME>", start) + len(b"</OME>")
    if start < 0 or end <= start:
        return raw
    old = raw[start:end]
    new = text_changes.apply_xml(old, change)
    if len(new) <= len(old):
        return raw[:start] + new.ljust(len(old)) + raw[end:]
    at = raw.find(start.to_bytes(4, "little"))
    if at < 4 or raw[:4] != b"II*\0":
        return raw
    moved = bytearray(raw + new + b"\0")
    moved[at : at + 4] = len(raw).to_bytes(4, "little")
    moved[at - 4 : at] = (len(new) + 1).to_bytes(4, "little")
    return bytes(moved)


def copy_example(example: Path, case: Path) -> None:
    """A fresh copy in place of what the last case left."""
    if case.is_symlink() or case.exists():
        shutil.rmtree(case)
    shutil.copytree(example, case)
