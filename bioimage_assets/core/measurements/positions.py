"""Plate, well and site of measured images: from their metadata columns, else from their file names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.plate_folders.patterns import (
    NameParts,
    build_user_parser,
    parse_by_user,
    parse_name,
)
from bioimage_assets.core.formats.plate_folders.series import find_series
from bioimage_assets.core.measurements.model import PlateContext
from bioimage_assets.core.model.identity import normalize_site, normalize_well
from bioimage_assets.core.model.well_columns import find_well_columns, join_well

PLATE_NAMES = ("Metadata_Plate", "Image_Metadata_Plate", "Image_Metadata_Plate_x", "Metadata_plate", "Plate")
WELL_NAMES = (
    "Metadata_Well",
    "Image_Metadata_Well",
    "Image_Metadata_Well_x",
    "Metadata_well",
    "Metadata_WellID",
    "Well",
)
SITE_NAMES = (
    "Metadata_Site", "Image_Metadata_Site", "Image_Metadata_Site_x", "Metadata_site", "Metadata_Field",
    "Image_Metadata_Field", "Metadata_FieldID", "Image_Metadata_FieldID", "Image_Metadata_FOV", "Site", "Field", "FOV",
)  # fmt: skip


def text_array(values: Sequence[object]) -> pa.Array:
    """Values as text, whole floats without decimals (a site read as 1.0 is ``1``), NaN as null."""
    return pa.array([_as_text(value) for value in values], pa.string())


def text_column(array: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """A column as text; the same as ``text_array`` of its values, without building them where types allow."""
    if pa.types.is_string(array.type):
        return array
    if pa.types.is_integer(array.type) or pa.types.is_large_string(array.type):
        return array.cast(pa.string())
    return text_array(array.to_pylist())


def _as_text(value: object) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def first_column(names: Sequence[str], candidates: Sequence[str]) -> str | None:
    """The first candidate that is a column, spelled the same, else in another case."""
    present = set(names)
    exact = next((name for name in candidates if name in present), None)
    if exact is not None:
        return exact
    by_case = {name.strip().lower(): name for name in reversed(names)}
    return next((by_case[name.lower()] for name in candidates if name.lower() in by_case), None)


def position_candidates(context: PlateContext) -> dict[str, tuple[str, ...]]:
    """Column names that may hold plate, well and site: the dataset's aliases first, then the built-in ones."""
    aliases = context.settings.aliases
    return {
        "plate": (*aliases.get("plate_id", ()), *PLATE_NAMES),
        "well": (*aliases.get("well_id", ()), *WELL_NAMES),
        "site": (*aliases.get("site_id", ()), *SITE_NAMES),
    }


def read_position(
    table: pa.Table, units: Sequence[str], context: PlateContext
) -> tuple[pa.Array, pa.Array, pa.Array, list[Finding]]:
    """Plate, well and site of each image as text; a missing one is taken from the file names, then the folder.

    The plate is never null: where nothing names it, it is the plate that is being read.
    """
    rows = table.num_rows
    found: dict[str, list[str | None]] = {}
    for part, candidates in position_candidates(context).items():
        name = first_column(table.column_names, candidates)
        values = table[name].to_pylist() if name else [None] * rows
        found[part] = [_as_text(value) for value in values]
    if all(well is None for well in found["well"]):
        found["well"] = _wells_of_two_columns(table)
    findings: list[Finding] = []
    gaps = sum(value is None for part in ("plate", "well", "site") for value in found[part])
    if gaps:
        parsed = _parse_names(table, units, context)
        filled = dict.fromkeys(found, 0)
        for row, position in enumerate(parsed):
            for part, value in position.items():
                if found[part][row] is None and value is not None:
                    found[part][row] = value
                    filled[part] += 1
        if any(filled.values()):
            text = ", ".join(f"{part} of {count}" for part, count in filled.items() if count)
            findings.append(
                Finding(
                    "position-from-file-name",
                    "info",
                    "Image",
                    f"Read from image file names: {text} image(s).",
                )
            )
    found["plate"] = [value or context.plate_name for value in found["plate"]]
    findings += check_plate_names(found["plate"], context)
    arrays = {part: pa.array(values, pa.string()) for part, values in found.items()}
    return arrays["plate"], arrays["well"], arrays["site"], findings


