"""Plate, well, site, channel, z and t in the file names that microscopes give to one-channel TIFFs.

Sources of truth: the microscopes' own names; patterns of ImageXpress, CellVoyager CV8000, Cellomics and Opera Phenix
were held against 355 published names, those of IN Cell Analyzer and Gen5 (Cytation) only against descriptions. Numbers are kept as written:
whether a site counts from zero or one is a property of the instrument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.formats.plate_folders.instrument_names import (
    INSTRUMENT_PATTERNS,
    LOOSE_PATTERNS,
    refine_1536,
)
from bioimage_assets.core.formats.plate_folders.name_pattern import GUID as _GUID
from bioimage_assets.core.formats.plate_folders.name_pattern import SUFFIX as _SUFFIX
from bioimage_assets.core.formats.plate_folders.name_pattern import NameParts as NameParts
from bioimage_assets.core.formats.plate_folders.name_pattern import NamePattern
from bioimage_assets.core.model.identity import (
    MAX_WELL_COLUMN,
    MAX_WELL_ROW,
    build_well_id,
    normalize_site,
    normalize_well,
)
from bioimage_assets.core.user_pattern import Groups, UserPattern, find_user_pattern

USER_LAYOUT = "pattern"
MAX_NAME = 1_024  # a disk takes 255 bytes, a bucket 1,024

PATTERNS = (
    *INSTRUMENT_PATTERNS,
    NamePattern(
        "opera-phenix",
        re.compile(
            r"r(?P<row>\d{2})c(?P<column>\d{2})f(?P<site>\d+)p(?P<z>\d+)(?:rc\d+)?-ch(?P<channel>\d+)"
            rf"sk(?P<t>\d+)(?:fk\d+)?(?:fl\d+)?{_SUFFIX}", re.IGNORECASE,
        ),
        "ch", hint="-ch",
    ),
    NamePattern(
        "cellvoyager",
        re.compile(
            r"(?P<plate>.+)_(?P<well>[A-Z]{1,2}\d{2}|[A-H](?:0[1-9]|1[0-2])\.[a-d][1-4])_T(?P<t>\d+)F(?P<site>\d+)"
            rf"L(?P<acquisition>\d+)A\d+Z(?P<z>\d+)C(?P<channel>\d+){_SUFFIX}", re.IGNORECASE,
        ),
        "C", hint="_t", refine=refine_1536,
    ),
    NamePattern(
        "cellomics",
        re.compile(rf"(?P<plate>.+)_(?P<well>[A-Z]{{1,2}}\d{{2}})f(?P<site>\d+)d(?P<channel>\d+){_SUFFIX}", re.IGNORECASE),
        "d",
    ),
    NamePattern(
        "incell",
        re.compile(
            # Blanks and dashes come and go: "A - 1(fld 1- time 1 - 0 ms)", "A - 01(fld 1 wv UV - DAPI z 3 time 2 - 2636ms)".
            r"(?:(?P<plate>.+)_)?(?P<well>[A-Z]{1,2} {0,2}-? {0,2}\d{1,2}) {0,2}\( {0,2}fld {1,3}(?P<site>\d+)"
            r"(?: {1,3}wv {1,3}(?P<channel>.+?))??(?: {1,3}z {1,3}(?P<z>\d+))?"
            rf"(?: {{0,3}}-? {{1,3}}time {{1,3}}(?P<t>\d+)(?: {{0,3}}- {{0,3}}\d+(?:\.\d+)? {{0,3}}m?s)?)? {{0,3}}\){_SUFFIX}",
            re.IGNORECASE,
        ),
        hint="fld",
    ),
    NamePattern(
        "cytation",
        re.compile(
            r"(?P<well>[A-Z]{1,2}\d{1,2})_(?P<acquisition>-?\d+)_\d+(?:Z(?P<z>\d+))?_(?P<site>\d+)_"
            rf"(?P<channel>[^_].*)_(?P<t>\d{{3,}}){_SUFFIX}", re.IGNORECASE,
        ),
    ),
    NamePattern(
        "imagexpress",
        re.compile(
            r"(?:(?P<plate>.+?)_)??(?P<well>[A-Z]{1,2}\d{2})(?:_s(?P<site>\d+))?(?:_w(?P<channel>\d+))?"
            rf"(?:_?{_GUID})?{_SUFFIX}", re.IGNORECASE,
        ),
        "w", "1",
    ),
    NamePattern(  # no instrument's, but what people write: a well, a site and perhaps a channel
        "well-site",
        re.compile(
            r"(?:(?P<plate>.+?)(?:_MMStack)?[_-])??(?P<well>[A-Z]{1,2}\d{1,2})[_-](?:site|field|fov|pos|s|f)[_-]?(?P<site>\d{1,5})"
            rf"(?:[_-](?P<channel>(?:ch?|w)\d{{1,2}}))?{_SUFFIX}", re.IGNORECASE,
        ),
    ),
    *LOOSE_PATTERNS,
)  # fmt: skip

_THUMBNAIL = re.compile(rf"_thumb(?:{_GUID})?{_SUFFIX}$|^thumb[s_]|_thumbnail\.", re.IGNORECASE)
_FOLDER_STEP = re.compile(r"(?:^|/)(?P<axis>TimePoint|ZStep)_(?P<number>\d+)(?=/)", re.IGNORECASE)
_STITCHED = re.compile(r"_stitched\[|^stitched", re.IGNORECASE)
# Projections and montages of MetaXpress, reduced copies of NDTiff pyramids.
_DERIVED_FOLDER = re.compile(
    r"(?:^|/)ZStep_0$|(?:^|/)experiment_montage(?:/|$)|(?:^|/)Downsampled_x\d+$", re.IGNORECASE
)
# Dark and shading images of CellVoyager: "DC_sCMOS #1_CAM1.tif", "SC_BP445-45_40x_M10_CH01.tif".
_CORRECTION = re.compile(rf"(?:DC_.*(?:sCMOS|Andor|Sony|_CAM\d)|SC_(?:BP|LP)\d).*{_SUFFIX}", re.IGNORECASE)
NameParser = Callable[[str], NameParts | None]


def is_thumbnail(key: str) -> bool:
    """Tell whether a file is a small preview that the instrument made of an image."""
    return _THUMBNAIL.search(key.rpartition("/")[2]) is not None


def is_derived(key: str) -> bool:
    """Tell whether a file is not a field: stitched wells of Gen5 and MetaXpress Acquire, MetaXpress's projection folder, reduced copies
    of NDTiff, CellVoyager's corrections."""
    folder, _, name = key.rpartition("/")
    return (
        _STITCHED.search(name) is not None
        or _CORRECTION.fullmatch(name) is not None
        or _DERIVED_FOLDER.search(folder) is not None
    )


