"""File names of further instruments: MetaXpress Acquire, scanR, IN Cell 7.2, Columbus, BD Pathway, Incucyte, NIS-Elements.

Sources of truth, each held against published names: MetaXpress Acquire: Bio-Formats' JDCEReader and its ``.jdce``; scanR:
Bio-Formats' ScanrReader; IN Cell Analyzer 7.2: https://github.com/CellProfiler/CellProfiler/issues/3725; CellVoyager with 1536
wells: https://github.com/fractal-analytics-platform/fractal-tasks-core/pull/715; BD Pathway: Bio-Formats' BDReader; Incucyte:
the ``HCSPattern`` of https://github.com/mobie/mobie-viewer-fiji; NIS-Elements JOBS: https://github.com/mobie/mobie-viewer-fiji/issues/972
and names of public pipelines; ``Channel1-01-A-01``: https://github.com/CellProfiler/CellProfiler/issues/896.
"""

from __future__ import annotations

import re

from bioimage_assets.core.formats.plate_folders.name_pattern import SUFFIX, NameGroups, NamePattern

_MINUTES_OF_DAY = 24 * 60
_SUBWELLS = 4  # along each side of a well of 96


def refine_1536(groups: NameGroups) -> NameGroups:
    """``A01.b3``, of a plate of 1536: the second row and third column of the sixteen wells that lie where a 96-well plate has A01."""
    well = groups["well"] or ""
    if "." not in well:
        return groups
    row = (ord(well[0].upper()) - ord("A")) * _SUBWELLS + ord(well[4].lower()) - ord("a") + 1
    column = (int(well[1:3]) - 1) * _SUBWELLS + int(well[5])
    return {**groups, "well": None, "row": str(row), "column": str(column)}


def _refine_incell(groups: NameGroups) -> NameGroups:
    """Excitation and emission filter as the longer names of the instrument have them: ``UV - DAPI``."""
    filters = [text for text in (groups["excitation"], groups["emission"]) if text]
    return {**groups, "channel_name": " - ".join(filters) or None}


def _refine_columbus(groups: NameGroups) -> NameGroups:
    return {**groups, "channel": str(int(groups["channel"] or "0"))}


def _refine_incucyte(groups: NameGroups) -> NameGroups:
    """Time points are minutes: since the first scan, or since the year 0 of months of 31 days, which only orders them."""
    days = int(groups["day"] or 0)
    if groups.get("year") and groups.get("month"):
        days += (int(groups["year"] or 0) % 100 * 12 + int(groups["month"] or 0)) * 31
    if not groups.get("day"):
        return groups
    minutes = days * _MINUTES_OF_DAY + int(groups["hour"] or 0) * 60 + int(groups["minute"] or 0)
    return {**groups, "t": str(minutes)}


