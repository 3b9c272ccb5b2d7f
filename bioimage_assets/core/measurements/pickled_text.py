"""Reads the pickled dictionary of text that ``numpy.savez`` writes, without unpickling anything.

``pickletools.genops`` splits the bytes into opcodes (https://docs.python.org/3/library/pickletools.html). Those that text,
numbers and numpy's scalars need are read into plain values; a name is only compared with a list, never looked up, and nothing
is called. Written by numpy 1 and 2, protocols 0 to 5.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

MAX_PICKLE_BYTES = 1 << 20  # a location and a few words of metadata are below 1 kB
# Lists inside of values, and items of all lists of a value, that are written as text.
MAX_VALUE_DEPTH = 4
MAX_VALUE_ITEMS = 10_000
# What numpy's pickles name, by what it means here.
_NAMES = {
    "numpy.core.multiarray _reconstruct": "array", "numpy._core.multiarray _reconstruct": "array",
    "numpy.core.multiarray scalar": "scalar", "numpy._core.multiarray scalar": "scalar",
    "numpy ndarray": "ndarray", "numpy dtype": "dtype", "_codecs encode": "bytes",
}  # fmt: skip
_FLOATS = {"f2": "e", "f4": "f", "f8": "d"}


@dataclass(frozen=True, slots=True)
class _Name:
    """One of the names that may stand in the bytes; it leads to nothing."""

    meaning: str


@dataclass(slots=True)
class _Made:
    """What would be made of a name and its arguments; ``state`` is what would be set on it."""

    meaning: str
    arguments: tuple[object, ...]
    state: object = None


class _Mark:
    """Where the items of a list, tuple or dictionary begin."""


_MARK = _Mark()


def read_pickled_dictionary(raw: bytes) -> dict[str, str | None] | None:
    """Keys and values as text, None for a missing value; None where the bytes hold something other than a dictionary.

    Raises
    ------
    ValueError
        The bytes are not a pickle, are too many, or need more than text, numbers and lists of them.
    """
    if len(raw) > MAX_PICKLE_BYTES:
        raise ValueError(f"expected at most {MAX_PICKLE_BYTES} bytes of metadata, found {len(raw)}")
    content = _only_item(_Reader().read(raw))
    if not isinstance(content, dict):
        return None
    return {str(key): _as_text(value) for key, value in content.items()}


class _Reader:
    """A stack of plain values, filled opcode by opcode; each costs a byte at least, so that the bytes bound everything."""

    def __init__(self) -> None:
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}

    def read(self, raw: bytes) -> object:
        for opcode, argument, _ in pickletools.genops(raw):
            self._take(opcode.name, argument)
        if len(self.stack) != 1:
            raise ValueError(f"expected one value, found {len(self.stack)}")
        return self.stack[0]

    def _take(self, name: str, argument: object) -> None:
        if name in _IGNORED:
            return
        if name in _PLAIN:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _ACTIONS:
            _ACTIONS[name](self, argument)
        else:
            raise ValueError(f"refused the pickle opcode {name}; expected a dictionary of text and numbers")

    def pop(self) -> object:
        if not self.stack or self.stack[-1] is _MARK:
            raise ValueError("the pickle takes more values than it has")
        return self.stack.pop()

    def pop_items(self) -> list[object]:
        """Everything down to the last mark."""
        at = next((i for i in range(len(self.stack) - 1, -1, -1) if self.stack[i] is _MARK), None)
        if at is None:
            raise ValueError("the pickle ends a list that did not begin")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def make_tuple(self, count: int) -> None:
        items = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def name(self, text: object) -> None:
        meaning = _NAMES.get(str(text))
        if meaning is None:
            raise ValueError(f"refused to build {str(text)[:200].replace(' ', '.')}")
        self.stack.append(_Name(meaning))

    def name_from_stack(self) -> None:
        name, module = self.pop(), self.pop()
        self.name(f"{module} {name}" if isinstance(name, str) and isinstance(module, str) else "?")

    def make(self) -> None:
        arguments, made = self.pop(), self.pop()
        if not isinstance(made, _Name) or not isinstance(arguments, tuple):
            raise ValueError("refused to build something that has no name")
        self.stack.append(_to_bytes(arguments) if made.meaning == "bytes" else _Made(made.meaning, arguments))

    def set_state(self) -> None:
        state, made = self.pop(), self.pop()
        if not isinstance(made, _Made):
            raise ValueError("refused to change something that is no array")
        made.state = state
        self.stack.append(made)

    def add(self, items: Sequence[object]) -> None:
        target = self.stack[-1] if self.stack else None
        if not isinstance(target, list):
            raise ValueError("the pickle adds to something that is no list")
        target.extend(items)

    def set_items(self, items: Sequence[object]) -> None:
        target = self.stack[-1] if self.stack else None
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("the pickle sets values of something that is no dictionary")
        # Keys become text at once: many numbers of one hash would take time that grows with their square.
        target.update(
            (_as_key(_plain(key)), value) for key, value in zip(items[::2], items[1::2], strict=True)
        )

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def keep(self, number: object) -> None:
        place = number if isinstance(number, int) else len(self.memo)
        if not self.stack or not 0 <= place <= MAX_PICKLE_BYTES:
            raise ValueError("the pickle keeps a value that it does not have")
        self.memo[place] = self.stack[-1]

    def get(self, number: object) -> None:
        if not isinstance(number, int) or number not in self.memo:
            raise ValueError("the pickle uses a value that it never kept")
        self.stack.append(self.memo[number])


_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})
_PLAIN = frozenset(
    {
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
        "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES",
        "BINBYTES8",
    }
)  # fmt: skip
_CONSTANTS: dict[str, Callable[[], object]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "MARK": lambda: _MARK,
    "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict,
}  # fmt: skip
_ACTIONS: dict[str, Callable[[_Reader, object], None]] = {
    "TUPLE1": lambda reader, _: reader.make_tuple(1),
    "TUPLE2": lambda reader, _: reader.make_tuple(2),
    "TUPLE3": lambda reader, _: reader.make_tuple(3),
    "TUPLE": lambda reader, _: reader.stack.append(tuple(reader.pop_items())),
    "LIST": lambda reader, _: reader.stack.append(reader.pop_items()),
    "DICT": lambda reader, _: _start_dictionary(reader),
    "APPEND": lambda reader, _: reader.add([reader.pop()]),
    "APPENDS": lambda reader, _: reader.add(reader.pop_items()),
    "SETITEM": lambda reader, _: reader.set_item(),
    "SETITEMS": lambda reader, _: reader.set_items(reader.pop_items()),
    "GLOBAL": lambda reader, text: reader.name(text),
    "STACK_GLOBAL": lambda reader, _: reader.name_from_stack(),
    "REDUCE": lambda reader, _: reader.make(),
    "BUILD": lambda reader, _: reader.set_state(),
    "MEMOIZE": lambda reader, _: reader.keep(None),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda reader, number: reader.keep(number)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda reader, number: reader.get(number)),
}


def _start_dictionary(reader: _Reader) -> None:
    items = reader.pop_items()
    reader.stack.append({})
    reader.set_items(items)


def _to_bytes(arguments: tuple[object, ...]) -> bytes:
    """Bytes as protocols 0 to 2 write them: as text that is encoded again."""
    match arguments:
        case (str() as text, str() as encoding) if encoding in ("latin1", "latin-1", "iso-8859-1"):
            return text.encode("latin-1")
    raise ValueError("expected bytes written as Latin-1 text, found something else")


def _only_item(value: object) -> object:
    """The only item of a pickled object array, None where it has several; ValueError where it is an array of another type."""
    match value:
        case _Made("array", _, (_, _, _Made("dtype", ("O8" | "O4" | "O", *_)), _, list() as items)):
            return items[0] if len(items) == 1 else None
        case _Made():
            raise ValueError(
                "expected an array of objects with a dictionary in it, found another type of array"
            )
    return value


def _plain(value: object) -> object:
    """A number or text of Python's own for a key or value."""
    if isinstance(value, _Made):
        return _read_scalar(value)
    if value is None or isinstance(value, str | bool | int | float | bytes):
        return value
    raise ValueError("expected text and numbers as metadata, found something else")


