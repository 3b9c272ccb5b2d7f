"""Identity rules: dataset, plate, well, site and image ids from the raw names in stores and tables."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from hashlib import blake2b
from numbers import Integral, Real
from typing import Literal

from bioimage_assets.core.errors import IdentityError
from bioimage_assets.core.model.file_kinds import STORE_SUFFIXES, without_suffix

_KEY_PART = re.compile(r"[A-Za-z0-9%][A-Za-z0-9_.%-]*")
_KEY_PART_MAX = 120  # two parts and a suffix stay below the 255 bytes of a file name

_WELL_TEXT = re.compile(r"\s*([A-Za-z]{1,2})\s*[-_/ ]?\s*0*([0-9]{1,2})\s*")
_WELL_ROW_COLUMN = re.compile(r"\s*[rR]0*([0-9]{1,2})\s*[cC]0*([0-9]{1,2})\s*")
_WELL_NUMBERS = re.compile(r"\s*\(?\s*0*([0-9]{1,2})\s*,\s*0*([0-9]{1,2})\s*\)?\s*")
_WINDOWS_PATH = re.compile(r"[A-Za-z]:\\|\\\\")
_DECIMAL = re.compile(r"\s*\+?0*([0-9]+)(?:\.0+)?\s*")
_NUMBER = re.compile(r"\d+")
# A cell of a table may hold anything; longer texts, blanks around them left out, are neither wells nor numbers.
_MAX_TEXT = 64

# 1536-well plates have 32 rows (A-AF) and 48 columns; nothing larger is sold.
MAX_WELL_ROW = 32
MAX_WELL_COLUMN = 48


def dataset_of(partition: str) -> str:
    """Dataset part of a plate's key; the key itself of a dataset or campaign."""
    return partition.split("/", 1)[0]


CAMPAIGN_PREFIX = "campaign:"
"""Begins the partition key of a campaign: no plate and no dataset can have one that does, since ``:`` is encoded there."""


def build_campaign_key(name: str) -> str:
    """Partition key of a campaign; IdentityError where the name cannot be part of one.

    >>> build_campaign_key("jump-pilot")
    'campaign:jump-pilot'
    """
    check_key_part(name)
    return f"{CAMPAIGN_PREFIX}{name}"


def campaign_name(partition: str) -> str:
    """Name of the campaign whose key this is; a name itself stays as it is."""
    return partition.removeprefix(CAMPAIGN_PREFIX)


def dimension_of(partition: str) -> Literal["plate", "dataset", "campaign"]:
    """What a partition key names."""
    if partition.startswith(CAMPAIGN_PREFIX):
        return "campaign"
    return "plate" if "/" in partition else "dataset"


def store_stem(uri: str) -> str:
    """Give a store's name without folders, query and format suffix (case-insensitive).

    >>> store_stem("s3://bucket/screen/Plate1.OME.Zarr/")
    'Plate1'
    """
    path = without_query(uri)
    if _WINDOWS_PATH.match(path):  # elsewhere a backslash is a letter of a name
        path = path.replace("\\", "/")
    name = path.rstrip("/").rsplit("/", 1)[-1]
    return without_suffix(name, STORE_SUFFIXES)


def without_query(uri: str) -> str:
    """Drop the query and fragment of a web address; everywhere else ``?`` and ``#`` are letters of a name.

    >>> without_query("https://lab.org/a.tif?token=1"), without_query("s3://bucket/a?b.tif")
    ('https://lab.org/a.tif', 's3://bucket/a?b.tif')
    """
    if uri.startswith(("http://", "https://")):
        return uri.split("?", 1)[0].split("#", 1)[0]
    return uri


@dataclass(frozen=True, slots=True)
class PlateKey:
    """The partition key ``<dataset_id>/<plate>``; both parts are safe in URLs, file names and Dagster ranges."""

    dataset: str
    plate: str

    def __str__(self) -> str:
        return f"{self.dataset}/{self.plate}"

    @classmethod
    def parse(cls, text: str) -> PlateKey:
        """Read a key back; IdentityError when it is not exactly two valid parts."""
        parts = text.split("/")
        if len(parts) != 2:
            raise IdentityError(f"Plate key {text!r} is not '<dataset>/<plate>': found {len(parts)} part(s).")
        for part in parts:
            check_key_part(part)
        return cls(parts[0], parts[1])


def check_key_part(part: str) -> None:
    """Raise IdentityError unless the text may stand as one part of a partition key."""
    if not _KEY_PART.fullmatch(part) or ".." in part or len(part) > _KEY_PART_MAX:
        raise IdentityError(
            f"{part!r} cannot be part of a partition key: expected letters, digits, '_', '-', '.' or '%', "
            f"starting with a letter or digit, without '..', at most {_KEY_PART_MAX} characters. "
            "Use build_key_part() to encode a foreign name."
        )


def is_partition_key(text: str) -> bool:
    """Whether a text is the key of a plate or a dataset; the place of a file is neither.

    >>> [is_partition_key(text) for text in ("screen/P1", "screen", "/data/screen/P1.parquet", "s3://bucket/P1.parquet")]
    [True, True, False, False]
    """
    try:
        for part in text.split("/", 2)[:2]:
            check_key_part(part)
    except IdentityError:
        return False
    return text.count("/") <= 1


