"""Channel names of a plate in, the names of images in a pipeline out: letters, digits and underscores, each once.

CellProfiler's image names begin with a letter; ``assets/schema_input.json`` of nf-core/cellpainting allows ``[A-Za-z0-9_]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from bioimage_assets.core.errors import UsageError

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_OTHER = re.compile(r"[^A-Za-z0-9]+")


def name_images(channels: Iterable[str], renamed: Mapping[str, str]) -> dict[str, str]:
    """Give each channel its name; ``renamed`` says what some are called, as ``{"ch5": "OrigDNA"}``.

    UsageError where a given name cannot be one, or two channels would share it.

    >>> name_images(["HOECHST 33342", "488 long", "488-long"], {})
    {'HOECHST 33342': 'HOECHST_33342', '488 long': 'C488_long', '488-long': 'C488_long_2'}
    """
    found: dict[str, str] = {}
    wanted = list(dict.fromkeys(channels))
    taken = {_check(channel, renamed[channel]) for channel in wanted if channel in renamed}
    for channel in wanted:
        if channel in renamed:
            found[channel] = renamed[channel]
            continue
        base = _spell(channel)
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        found[channel] = name
    doubled = [name for name in taken if sum(one == name for one in found.values()) > 1]
    if doubled:
        raise UsageError(f"Two channels would be named {doubled[0]!r}; give each its own name.")
    return found


def _check(channel: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"Channel {channel!r} cannot be named {name!r}: expected letters, digits and underscores, a letter first."
        )
    return name


def _spell(channel: str) -> str:
    text = _OTHER.sub("_", channel).strip("_") or "Channel"
    return text if text[0].isalpha() else f"C{text}"
