"""Which reader takes which files: suffixes, packings and first bytes by kind. Names are compared in lower case."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

from bioimage_assets.core.model.store_paths import show_name

# Images: Zarr (https://ngff.openmicroscopy.org/rfc/9/ for archives) and the TIFF family (OME-TIFF: .tf2 .tf8 .btf, too; TIFF
# inside are also MetaMorph's .stk, Zeiss' .lsm, Opera's .flex and slides: .svs .ndpi .qptiff).
ZARR_ARCHIVE_SUFFIXES = (".ozx", ".zarr.zip")
ZARR_SUFFIXES = (".zarr", *ZARR_ARCHIVE_SUFFIXES)
# Any zip is opened when it is given; in a watched root only those whose names say that they are stores.
ARCHIVE_SUFFIXES = (".zip", ".ozx")
TIFF_FILE_SUFFIXES = (
    ".tif", ".tiff", ".tf2", ".tf8", ".btf", ".stk", ".lsm", ".svs", ".ndpi", ".qptiff", ".flex",
)  # fmt: skip
COMPANION_SUFFIX = ".companion.ome"
OME_DOCUMENT_SUFFIXES = (".ome.xml", ".ome")  # of any document beside TIFFs, companions too
PNG_SUFFIX = ".png"  # of plates; PNGs beside TIFFs are pictures
PNG_FAMILY = "png"
TIFF_SUFFIXES = (*TIFF_FILE_SUFFIXES, COMPANION_SUFFIX)
ZARR_ROOT_DOCUMENTS = ("zarr.json", ".zattrs", ".zarray", ".zgroup")
# Folders that are stores of images, also of kinds that are not read.
N5_SUFFIX = ".n5"
STORE_FOLDER_SUFFIXES = (".zarr", ".ozx", N5_SUFFIX)
# Names of images in tables: what DeepProfiler's metadata may point to.
IMAGE_FILE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".npy")
# Suffixes that are a format, not a name.
STORE_SUFFIXES = (
    *TIFF_SUFFIXES, *ZARR_SUFFIXES, *ARCHIVE_SUFFIXES,
    *(f".ome{suffix}" for suffix in (*TIFF_FILE_SUFFIXES, ".zarr", ".zarr.zip")),
)  # fmt: skip

# Tables of numbers and text. Packed ones are unpacked by their names.
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}


def _packed(*suffixes: str) -> tuple[str, ...]:
    """Suffixes, and each of them with a packing."""
    return tuple(f"{suffix}{packing}" for suffix in suffixes for packing in ("", *COMPRESSIONS))


PARQUET_SUFFIXES = (".parquet", ".parq", ".pq")
COMMA_SUFFIXES = _packed(".csv")
# A bare .txt beside measurements is a note more often than a table.
CSV_SUFFIXES = (*COMMA_SUFFIXES, *_packed(".tsv"), *_packed(".txt")[1:])
SQLITE_SUFFIXES = (".sqlite", ".sqlite3", ".db")
# Beside images a .db is mostly the microscope's own.
SQLITE_BESIDE_IMAGES = (".sqlite", ".sqlite3")
PLATEMAP_SUFFIXES = (*_packed(".txt"), *_packed(".tsv"), *COMMA_SUFFIXES)
LOAD_DATA_SUFFIXES = (".csv", ".csv.gz", ".parquet")
LOAD_DATA_NAMES = ("load_data", "loaddata")

MeasurementKind = Literal["parquet", "csv", "deepprofiler", "anndata", "cellprofiler-sqlite"]
# Which reader of measurements takes a file.
MEASUREMENT_KINDS: Final[dict[str, MeasurementKind]] = {
    **dict.fromkeys(PARQUET_SUFFIXES, "parquet"), **dict.fromkeys(CSV_SUFFIXES, "csv"),
    ".npz": "deepprofiler", ".h5ad": "anndata", **dict.fromkeys(SQLITE_SUFFIXES, "cellprofiler-sqlite"),
}  # fmt: skip
MEASUREMENT_SUFFIXES = tuple(MEASUREMENT_KINDS)

# What copying tools, instruments and people leave beside tables, and nobody takes for one.
PARTIAL_SUFFIXES = (".part", ".partial", ".filepart", ".crdownload", ".tmp")
_BY_PRODUCT_SUFFIXES = (
    *PARTIAL_SUFFIXES, ".md", ".rst", ".log", ".md5", ".sha1", ".sha256", ".sha512", ".toml", ".yaml", ".yml",
    ".cppipe", ".cpproj", ".properties", ".sql", ".pdf", ".html", ".svg",
    ".png", ".jpg", ".jpeg", *TIFF_SUFFIXES, *ZARR_ARCHIVE_SUFFIXES,
)  # fmt: skip
_BY_PRODUCT_NAMES = (
    "readme",
    "license",
    "licence",
    "changelog",
    "md5sum",
    "sha1sum",
    "sha256sum",
    "checksum",
    "manifest",
)
IGNORED_PREFIXES = ("._", ".", "_", "~")
IGNORED_NAMES = frozenset({"Thumbs.db", "desktop.ini", "lost+found"})

_MAX_SHOWN_NAMES = 5

# First bytes.
ZIP_START = b"PK\x03\x04"
ZIP_END = b"PK\x05\x06"
ZIP64_END = b"PK\x06\x07"
GZIP_START = b"\x1f\x8b"
NUMPY_START = b"\x93NUMPY"
PARQUET_START = b"PAR1"
_KNOWN_STARTS = (
    (
        b"version https://git-lfs",
        "a git-lfs pointer, the file itself was not downloaded ('git lfs pull' does)",
    ),
    (b"/annex/objects", "a git-annex pointer, the file itself was not downloaded ('git annex get' does)"),
    (b"\x00\x05\x16\x07", "an AppleDouble resource file of macOS"),
    (b"<!DOCTYPE", "an HTML page, probably the error page of a download"),
    (b"<html", "an HTML page, probably the error page of a download"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (ZIP_START, "a zip archive"),
    (GZIP_START, "gzip data"),
)


def has_suffix(name: str, suffixes: tuple[str, ...] | str) -> bool:
    """Tell whether a name or path ends with one of some suffixes, in any case."""
    return name.lower().endswith(suffixes)


def find_suffix(name: str, suffixes: Iterable[str]) -> str:
    """The longest of some suffixes behind a name, which is never empty; empty where it has none.

    >>> find_suffix("Plate1.CSV.gz", CSV_SUFFIXES)
    '.csv.gz'
    """
    found = (one for one in suffixes if len(one) < len(name) and name.lower().endswith(one))
    return max(found, key=len, default="")


def without_suffix(name: str, suffixes: Iterable[str]) -> str:
    """A name without the longest of some suffixes."""
    return name[: len(name) - len(find_suffix(name, suffixes))]


def compression_of(name: str) -> str | None:
    """How a file is packed by its name, in Arrow's words; None where it is not."""
    return COMPRESSIONS.get(find_suffix(name, COMPRESSIONS))