def _wells_of_two_columns(table: pa.Table) -> list[str | None]:
    """Wells that stand in a row and a column of the image table; nulls where there are no such columns."""
    columns = find_well_columns(table.column_names)
    if columns is None:
        return [None] * table.num_rows
    row, column = (map(_as_text, table[name].to_pylist()) for name in columns)
    return list(map(join_well, row, column))


def check_plate_names(plates: Sequence[str | None], context: PlateContext) -> list[Finding]:
    """Findings where the measurements name several plates, or another one than the folder does."""
    names = sorted({name for name in plates if name is not None})
    if len(names) > 1:
        text = (
            f"The measurements name {len(names)} plates ({', '.join(names[:5])}); one plate per conversion is "
            "expected. Give each plate its own file or folder."
        )
        return [Finding("several-plates", "error", "Metadata_Plate", text)]
    if names and names[0] != context.plate_name:
        text = f"The measurements call the plate {names[0]!r}, the folder or store {context.plate_name!r}."
        return [Finding("plate-name-differs", "info", "Metadata_Plate", text)]
    return []


def _parse_names(table: pa.Table, units: Sequence[str], context: PlateContext) -> list[dict[str, str | None]]:
    """Position read from the first image file name of each row, completed from its folder's name."""
    columns = [table[name].to_pylist() for name in table.column_names if name.startswith("Image_FileName_")]
    unit_numbers = table["unit"].to_pylist()
    parsed: list[dict[str, str | None]] = []
    expect_names(
        [*(name for column in columns for name in column if name), *units], context.settings.file_pattern
    )
    doubtful = _find_doubtful(columns, context)
    for row in range(table.num_rows):
        position: dict[str, str | None] = {"plate": None, "well": None, "site": None}
        names = [column[row] for column in columns if column[row] and column[row] not in doubtful]
        for text in (*names[:1], units[unit_numbers[row]] if units else ""):
            for part, value in parse_position(text, context.settings.file_pattern).items():
                if position[part] is None:
                    position[part] = value
        parsed.append(position)
    return parsed


def _find_doubtful(columns: Sequence[Sequence[str | None]], context: PlateContext) -> frozenset[str]:
    """Names that look like wells and count something else, as ``t01.tif … t05.tif`` do; a given pattern settles that."""
    if context.settings.file_pattern is not None:
        return frozenset()
    names = {name for column in columns for name in column if name}
    parsed = {name: parts for name in names if (parts := _parse(name.replace("\\", "/"), None)) is not None}
    return frozenset(name for series in find_series(parsed) for name in series.parts)


# Folders of per-site analyses: `BR00121431-A01-1`.
_ANALYSIS_FOLDER = re.compile(r"(?P<plate>.+)-(?P<well>[A-Za-z]{1,2}\d{1,2})-(?P<site>\w+)")
_NOTHING: dict[str, str | None] = {"plate": None, "well": None, "site": None}


# Every cell repeats the file name of its image: a plate has some ten thousand of these.
@lru_cache(maxsize=65_536)
def _parse(name: str, pattern: str | None) -> NameParts | None:
    if pattern is not None:
        return build_user_parser(pattern)(name)
    return parse_name(name)


def expect_names(names: Iterable[object], pattern: str | None) -> None:
    """Ask for many names of a dataset's own pattern at once, before ``parse_position`` is asked for each."""
    if pattern:
        parse_by_user(pattern, [name.replace("\\", "/") for name in names if isinstance(name, str)])


def parse_position(name: str, pattern: str | None = None) -> dict[str, str | None]:
    """Plate, well and site that an image file's or analysis folder's name states; all None where none does.

    The dataset's own pattern is tried first, then the layouts that plate folders are recognised by.
    """
    path = name.replace("\\", "/")
    parts = (_parse(path, pattern) if pattern else None) or _parse(path, None)
    if parts is not None:
        return {"plate": parts.plate, "well": parts.well_id, "site": parts.site_id}
    match = _ANALYSIS_FOLDER.fullmatch(path.rstrip("/").rpartition("/")[2])
    well = normalize_well(match["well"]) if match else None
    if match is None or well is None:
        return dict(_NOTHING)
    return {"plate": match["plate"], "well": well, "site": normalize_site(match["site"])}
