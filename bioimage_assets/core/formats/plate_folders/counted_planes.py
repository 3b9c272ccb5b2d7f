"""What the numbers of planes in BD Pathway's and Columbus' names mean, and the channel names that file names spell out.

Sources of truth: ``.xyz`` of BD Pathway as Bio-Formats' BDReader reads it (z runs before time). For Columbus public parsers
contradict each other in which of the two numbers before the channel is the plane and which the time point.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.plate_folders.channel_guard import unpadded_token
from bioimage_assets.core.formats.plate_folders.fields import natural_order
from bioimage_assets.core.formats.plate_folders.file_pages import join_page
from bioimage_assets.core.formats.plate_folders.names import NamedFiles
from bioimage_assets.core.formats.plate_folders.sidecar_facts import SidecarFacts

_NUMBERED = re.compile(r"(\D*)(\d{1,9})")


def settle_names(named: NamedFiles, facts: SidecarFacts, log: FindingLog) -> None:
    """Turn counted planes into z and t, say what stays a guess, and give the channels the names that file names have."""
    _settle_counted(named, facts, log)
    _note_columbus(named, facts, log)
    unexplained = facts.several_planes - _name_pages(named, facts)
    if unexplained:
        text = (
            f"{len(unexplained)} files hold several planes each; their pages are a plain stack. Which page is which "
            "channel and plane should stand in the index (BufferNo), and does not. OME-TIFF or OME-Zarr would say it."
        )
        log.note("pages-not-explained", "warning", min(unexplained), text)
    for token, name in {**_ordered_names(named, facts), **_channel_names(named)}.items():
        facts.channel_names.setdefault(token, name)


def _name_pages(named: NamedFiles, facts: SidecarFacts) -> set[str]:
    """Put the pages of files with several planes in the place of the files; gives the names of these files."""
    told = facts.several_planes & {name for name, pages in facts.pages.items() if len(pages) > 1}
    for key in [key for key in named.parts if key.rpartition("/")[2] in told]:
        del named.parts[key]
        pages = facts.pages[key.rpartition("/")[2]]
        named.parts.update((join_page(key, page), parts) for page, parts in sorted(pages.items()))
    return told


def _settle_counted(named: NamedFiles, facts: SidecarFacts, log: FindingLog) -> None:
    counted = {key: parts for key, parts in named.parts.items() if parts.layout == "bd-pathway"}
    if not any(parts.t for parts in counted.values()):
        return
    if facts.slices is None:
        text = "No .xyz file says how many z steps were taken; the images that names count are read as time points."
        log.note("counted-images-are-time", "info", next(iter(counted)), text)
        return
    for key, parts in counted.items():
        number = parts.t or 0
        named.parts[key] = replace(parts, z=number % facts.slices, t=number // facts.slices)


def _note_columbus(named: NamedFiles, facts: SidecarFacts, log: FindingLog) -> None:
    spans: dict[str, set[int | None]] = defaultdict(set)
    first = ""
    for key, parts in named.parts.items():
        if parts.layout == "columbus" and key.rpartition("/")[2] not in facts.names:
            first = first or key
            spans["z"].add(parts.z)
            spans["t"].add(parts.t)
    if any(len(values) > 1 for values in spans.values()):
        text = (
            "Names of this kind do not say which number is the plane and which the time point; without Index.xml or "
            "ImageIndex.ColumbusIDX.xml the first is read as the plane. If that is wrong, write into the dataset's dataset.toml: "
            r"[images] file_pattern = '(?P<row>\d{3})(?P<column>\d{3})-(?P<site>\d+)-(?P<t>\d{3})(?P<z>\d{3})(?P<channel>\d{3})'"
        )
        log.note("plane-or-time-point", "warning", first, text)


def _ordered_names(named: NamedFiles, facts: SidecarFacts) -> dict[str, str]:
    """Names that a document gives in order, for tokens that count on without a gap and are as many."""
    tokens = sorted({parts.channel for parts in named.parts.values() if parts.channel}, key=natural_order)
    matches = [match for token in tokens if (match := _NUMBERED.fullmatch(token)) is not None]
    if not tokens or not len(tokens) == len(matches) == len(facts.channels_in_order):
        return {}
    numbers = [int(match[2]) for match in matches]
    if len({match[1] for match in matches}) > 1 or numbers[-1] - numbers[0] != len(numbers) - 1:
        return {}
    return dict(zip(map(unpadded_token, tokens), facts.channels_in_order, strict=True))


def _channel_names(named: NamedFiles) -> dict[str, str]:
    """Names of channels by token, as far as file names spell them out; none where two channels would be called alike."""
    found = {
        parts.channel: parts.channel_name
        for parts in named.parts.values()
        if parts.channel is not None and parts.channel_name is not None
    }
    return found if len(set(found.values())) == len(found) else {}