# Names that no other layout has: they are tried first.
INSTRUMENT_PATTERNS = (
    NamePattern(
        "metaxpress-acquire",
        re.compile(
            r"(?:(?P<plate>.+)_)?t(?P<t>\d+)_(?P<well>[A-Z]{1,2}\d{2})_s(?P<site>\d+)_w(?P<channel>\d+)_z(?P<z>\d+)"
            rf"{SUFFIX}", re.IGNORECASE,
        ),
        "w", hint="_z",
    ),
    NamePattern(  # z steps in the name instead of in folders
        "imagexpress",
        re.compile(
            r"(?!(?:.*_)?t\d+_[A-Z]{1,2}\d{2}_s)(?:(?P<plate>.+?)_)??(?P<well>[A-Z]{1,2}\d{2})(?:_s(?P<site>\d+))?_w(?P<channel>\d+)"
            rf"(?:_t(?P<t>\d+))?_z(?P<z>\d+){SUFFIX}", re.IGNORECASE,
        ),
        "w", "1", hint="_z",
    ),
    NamePattern(
        "scanr",
        re.compile(
            r"(?P<well>[A-Z]{1,2}\d{1,3})--W\d+--P(?P<site>\d+)--Z(?P<z>\d+)--T(?P<t>\d+)--(?P<channel>.+)"
            rf"{SUFFIX}", re.IGNORECASE,
        ),
        hint="--w",
    ),
    NamePattern(
        "incell",
        re.compile(
            r"(?:(?P<plate>.+)_)?(?P<row>[A-Z]{1,2})_(?P<column>\d{1,2})_f(?P<site>\d+)_c(?P<channel>\d+)"
            rf"_x(?P<excitation>[^_]*)_m(?P<emission>[^_]*)_z(?P<z>\d+)_t(?P<t>\d+){SUFFIX}", re.IGNORECASE,
        ),
        "c", hint="_x", refine=_refine_incell,
    ),
    NamePattern(
        "columbus",
        re.compile(
            r"(?P<row>\d{3})(?P<column>\d{3})-(?P<site>\d{1,4})-(?P<z>\d{3})(?P<t>\d{3})(?P<channel>\d{3})"
            rf"{SUFFIX}", re.IGNORECASE,
        ),
        "ch", refine=_refine_columbus,
    ),
    NamePattern(
        "bd-pathway",
        re.compile(
            rf"Well (?P<well>[A-Z]{{1,2}}\d{{1,3}})/(?P<channel>.+) - n(?P<t>\d{{6}}){SUFFIX}", re.IGNORECASE
        ),
        default_site="1", hint=" - n", folders=1,
    ),
    NamePattern(
        "incucyte",
        re.compile(
            r"(?P<plate>.+?)(?:[-_ ](?P<channel>(?:HD ?)?(?:Phase|Brightfield|Green|Red|Orange|Blue|NIR|NearIR)[A-Z]*))?"
            r"_(?P<well>[A-P]\d{1,2})_(?P<site>\d{1,3})_(?:(?P<year>\d{4})y(?P<month>\d{2})m)?"
            rf"(?P<day>\d{{2,3}})d_?(?P<hour>\d{{2}})h(?P<minute>\d{{2}})m{SUFFIX}", re.IGNORECASE,
        ),
        hint="m.", refine=_refine_incucyte,
    ),
    NamePattern(  # the instrument's own store: <year and month>/<day>/<hour and minute>/<vessel>/B3-1-C2.tif
        "incucyte",
        re.compile(
            r"(?:(?:.*/)?(?P<year>\d{2})(?P<month>\d{2})/(?P<day>\d{1,2})/(?P<hour>\d{2})(?P<minute>\d{2})/(?P<plate>\d+)/|(?:.*/)?)"
            rf"(?P<well>[A-P]\d{{1,2}})-(?P<site>\d{{1,3}})-(?P<channel>C\d){SUFFIX}", re.IGNORECASE,
        ),
        hint="-c", folders=4, refine=_refine_incucyte,
    ),
    NamePattern(  # several channels, written with commas, are in the one file
        "nikon-jobs",
        re.compile(
            r"(?:\d{8}_\d{6}_\d+__|(?P<plate>.+?)_)?Well(?P<well>[A-Z]{1,2}\d{1,2})"
            r"(?:_Point(?:[A-Z]{1,2}\d{1,2}_)?(?P<site>\d+))?(?:_Channel(?:(?P<channel>[^,]+)|[^,]+,.+))?"
            rf"_Seq\d{{4,}}{SUFFIX}", re.IGNORECASE,
        ),
        default_site="1", hint="_seq",
    ),
    NamePattern(  # exported by positions and channels
        "nikon-jobs",
        re.compile(
            r"(?:\d{8}_\d{6}_\d+__|(?P<plate>.+?)_)?Well(?P<well>[A-Z]{1,2}\d{1,2})(?:_Point[^_]+(?:_\d+)?)?(?:_Channel.+?)?_Seq\d{4,}"
            r"(?:-[A-Z]+)?(?:_?XY(?P<site>\d+))?(?:_?T(?P<t>\d+))?(?:_?Z(?P<z>\d+))?(?:_?(?P<channel>C\d+|\d{3}))?"
            rf"{SUFFIX}", re.IGNORECASE,
        ),
        default_site="1", hint="_seq",
    ),
    NamePattern(  # the number behind the channel counts the wells
        "well-row-column",
        re.compile(
            rf"Channel(?P<channel>\d)-\d{{2,4}}-(?P<row>[A-Z]{{1,2}})-(?P<column>\d{{2}}){SUFFIX}", re.IGNORECASE
        ),
        "Channel", "1", hint="channel",
    ),
)  # fmt: skip

_DYES = (
    r"DAPI|Hoechst(?:[ -]?\d{5})?|DRAQ\d|[em]*(?:GFP|RFP|YFP|CFP|BFP)|FITC|TRITC|Cy[357](?:\.5)?|Texas[ -]?Red|mCherry|tdTomato|DsRed|"
    r"Alexa(?:Fluor)?[ -]?\d{3}|A[4-7]\d\d|[4-7]\d\d ?nm|PI|SYTO ?\d+|DNA|RNA|ER|AGP|Mito|Actin|Tubulin|"
    r"Phalloidin|WGA|Concanavalin|MitoTracker|Bright[ -]?field|BF|DIC|Phase|Trans(?:mitted)?(?:[ -]?Light)?|TL"
)
# Names that people and programs write; tried last, since they say little. A bare 488 may be a site.
LOOSE_PATTERNS = (
    NamePattern(
        "well-channel",
        re.compile(
            r"(?:(?P<plate>.+?)[_-])??(?P<well>[A-P]\d{1,2}|A[A-F]\d{1,2}|[a-p]\d{2})(?:[_-](?P<site>\d{1,4}))?"
            rf"[_-](?P<channel>(?i:{_DYES})){SUFFIX}",
        ),
        default_site="1",
    ),
    NamePattern(  # capitals, since c1 is a channel
        "well-number",
        re.compile(rf"(?P<plate>.+?)_(?P<well>[A-P]\d{{1,2}}|A[A-F]\d{{1,2}})_(?P<site>\d{{1,3}}){SUFFIX}"),
    ),
)  # fmt: skip
