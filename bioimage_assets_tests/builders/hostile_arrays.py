"""Writes ``.npz`` archives that no honest tool writes: arrays that lie about type, shape, size or what their pickles are."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np


def array_bytes(descr: str, shape: str, values: bytes = b"", *, fortran: bool = False) -> bytes:
    """An ``.npy`` member with any text as its type and shape."""
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + values


def saved(array: np.ndarray) -> bytes:
    """An ``.npy`` member as numpy writes it."""
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


def pickled_member(value: object, protocol: int = 4) -> bytes:
    """An ``.npy`` member of objects whose pickle is that of ``value``."""
    return array_bytes("'|O'", "()", pickle.dumps(value, protocol))


def write_members(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """An archive of these members; ``features`` of two cells and four dimensions where none are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    features = {"features": saved(np.arange(8, dtype=np.float32).reshape(2, 4))}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, payload in (features | dict(members)).items():
            archive.writestr(f"{name}.npy", payload)
    return path


class _Void:
    """Pickles as an array whose type says that it holds no objects while one of its fields is one."""

    def __reduce__(self) -> tuple[object, ...]:
        reconstruct = np.array(None, dtype=object).__reduce__()[0]
        state = (1, (), _LyingType(), False, b"A" * 8)
        return reconstruct, (np.ndarray, (0,), b"b"), state


class _LyingType:
    def __reduce__(self) -> tuple[object, ...]:
        fields = {"a": (np.dtype("O"), 0)}
        return np.dtype, ("V8", False, True), (3, "|", None, ("a",), fields, 8, 1, 0)


def hidden_object(path: Path) -> Path:
    """Names that numpy's own pickles use, and an array of pointers made of bytes."""
    return write_members(path, {"metadata": pickled_member(_Void())})


def claimed_features(path: Path) -> Path:
    """One kilobyte that claims 100 million features."""
    return write_members(path, {"features": array_bytes("'<f4'", "(1, 100000000)")})


def claimed_size(path: Path) -> Path:
    """A member whose directory entry states four gigabytes that nothing could be packed from."""
    member = array_bytes("'<f4'", "(1000, 1000000)", bytes(64))
    write_members(path, {"features": member}, zipfile.ZIP_DEFLATED)
    raw = bytearray(path.read_bytes())
    at = raw.rindex(b"PK\1\2")
    struct.pack_into("<I", raw, at + 24, 4_000_000_128)
    path.write_bytes(raw)
    return path


