"""What the sensor has to remember between two looks, as a text that Dagster stores again with every tick: compressed and bounded.

The bound can be kept because nothing is lost with an entry: what was taken is in the event log, so a plate that is not
remembered is found again by the next look, and settles once more.
"""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bioimage_assets.core.discovery.plates_to_take import Pending

MAX_BYTES = 64_000
_VERSION = "2:"
# A text that was tampered with must not fill the memory.
_MAX_READ_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class Rotation:
    """Plates that were looked at last, so that the next look goes on behind them."""

    shallow_key: str = ""
    deep_key: str = ""


def read_cursor(text: str | None) -> dict[str, Pending]:
    """Read the remembered plates; an unreadable cursor only means that plates settle once more."""
    try:
        stored = _read(text)["plates"]
        return {
            key: Pending(str(value[0]), float(value[1]), float(value[2]), str(value[3]))
            for key, value in stored.items()
        }
    except (ValueError, TypeError, AttributeError, IndexError, KeyError, RecursionError, zlib.error):
        return {}


def read_rotation(text: str | None) -> Rotation:
    """Read where the last look ended; the beginning where the cursor does not say."""
    try:
        shallow_key, deep_key = _read(text)["at"]
        return Rotation(str(shallow_key), str(deep_key))
    except (ValueError, TypeError, KeyError, RecursionError, zlib.error):
        return Rotation()


def write_cursor(
    pending: Mapping[str, Pending], taken: Collection[str], rotation: Rotation | None = None
) -> str:
    """Write what has to be remembered, in no more than 64,000 bytes: plates that are not taken yet, and where the look ended.

    Where not all fit, those stay that wait for what they lack, then those that have waited longest; so what is
    remembered is taken in the end, and the others after it.
    """
    kept = sorted(
        (key for key in pending if key not in taken),
        key=lambda key: (not pending[key].held_since_s, pending[key].since_s, key),
    )
    at = rotation or Rotation()
    while len(text := _write({key: pending[key] for key in sorted(kept)}, at)) > MAX_BYTES and kept:
        # A little less than what fits on the average: entries compress differently.
        del kept[max(0, min(len(kept) - 1, int(len(kept) * 0.95 * MAX_BYTES / len(text)))) :]
    return text


def _write(pending: Mapping[str, Pending], at: Rotation) -> str:
    stored = {
        key: [entry.signature, round(entry.since_s, 3), round(entry.held_since_s, 3), entry.announced]
        for key, entry in pending.items()
    }
    document = {"plates": stored, "at": [at.shallow_key, at.deep_key]}
    packed = zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 9)
    return _VERSION + b64encode(packed).decode()


def _read(text: str | None) -> dict[str, dict[str, list[str]]]:
    """The document of a cursor; one of an older version is the document itself."""
    if text is not None and text.startswith(_VERSION):
        packed = b64decode(text.removeprefix(_VERSION), validate=True)
        text = zlib.decompressobj().decompress(packed, _MAX_READ_BYTES).decode()
    document: dict[str, dict[str, list[str]]] = json.loads(text or "{}")
    return document