def parse_name(key: str, *, skip: str = "") -> NameParts | None:
    """Read a file name by the first built-in layout that fits it whole, but one; folders give time points and z steps.

    >>> parse_name("AS_09125_050116030001_D03f00d0.tif")
    NameParts(layout='cellomics', well_id='D03', site_id='0', plate='AS_09125_050116030001', channel='d0', z=None, t=None, acquisition=None)
    """
    folder, _, name = key.rpartition("/")
    if len(name) > MAX_NAME:
        return None
    lowered = key.lower()
    for pattern in PATTERNS:
        if pattern.hint not in lowered or pattern.layout == skip:
            continue
        match = pattern.regex.fullmatch(_tail(key, pattern.folders) if pattern.folders else name)
        if match is None:
            continue
        groups = match.groupdict() if pattern.refine is None else pattern.refine(match.groupdict())
        parts = build_parts(groups, pattern.layout, pattern.channel_prefix, pattern.default_site)
        if parts is not None:
            return _add_folder_steps(parts, folder) if folder else parts
    return None


def _tail(key: str, folders: int) -> str:
    """A file's name with some folders above it."""
    return "/".join(key.rsplit("/", folders + 1)[-folders - 1 :])


def build_user_parser(file_pattern: str) -> NameParser:
    """Parser of a regular expression with named groups, tried on the path below the plate folder, then on the name.

    Raises
    ------
    UsageError
        The expression is not valid, or names neither a well nor a row and column; while parsing: it does not end.
    """
    pattern = _find_pattern(file_pattern)

    def parse(key: str) -> NameParts | None:
        return _user_parts(pattern.search([key])[0])

    return parse


