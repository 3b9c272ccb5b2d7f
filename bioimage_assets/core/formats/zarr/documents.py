"""Parses JSON metadata documents, leniently where the meaning is clear.

Source of truth: RFC 8259, plus what writers really produce: a byte-order mark, NaN and Infinity
(Zarr v2 fill values, https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html#fill-value-encoding).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import orjson

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.model.file_kinds import describe_start

JsonObject = Mapping[str, object]

# Values of one document: each takes some sixty bytes of memory and at least two of the document.
MAX_VALUES = 16_000_000

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def describe_bytes(raw: bytes) -> str:
    """Say what foreign bytes look like, for error messages.

    >>> describe_bytes(b"")
    'an empty file'
    """
    if not raw:
        return "an empty file"
    return describe_start(raw) or f"bytes starting with {raw[:16]!r}"


def parse_json(raw: bytes, location: str) -> object:
    """Parse one document; CorruptStoreError where it is not JSON, whatever is wrong with it."""
    if len(raw) > MAX_VALUES and sum(raw.count(sign) for sign in (b",", b"[", b"{")) > MAX_VALUES:
        raise CorruptStoreError(f"{location}: holds more than {MAX_VALUES:,} values; it was not parsed.")
    try:
        # Strict and quick; what it refuses is tried with the lenient one.
        return orjson.loads(raw)
    except orjson.JSONDecodeError as strict_error:
        try:
            # The standard library takes NaN, Infinity and, by this codec, a byte-order mark.
            return _without_half_characters(raw, json.loads(raw.decode("utf-8-sig")))
        except (ValueError, RecursionError):
            raise CorruptStoreError(
                f"{location}: expected a JSON document, found {describe_bytes(raw)} ({strict_error})."
            ) from strict_error


def _without_half_characters(raw: bytes, value: object) -> object:
    """Replace escapes of half a character (a lone surrogate), which are not text, by the replacement character."""
    if _SURROGATE_ESCAPE.search(raw) is None:
        return value
    text = json.dumps(value, ensure_ascii=False)
    # In UTF-16 two halves that belong together are one character; only lone ones are replaced.
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def parse_json_object(raw: bytes, location: str) -> JsonObject:
    """Parse one document whose top level must be an object."""
    value = parse_json(raw, location)
    if not isinstance(value, dict):
        raise CorruptStoreError(f"{location}: expected a JSON object, found {type(value).__name__}.")
    return value


def as_object(value: object) -> JsonObject:
    """Give a JSON object as it is, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """Give a JSON list as it is, an empty one for anything else."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    """Give non-empty text as it is, None for anything else."""
    return value if isinstance(value, str) and value else None


def as_label(value: object) -> str | None:
    """Give non-empty text as it is and a number as text (writers number channels, columns and fields), None for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return as_text(value)


def as_floats(value: object) -> tuple[float, ...] | None:
    """Give a list of JSON numbers as floats, None where it is anything else."""
    if not isinstance(value, list):
        return None
    if not all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in value):
        return None
    try:
        return tuple(float(item) for item in value)
    except OverflowError:
        return None