def build_key_part(name: str) -> str:
    """Encode any name as one part of a partition key; names that are already valid stay as they are.

    Foreign characters become ``%XX`` of their UTF-8 bytes; names over 120 characters keep their
    start and end in a hash. Idempotent.
    """
    if not name:
        raise IdentityError("An empty name cannot be part of a partition key.")
    encoded = "".join(
        chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "_.-%") else f"%{byte:02X}"
        for byte in name.encode("utf-8")
    )
    while ".." in encoded:
        encoded = encoded.replace("..", ".%2E")
    if not (encoded[0].isalnum() or encoded[0] == "%"):
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    if len(encoded) > _KEY_PART_MAX:
        digest = blake2b(encoded.encode(), digest_size=6).hexdigest()
        # A dash and twelve digits.
        encoded = f"{encoded[: _KEY_PART_MAX - 13]}-{digest}"
    return encoded


def build_plate_key(dataset: str, plate: str) -> str:
    """Form the partition key of a plate from a dataset name and a plate folder or store name."""
    return str(PlateKey(build_key_part(dataset), build_key_part(plate)))


def row_letters(row: int) -> str:
    """Letters of a zero-based plate row: 0 is A, 25 is Z, 26 is AA, 31 is AF."""
    if not 0 <= row < MAX_WELL_ROW:
        raise IdentityError(f"Plate row {row} is outside 0..{MAX_WELL_ROW - 1}.")
    # 1536-well plates end at AF.
    return chr(65 + row) if row < 26 else "A" + chr(65 + row - 26)


def row_index(letters: str) -> int | None:
    """Zero-based plate row of its letters, None where they name no row of a 1536-well plate."""
    text = letters.upper()
    if len(text) == 1 and text.isascii() and text.isalpha():
        return ord(text) - 65
    if len(text) == 2 and text[0] == "A" and "A" <= text[1] <= "F":
        return 26 + ord(text[1]) - 65
    return None


def build_well_id(row: int, column: int) -> str:
    """Well id of a zero-based row and column: (0, 0) is ``A01``."""
    if not 0 <= column < MAX_WELL_COLUMN:
        raise IdentityError(f"Plate column {column} is outside 0..{MAX_WELL_COLUMN - 1}.")
    return f"{row_letters(row)}{column + 1:02d}"


def normalize_well(value: object) -> str | None:
    """Canonical well id (``A01`` … ``AF48``) of any common spelling, None where there is none.

    Accepts ``A1 a01 A-1 "A - 1" A/1 r01c01 (1,1)``; numbers are one-based row and column. Idempotent.
    """
    if value is None or not isinstance(value, str):
        return None
    if len(value) > _MAX_TEXT and len(value := value.strip()) > _MAX_TEXT:
        return None
    for pattern in (_WELL_ROW_COLUMN, _WELL_NUMBERS):
        if match := pattern.fullmatch(value):
            row, column = int(match[1]), int(match[2])
            break
    else:
        match = _WELL_TEXT.fullmatch(value)
        index = row_index(match[1]) if match else None
        if match is None or index is None:
            return None
        row, column = index + 1, int(match[2])
    if 1 <= row <= MAX_WELL_ROW and 1 <= column <= MAX_WELL_COLUMN:
        return build_well_id(row - 1, column - 1)
    return None


def normalize_site(value: object) -> str | None:
    """Canonical site id: decimal without padding, or the stripped text where it is not a number.

    ``7``, ``7.0``, ``"007"`` all give ``"7"``; ``"M10"`` stays. None for null and empty text. Idempotent.
    """
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real):
        number = float(value)
        if math.isnan(number):
            return None
        return str(int(number)) if number.is_integer() else repr(number)
    text = str(value).strip()
    if not text:
        return None
    match = _DECIMAL.fullmatch(text) if len(text) <= _MAX_TEXT else None
    return str(int(match[1])) if match else text


def site_order(site: object) -> tuple[int, str]:
    """Sorts the fields of a well by the first number in their names; those without one come first.

    >>> sorted(["f10", "f2", "s"], key=site_order)
    ['s', 'f2', 'f10']
    """
    found = _NUMBER.search(str(site))
    return (int(found.group()) if found else 0, str(site))


def subtract_site_offset(site: str, offset: int) -> str:
    """Site number of the image for the profile's; text that is not a number is not shifted."""
    return str(int(site) - offset) if offset and site.isascii() and site.isdigit() else site


def build_image_id(plate_id: str, well_id: str, site_id: str, acquisition_id: str | None = None) -> str:
    """Id of one field of view at a plate position; the acquisition is given only where a plate has several."""
    base = f"{plate_id}:{well_id}:{site_id}"
    return base if acquisition_id is None else f"{base}:{acquisition_id}"


def build_seed_image_id(uri: str, array_path: str | None) -> str:
    """Id that the seeds' array form gives the same image: ``<stem>`` or ``<stem>:<array_path>``.

    TIFF series are spelled ``<stem>:series-<i>`` there, with no suffix for the only series.
    """
    stem = store_stem(uri)
    if not array_path:
        return stem
    return f"{stem}:{array_path.replace('series/', 'series-')}"