def measurement_kind(name: str) -> MeasurementKind | None:
    """Which reader of measurements takes a file of this name."""
    return MEASUREMENT_KINDS.get(find_suffix(name, MEASUREMENT_KINDS))


def is_load_data_name(name: str) -> bool:
    """Tell a LoadData table by the beginning and end of its name."""
    return has_suffix(name, LOAD_DATA_SUFFIXES) and name.lower().replace("-", "_").startswith(LOAD_DATA_NAMES)


def can_list_images(name: str) -> bool:
    """Tell what may be a LoadData table where one is expected: a CSV of any name, Parquet only of a table's own.

    >>> can_list_images("P1.csv.gz"), can_list_images("load_data_with_illum.parquet"), can_list_images("cells.parquet")
    (True, True, False)
    """
    return is_load_data_name(name) or has_suffix(name, (".csv", ".csv.gz"))


def is_left_behind(name: str) -> bool:
    """Tell what file systems and copying tools leave behind, hidden files included."""
    return name.startswith(IGNORED_PREFIXES) or name in IGNORED_NAMES


def is_by_product(path: str) -> bool:
    """Tell a file that stands beside tables and is meant for people or other programs: notes, checksums, pictures."""
    name = path.rpartition("/")[2]
    lowered = name.lower()
    return (
        is_left_behind(name)
        or lowered.startswith(_BY_PRODUCT_NAMES)
        or lowered.endswith(_BY_PRODUCT_SUFFIXES)
    )


def find_not_read(files: Iterable[tuple[str, int]], suffixes: tuple[str, ...]) -> list[str]:
    """Names of ``(name, bytes)`` that no reader of these suffixes takes and that are not by-products, sorted.

    Empty files mark something, and ``P1.csv.done`` or ``P1.csv.md5`` belongs to ``P1.csv``.
    """
    sizes = dict(files)
    return sorted(
        name
        for name, size_bytes in sizes.items()
        if size_bytes and not has_suffix(name, suffixes) and not is_by_product(name)
        and not any(before in sizes and has_suffix(before, suffixes) for before in _beginnings(name))
    )  # fmt: skip


def _beginnings(name: str) -> Iterator[str]:
    """What stands before each point of a name."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def describe_not_read(names: Sequence[str], suffixes: Iterable[str]) -> str:
    """Which files are not read, which would be, and what to do."""
    shown = ", ".join(repr(show_name(name)) for name in names[:_MAX_SHOWN_NAMES])
    more = f" and {len(names) - _MAX_SHOWN_NAMES} more" if len(names) > _MAX_SHOWN_NAMES else ""
    taken = ", ".join(suffix for suffix in suffixes if compression_of(f"x{suffix}") is None)
    return (
        f"No reader takes {shown}{more}; nothing of it is used. Taken are {taken}; text also packed ({', '.join(COMPRESSIONS)}). "
        "Save spreadsheets as .csv, give tables such a suffix, and move everything else to another folder."
    )


def describe_start(raw: bytes) -> str | None:
    """What a foreign file is by its first bytes, for error messages; None where they are not known."""
    return next((meaning for start, meaning in _KNOWN_STARTS if raw.startswith(start)), None)
