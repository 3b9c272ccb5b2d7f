"""Reads image tables (``Image.csv``, ``Per_Image``): one typed row per measured image with its plate position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import TEXT_PREFIXES, canonical_name, join_names
from bioimage_assets.core.measurements.csv_repair import read_rows, report_undecoded
from bioimage_assets.core.measurements.csv_staging import read_header
from bioimage_assets.core.measurements.model import PlateContext
from bioimage_assets.core.measurements.positions import read_position, text_array
from bioimage_assets.core.text_files.numbers import has_decimal_comma, parse_wholes

_KEYS = ("TableNumber", "ImageNumber")
# Image tables are held whole: 20,000 images with 1,500 columns take about so many characters.
MAX_IMAGE_CHARS = 512 << 20
# Image columns that every cell of the image carries along.
CARRIED_PREFIXES = (
    "Image_FileName_",
    "Image_PathName_",
    "Image_MD5Digest_",
    "Image_Count_",
    "Image_Metadata_",
)


@dataclass(frozen=True, slots=True)
class ImageTable:
    """Measured images: ``table`` has ``unit block image`` (int64) and typed ``Image_*`` columns, in file order.

    ``plate``, ``well`` and ``site`` are the position of each row as text.
    """

    table: pa.Table
    plate: pa.Array
    well: pa.Array
    site: pa.Array

    def image_keys(self) -> list[tuple[int, int, int]]:
        """Unit, block and image number of each row; a row without an image number is not an image."""
        columns = (self.table[name].to_pylist() for name in ("unit", "block", "image"))
        return list(zip(*columns, strict=True))

    def take(self, rows: Sequence[int], blocks: Sequence[int]) -> ImageTable:
        """Some rows, each with another ``block``."""
        table, plate, well, site = (
            part.take(rows) for part in (self.table, self.plate, self.well, self.site)
        )
        at = table.column_names.index("block")
        return ImageTable(table.set_column(at, "block", pa.array(blocks, pa.int64())), plate, well, site)

    def carried_names(self) -> tuple[str, ...]:
        """Names of the columns that go into the single-cell table; positions have columns of their own."""
        return tuple(
            name for name in self.table.column_names
            if name.startswith(CARRIED_PREFIXES)
            and name not in ("Image_Metadata_Plate", "Image_Metadata_Well", "Image_Metadata_Site")
        )  # fmt: skip


def read_image_csvs(files: Sequence[tuple[int, str]]) -> tuple[dict[str, list[str | None]], list[Finding]]:
    """Read image tables whole, as text columns by name plus ``unit``; a row of the wrong width is left out."""
    columns: dict[str, list[str | None]] = {"unit": []}
    findings: list[Finding] = []
    count = chars = 0
    for unit, path in files:
        source, odd = read_header(unit, path)
        findings += odd
        if source is None:
            continue
        bad_lines: list[int] = []
        undecoded: dict[str, int] = {}
        for name in source.names:
            columns.setdefault(name, [None] * count)
        rows = (
            row for batch in read_rows(path, source.delimiter, len(source.names), bad_lines) for row in batch
        )
        for row in rows:
            chars += sum(map(len, row))
            if chars > MAX_IMAGE_CHARS:
                raise MeasurementError(
                    f"{path}: expected image tables of at most {MAX_IMAGE_CHARS} characters for a plate, found more. Is it a table of objects?"
                )
            columns["unit"].append(str(unit))
            for name, value in zip(source.names, row, strict=True):
                values = columns[name]
                values.extend([None] * (count - len(values)))
                values.append(_plain_number(name, value, source.delimiter) or None)
                if "\ufffd" in value:
                    undecoded[name] = undecoded.get(name, 0) + 1
            count += 1
        findings += report_undecoded(path, undecoded)
        if bad_lines:
            text = f"{len(bad_lines)} row(s) have another number of values than the header and are left out."
            findings.append(
                Finding("malformed-rows", "error", f"{Path(path).name}:{bad_lines[0]}", text, path)
            )
    for values in columns.values():
        values.extend([None] * (count - len(values)))
    return columns, findings


def _plain_number(name: str, value: str, delimiter: str) -> str:
    """A number with a decimal comma as others write it."""
    if delimiter == "," or "," not in value or canonical_name(name).startswith(TEXT_PREFIXES):
        return value
    return value.replace(",", ".") if has_decimal_comma(value) else value


def build_image_table(
    columns: Mapping[str, Sequence[str | float | int | None]],
    units: Sequence[str],
    context: PlateContext,
    source: str = "",
) -> tuple[ImageTable, list[Finding]]:
    """Type the columns and find plate, well and site of every image.

    ``columns`` are values by name as the source spells them, with the folder number as ``unit``; ``units``
    the names of these folders, ``source`` the first file for messages. Rows of one ImageNumber are distinguished by their order (``block``). MeasurementError
    without an ImageNumber column.
    """
    typed: dict[str, pa.Array] = {}
    findings: list[Finding] = []
    for name, values in columns.items():
        if name == "unit":
            continue
        bare = canonical_name(name.strip()).removeprefix("Image_")
        key = next((k for k in _KEYS if bare.lower() in (k.lower(), f"metadata_{k.lower()}")), None)
        typed[key or f"Image_{bare}"], bad = _type_column(bare if key is None else key, values)
        if bad:
            text = f"{bad} value(s) of {name} are no whole numbers and became null."
            findings.append(Finding("not-a-number", "error", "Image", text))
    if "ImageNumber" not in typed:
        raise MeasurementError(
            f"{source or context.plate_key}: the image table has no ImageNumber column; expected one number per image, found "
            f"{join_names((name for name in columns if name != 'unit'), 8)}. Export it again, or move it away: the cells are read "
            "without it, then without file names."
        )
    unit = pa.array([int(value or 0) for value in columns["unit"]], pa.int64())
    number = typed.pop("ImageNumber")
    table = pa.table({"unit": unit, "block": _count_repeats(unit, number), "image": number, **typed})
    plate, well, site, odd = read_position(table, units, context)
    return ImageTable(table, plate, well, site), findings + odd


def public_image_table(images: ImageTable, units: Sequence[str], context: PlateContext) -> pa.Table:
    """The image table as callers see it: plate keys, position and number first, then all ``Image_*`` columns."""
    table = images.table
    rows = table.num_rows
    keys: dict[str, pa.Array | pa.ChunkedArray] = {
        "plate_key": pa.array([context.plate_key] * rows, pa.string()),
        "dataset_id": pa.array([context.dataset_id] * rows, pa.string()),
        "Metadata_Plate": images.plate,
        "Metadata_Well": images.well,
        "Metadata_Site": images.site,
    }
    if len(units) > 1 or "TableNumber" in table.column_names:
        keys["Metadata_TableNumber"] = unit_names(table, units)
    keys["Metadata_ImageNumber"] = table["image"]
    rest = [name for name in table.column_names if name not in ("unit", "block", "image", "TableNumber")]
    return pa.table({**keys, **{name: table[name] for name in rest}})


def unit_names(table: pa.Table, units: Sequence[str]) -> pa.ChunkedArray:
    """Names of the source folders (or table numbers) of the rows of a table with a ``unit`` column."""
    return pc.take(pa.chunked_array([pa.array(units, pa.string())]), table["unit"])


def _type_column(name: str, values: Sequence[str | float | int | None]) -> tuple[pa.Array, int]:
    """Text for names, paths and metadata, int64 for numbers and counts of things, float64 where all are numbers.

    Also says how many values of a whole-number column are none.
    """
    if name.startswith(TEXT_PREFIXES) or name == "TableNumber":
        return text_array(values), 0
    if name == "ImageNumber" or name.startswith("Count_"):
        whole, bad = parse_wholes("" if value is None else str(value) for value in values)
        return pa.array(whole, pa.int64()), bad
    try:
        return pa.array([None if v is None or v == "" else float(v) for v in values], pa.float64()), 0
    except ValueError:
        return text_array(values), 0


def _count_repeats(unit: pa.Array, number: pa.Array) -> pa.Array:
    """Occurrence of each (unit, number) so far."""
    seen: dict[tuple[int, int | None], int] = {}
    blocks: list[int] = []
    for key in zip(unit.to_pylist(), number.to_pylist(), strict=True):
        blocks.append(seen.get(key, 0))
        seen[key] = blocks[-1] + 1
    return pa.array(blocks, pa.int64())