def parse_by_user(file_pattern: str, keys: Iterable[str]) -> dict[str, NameParts | None]:
    """Parts of many names at once, as ``build_user_parser`` gives them one by one."""
    names = list(keys)
    found = _find_pattern(file_pattern).search(names)
    return {name: _user_parts(groups) for name, groups in zip(names, found, strict=True)}


def _user_parts(groups: Groups) -> NameParts | None:
    return None if groups is None else build_parts(groups, USER_LAYOUT, "", None)


def _find_pattern(file_pattern: str) -> UserPattern:
    try:
        pattern = find_user_pattern(file_pattern)
    except UsageError as error:
        raise UsageError(f"file_pattern {file_pattern[:200]!r} is no regular expression: {error}.") from error
    known = {"plate", "well", "row", "column", "site", "channel", "z", "t", "acquisition"}
    groups = set(pattern.groups)
    if not ("well" in groups or {"row", "column"} <= groups):
        raise UsageError(
            f"file_pattern {file_pattern!r} needs a named group 'well', or 'row' and 'column'; "
            f"known groups are {sorted(known)}, found {sorted(groups)}."
        )
    return pattern


def build_parts(
    groups: Mapping[str, str | None], layout: str, prefix: str, default_site: str | None
) -> NameParts | None:
    """Compose the parts of one match from its named groups; None where its well is on no plate."""
    row, column = groups.get("row"), groups.get("column")
    well_id = _well_of(groups.get("well"), row, column)
    if well_id is None:
        return None
    channel = groups.get("channel")
    return NameParts(
        layout, well_id, normalize_site(groups.get("site")) or default_site, groups.get("plate") or None,
        f"{prefix}{channel}" if channel else None, _number(groups.get("z")), _number(groups.get("t")),
        groups.get("acquisition") or None, groups.get("channel_name") or None,
    )  # fmt: skip


def _well_of(well: str | None, row: str | None, column: str | None) -> str | None:
    if well is not None:
        return normalize_well(well)
    if row is None or column is None:
        return None
    if row.isdecimal() and column.isdecimal() and len(row) < 4 and len(column) < 4:
        in_plate = 1 <= int(row) <= MAX_WELL_ROW and 1 <= int(column) <= MAX_WELL_COLUMN
        return build_well_id(int(row) - 1, int(column) - 1) if in_plate else None
    return normalize_well(f"{row}{column}")


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None


def _add_folder_steps(parts: NameParts, folder: str) -> NameParts:
    """MetaXpress keeps time points and z steps in folders named so."""
    steps = {match["axis"].lower(): int(match["number"]) for match in _FOLDER_STEP.finditer(f"{folder}/")}
    if not steps:
        return parts
    return replace(parts, z=steps.get("zstep", parts.z), t=steps.get("timepoint", parts.t))


def folder_without_steps(key: str) -> str:
    """Folder of a file without ``TimePoint_n``, ``ZStep_n`` and ``Images``, which are not acquisitions of their own."""
    folder = key.rpartition("/")[0]
    kept = [
        part
        for part in folder.split("/")
        if part.lower() != "images" and not _FOLDER_STEP.search(f"/{part}/")
    ]
    return "/".join(part for part in kept if part)
