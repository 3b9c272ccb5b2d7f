"""Parses group documents once that differ in one free-text name only.

Every field of a plate carries the same metadata but for ``multiscales[0].name``, which is not an identity
(https://ngff.openmicroscopy.org/0.5/index.html#multiscale-md). Two documents are taken as similar only when
all bytes around that one JSON string are equal and the string itself needs no unescaping.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from bioimage_assets.core.formats.zarr.documents import JsonObject, as_list, as_object

_KEPT = 4  # wells, fields, levels and labels alternate
_PLAIN = bytes(code for code in range(0x20, 0x7F) if chr(code) not in '"\\')


@dataclass(frozen=True, slots=True)
class _Pattern:
    before: bytes
    after: bytes
    document: JsonObject


class RepeatedDocuments:
    """Remembers the last few kinds of documents."""

    def __init__(self) -> None:
        self._patterns: list[_Pattern] = []

    def find(self, raw: bytes) -> tuple[JsonObject, str] | None:
        """Give the parsed document that differs from these bytes in its image name only, and that name."""
        for pattern in self._patterns:
            if raw.startswith(pattern.before) and raw.endswith(pattern.after):
                name = raw[len(pattern.before) : len(raw) - len(pattern.after)]
                if len(raw) >= len(pattern.before) + len(pattern.after) and _is_plain(name):
                    return pattern.document, name.decode("ascii")
        return None

    def keep(self, raw: bytes, document: JsonObject) -> None:
        """Remember a document whose image name stands in exactly one place."""
        attributes = as_object(document.get("attributes")) if "node_type" in document else document
        ome = as_object(attributes.get("ome")) or attributes
        entries = as_list(ome.get("multiscales"))
        name = as_object(entries[0]).get("name") if entries else None
        if not isinstance(name, str) or not _is_plain(name.encode("utf-8", "replace")):
            return
        quoted = orjson.dumps(name)
        if raw.count(quoted) == 1:
            start = raw.index(quoted)
            pattern = _Pattern(raw[: start + 1], raw[start + len(quoted) - 1 :], document)
            self._patterns = [pattern, *self._patterns[: _KEPT - 1]]


def _is_plain(name: bytes) -> bool:
    """Tell printable ASCII without quote and backslash: it means itself inside a JSON string."""
    return not name.translate(None, _PLAIN)