def packed_zeros(path: Path, cells: int, dimensions: int) -> Path:
    """Features of zeros, a thousandth of their size on disk; nothing large is held here either."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row = bytes(4 * dimensions)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("features.npy", "w", force_zip64=True) as handle,
    ):
        handle.write(array_bytes("'<f4'", f"({cells}, {dimensions})"))
        for _ in range(cells):
            handle.write(row)
    return path


def encrypted(path: Path) -> Path:
    """Features behind a password, as the archive says."""
    write_members(path, {})
    raw = bytearray(path.read_bytes())
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        raw[raw.index(mark) + at] |= 1
    path.write_bytes(raw)
    return path


def unknown_method(path: Path, method: int = 99) -> Path:
    """Features packed by a method that zip readers do not have."""
    write_members(path, {})
    raw = bytearray(path.read_bytes())
    for mark, at in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        struct.pack_into("<H", raw, raw.index(mark) + at, method)
    path.write_bytes(raw)
    return path


def twice(path: Path) -> Path:
    """Two members called ``features.npy``."""
    write_members(path, {"featuret": saved(np.zeros((9, 4)))})
    path.write_bytes(path.read_bytes().replace(b"featuret", b"features"))
    return path


def cut_off(path: Path) -> Path:
    """The first half of a file."""
    write_members(path, {})
    path.write_bytes(path.read_bytes()[:150])
    return path


def many_members(path: Path) -> Path:
    """A directory of more members than any file of features has."""
    return write_members(path, {f"a{i}": b"" for i in range(2_000)})


def wrong_checksum(path: Path) -> Path:
    """Features of which one bit changed."""
    write_members(path, {})
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"\x93NUMPY") + 130] ^= 1
    path.write_bytes(raw)
    return path


def _features(descr: str, shape: str, values: bytes = bytes(1 << 10)) -> Callable[[Path], Path]:
    return lambda path: write_members(path, {"features": array_bytes(descr, shape, values)})


def _metadata(raw: bytes) -> Callable[[Path], Path]:
    return lambda path: write_members(path, {"metadata": array_bytes("'|O'", "()", raw)})


def _shared_lists() -> bytes:
    """Lists of lists that are one list: 40 bytes for ten to the thirtieth items."""
    raw = b"\x80\x04]\x94(K\x00K\x00e"
    for _ in range(30):
        raw += b"]\x94(" + b"h\x00" * 10 + b"e"
    return b"\x80\x04}X\x01\x00\x00\x00a" + raw[2:] + b"s."


# Each writes a file that costs itself: an error that names it, never another exception, memory or a signal.
REFUSED: dict[str, Callable[[Path], Path]] = {
    "a void type that hides an object": hidden_object,
    "a hundred million features in a kilobyte": claimed_features,
    "a size that no bytes could be unpacked to": claimed_size,
    "a password": encrypted,
    "an unknown method": unknown_method,
    "bzip2": lambda path: write_members(path, {}, zipfile.ZIP_BZIP2),
    "two arrays of one name": twice,
    "half a file": cut_off,
    "two thousand members": many_members,
    "no archive": lambda path: _write(path, b"features"),
    "objects": _features("'|O'", "(2, 4)"),
    "records with an object": _features("[('a', 'O'), ('b', '<f8')]", "(2,)"),
    "a subarray": _features("('<f4', (2, 2))", "(2,)"),
    "raw bytes": _features("'|V8'", "(2, 4)"),
    "times": _features("'<M8[ns]'", "(2, 4)"),
    "complex numbers": _features("'<c16'", "(2, 4)"),
    "words": _features("'<U4'", "(2, 4)"),
    "a type with a metadata dictionary": _features("'<f4', {}", "(2, 4)"),
    "no axis": _features("'<f4'", "()"),
    "three axes": _features("'<f4'", "(2, 2, 2)"),
    "a negative size": _features("'<f4'", "(-1, 4)"),
    "a size beyond 64 bits": _features("'<f4'", f"({1 << 70}, {1 << 70})"),
    "a size of five thousand digits": _features("'<f4'", f"({'9' * 5000}, 4)"),
    "no cell of too many dimensions": _features("'<f4'", "(0, 100000000)"),
    "nested brackets": _features("'<f4'", "(" * 4000),
    "a header that is no header": lambda path: write_members(path, {"features": b"\x93NUMPY\x01\x00\xff\xff{"}),
    "a header of four gigabytes": lambda path: write_members(path, {"features": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"}),
    "an empty member": lambda path: write_members(path, {"features": b""}),
    "a pickle of nothing": _metadata(b""),
    "a pickle of marks": _metadata(b"(" * 100_000),
    "a pickle of tuples in tuples": _metadata(b"\x80\x04}X\x01\x00\x00\x00a)" + b"\x85" * 500_000 + b"s."),
    "a pickle of lists of one list": _metadata(_shared_lists()),
    "a pickle that takes what it does not have": _metadata(b"\x80\x04RRbbuses."),
    "a pickle that keeps too far": _metadata(b"\x80\x04}r\xff\xff\xff\x7f."),
    "a pickle of a number of a megabyte": _metadata(b"\x80\x04}K\x01\x8b" + struct.pack("<I", 500_000) + b"\x7f" * 500_000 + b"s."),
    "metadata of 30 MB in 30 KB": lambda path: write_members(
        path, {"metadata": array_bytes("'|O'", "()", bytes(30 << 20))}, zipfile.ZIP_DEFLATED
    ),
    "a pickle that is too long": _metadata(b"\x80\x04" + b"N0" * 600_000 + b"."),
    "a pickle of persistent ids": _metadata(b"\x80\x04NQ."),
    "a pickle of extension codes": _metadata(b"\x80\x04\x82\x01."),
    "a pickle that makes an instance": _metadata(b"(ios\nsystem\n."),
    "a pickle of another type of number": _metadata(pickle.dumps(np.array({"a": np.datetime64(1, "ns")}, dtype=object))),
}  # fmt: skip


def _write(path: Path, raw: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    return path
