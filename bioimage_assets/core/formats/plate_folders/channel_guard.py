"""Guards against channels that are none: planes counted as channels, and two channels of one name in a field."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft
from bioimage_assets.core.formats.plate_folders.fields import FieldGrid
from bioimage_assets.core.formats.plate_folders.patterns import NameParts
from bioimage_assets.core.formats.plate_folders.propose import (
    build_pattern_line,
    propose_for_plate,
    propose_pattern,
)

# "DAPI z 3", "DAPI_t02", "GFP time 1", "w1-plane4": a channel never counts planes.
_COUNTED = re.compile(
    r"(?:^|(?<=[ _.\-]))(?:z|t|tp|zstep|zplane|plane|slice|stack|time(?:[ _]?point)?)[ _\-]?(?P<number>\d{1,6})(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_MAX_NAMES = 4
_PLURALS = {"t": "time points", "c": "channels", "z": "z steps"}


def unpadded_token(token: str) -> str:
    """Token of a channel as sidecars spell it: ``w01`` is ``w1``."""
    letters = token.rstrip("0123456789")
    digits = token[len(letters) :]
    return f"{letters}{int(digits)}" if digits and letters in ("w", "ch") else token


def note_counted_planes(names: Mapping[str, NameParts], log: FindingLog) -> None:
    """Say that the channels of a plate count z steps or time points; an error where they differ in nothing else."""
    files: dict[str, str] = {}
    for key, parts in names.items():
        if parts.channel is not None:
            files.setdefault(parts.channel, key)
    stems: dict[str, list[str]] = defaultdict(list)
    for token in files:
        if _COUNTED.search(token):
            stems[_COUNTED.sub(" ", token)].append(token)
    if not stems:
        return
    tokens = max(stems.values(), key=len)
    shown = ", ".join(repr(token) for token in tokens[:_MAX_NAMES])
    text = (
        f"The channels that are read from the file names count z steps or time points: {shown} "
        f"({sum(map(len, stems.values()))} of {len(files)} channels). Each plane would be a channel of its own. "
        f"{build_pattern_line(propose_for_plate([files[token] for token in tokens]))}"
    )
    log.note("channels-count-planes", "error" if len(tokens) > 1 else "warning", files[tokens[0]], text)


def note_equal_tokens(grid: FieldGrid, log: FindingLog) -> None:
    """Say that two files of one field have the same channel, written in two ways: ``w1`` and ``w01``, ``DAPI`` and ``dapi``."""
    spelled: dict[str, list[int]] = defaultdict(list)
    for number, token in enumerate(grid.channels):
        spelled[unpadded_token(token).casefold()].append(number)
    for numbers in spelled.values():
        if len(numbers) < 2:
            continue
        for planes in grid.fields.values():
            keys = [plane.key for plane in planes if plane.c in numbers]
            if len({plane.c for plane in planes if plane.c in numbers}) < 2:
                continue
            text = (
                f"{keys[0]} and {keys[1]} are the same channel of one field, written in two ways "
                f"({', '.join(repr(grid.channels[number]) for number in numbers)}); they are read as two channels. Remove one, or "
                f"let the names say what they differ in. {build_pattern_line(propose_pattern(keys[:2], differ_in='acquisition'))}"
            )
            log.note("channel-names-equal", "error", keys[0], text)
            break


def tell_apart(
    names: Sequence[str | None], tokens: Sequence[str]
) -> tuple[tuple[str | None, ...], str | None]:
    """Names of a field's channels, with the token of the file name behind those that are equal; and what to say of it.

    >>> tell_apart(["DAPI", "DAPI", "ER"], ["w1", "w2", "w3"])[0]
    ('DAPI (w1)', 'DAPI (w2)', 'ER')
    """
    if len(set(names)) == len(names):
        return tuple(names), None
    of_name: dict[str, list[str]] = defaultdict(list)
    for name, token in zip(names, tokens, strict=True):
        if name is not None:
            of_name[name].append(token)
    equal = {name: found for name, found in of_name.items() if len(found) > 1}
    if not equal:
        return tuple(names), None
    told = tuple(
        f"{name} ({token})" if name in equal else name for name, token in zip(names, tokens, strict=True)
    )
    name, found = next(iter(equal.items()))
    text = (
        f"Channels {', '.join(found[:_MAX_NAMES])} of the file names are all named {name!r} by the sidecar or by the files; "
        f"they are told apart as {name!r} with their tokens. Correct the name where it is wrong."
    )
    return told, text


def find_axes_in_both(grid: FieldGrid, first: ImageDraft, key: str) -> list[Finding]:
    """Errors about axes that the names of a field's files count and each file has as well: the places collide."""
    counts = {"t": len(grid.t_values), "c": len(grid.channels), "z": len(grid.z_values)}
    found = []
    for axis, count in counts.items():
        size = first.shape[first.axes.index(axis)] if axis in first.axes else 1
        if count > 1 and size > 1:
            text = (
                f"The file names give {count} {_PLURALS[axis]} and each file holds {size} of its own; only the first plane of each "
                "file has its place, the others have none. Write one file for each, or give the files names of fields of their own."
            )
            found.append(Finding("axis-in-names-and-files", "error", key, text))
    return found