def _read_scalar(made: _Made) -> object:
    """Value of one of numpy's scalars, by its type's name (``i8``, ``f4``, ``U5``) and bytes."""
    match made:
        case _Made(
            "scalar", (_Made("dtype", (str() as kind, *_), (_, str() as order, *_)), bytes() | str() as raw)
        ):
            data = raw.encode("latin-1") if isinstance(raw, str) else raw
            return _decode_scalar(kind, "big" if order == ">" else "little", data)
    raise ValueError("expected text and numbers as metadata, found an array or another object")


def _decode_scalar(kind: str, order: str, data: bytes) -> object:
    is_big = order == "big"
    if kind[:1] in ("i", "u") and kind[1:] in ("1", "2", "4", "8") and len(data) == int(kind[1:]):
        return int.from_bytes(data, "big" if is_big else "little", signed=kind[0] == "i")
    if kind in _FLOATS and len(data) == int(kind[1:]):
        value = struct.unpack((">" if is_big else "<") + _FLOATS[kind], data)[0]
        # The shortest text of a number depends on its precision.
        return float(str(np.float32(value))) if kind == "f4" else value
    if kind == "b1" and len(data) == 1:
        return data != b"\0"
    if kind[:1] == "U":
        return data.decode("utf-32-be" if is_big else "utf-32-le", "replace").rstrip("\0")
    if kind[:1] == "S":
        return data.rstrip(b"\0")
    raise ValueError(f"expected text and numbers as metadata, found a value of type {kind[:20]!r}")


def _as_key(key: object) -> str:
    return _valid(key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key))


def _as_text(value: object) -> str | None:
    """Metadata are text; a NaN is how pandas left an empty cell."""
    if isinstance(value, list | tuple | dict):
        return _valid(str(_copy_items(value, MAX_VALUE_DEPTH, [MAX_VALUE_ITEMS])))
    plain = _plain(value)
    is_missing = plain is None or plain == "" or (isinstance(plain, float) and plain != plain)
    return None if is_missing else _valid(str(plain))


def _copy_items(value: object, depth: int, left: list[int]) -> object:
    """A list with its lists, as many as the limits allow: bytes can name one list a million times."""
    left[0] -= 1
    if left[0] < 0 or depth < 0:
        raise ValueError("expected text and numbers as metadata, found lists of too many items")
    if isinstance(value, dict):
        return {key: _copy_items(item, depth - 1, left) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copy_items(item, depth - 1, left) for item in value)
    return _plain(value)


def _valid(text: str) -> str:
    """Text that every table can hold: half a surrogate pair becomes the replacement character."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
