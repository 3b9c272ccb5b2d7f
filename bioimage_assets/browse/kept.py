"""A few values that took time to make, by key: the least recently used goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """A few values by key, the least recently used of which goes; safe for threads, each value is made once at a time. ``drop`` is given what goes."""

    def __init__(self, most: int, *, drop: Callable[[Value], None] | None = None) -> None:
        self._most = most
        self._drop = drop
        self._values: OrderedDict[object, Value] = OrderedDict()
        self._making: dict[object, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: object, make: Callable[[], Value]) -> Value:
        """The value of a key, made where it is not kept; others of the same key wait for it."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            try:
                return self._find_or_make(key, make)
            finally:
                with self._lock:
                    self._making.pop(key, None)

    def _find_or_make(self, key: object, make: Callable[[], Value]) -> Value:
        with self._lock:
            if key in self._values:
                return self._values[key]
        value = make()
        gone: list[Value] = []
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._most:
                gone.append(self._values.popitem(last=False)[1])
        self._let_go(gone)
        return value

    def recall(self, key: object) -> Value | None:
        """The value of a key where it is kept; nothing is made."""
        with self._lock:
            return self._values.get(key)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            gone = list(self._values.values())
            self._values.clear()
        self._let_go(gone)

    def _let_go(self, values: list[Value]) -> None:
        if self._drop is not None:
            for value in values:
                self._drop(value)
