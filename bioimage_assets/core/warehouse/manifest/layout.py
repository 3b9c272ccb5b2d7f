"""Folders of tables below a warehouse root, and file names of their parts.

Two layouts: *flat* (``<root>/<table>``, the seeds' form) and *namespaced* (``<root>/<namespace>/<table>``,
Cytomining warehouse specification 1.0.0, N1-N4).
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Literal

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.model.table_specs import TABLES
from bioimage_assets.core.warehouse.manifest.roles import (
    FIXED_IDENTIFIERS,
    ROLE_NAMESPACES,
    check_role_namespace,
    default_namespace,
)

Layout = Literal["flat", "namespaced"]

MANIFEST_NAME = "warehouse_manifest.json"
VIEWS_NAME = "views.sql"
README_NAME = "README.md"
# Everything that is not a table lives in one folder whose leading underscore makes Parquet readers skip it.
INTERNAL_DIR = "_warehouse"
STAGING_DIR = f"{INTERNAL_DIR}/staging"
SCHEMAS_DIR = f"{INTERNAL_DIR}/schemas"
# Entries of the partitions of a table, which the manifest names by an index file.
PARTITIONS_DIR = f"{INTERNAL_DIR}/partitions"
JOURNAL_NAME = f"{INTERNAL_DIR}/journal.json"
LOCK_NAME = f"{INTERNAL_DIR}/lock"
# File of zero rows with all columns of a table whose parts do not have the same ones. Readers that take the columns of
# a folder from its first file (pandas, pyarrow) find them there, so it has to come first in a sorted listing.
COLUMNS_NAME = "0-columns.parquet"
# Key of the rows that belong to no single partition (tables without a partition column).
WHOLE_TABLE = "*"

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_OWN_PART = re.compile(r"part-.+-[0-9a-f]{8}(-[0-9a-f]{8,16})?(-[0-9]+)?\.parquet")
_INDEX = re.compile(r"index-[0-9a-f]{20}\.json")
_BUCKET = re.compile(r"bucket-[01]{0,64}-[0-9a-f]{20}\.json")
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]+")
_SLUG_MAX = 80  # a readable part of the name; a digest behind it makes it unique
NAME_MAX_BYTES = 255  # of ext4, XFS, APFS and NTFS alike
"""Of one file or folder, on every file system in use."""
NAMESPACES = frozenset(namespace for spaces in ROLE_NAMESPACES.values() for namespace in spaces)


def split_table_name(table_name: str) -> tuple[str, ...]:
    """Split a dotted table name into its segments; UsageError where one is empty or not a plain word."""
    text = table_name.strip()
    if not text:
        raise UsageError("table_name must not be empty.")
    segments = [segment.strip() for segment in text.split(".")]
    for segment in segments:
        if not segment:
            raise UsageError("malformed table_name: empty segment")
        if not _SEGMENT.fullmatch(segment):
            raise UsageError(f"malformed table_name: illegal segment {segment!r}")
    if segments[0] == INTERNAL_DIR:
        raise UsageError(f"malformed table_name: {INTERNAL_DIR!r} is reserved")
    return tuple(segments)


def is_table_name(table_name: str) -> bool:
    """Whether this project would write a table of that name."""
    try:
        split_table_name(table_name)
    except UsageError:
        return False
    return True


def table_folder(table_name: str) -> str:
    """Folder of a table relative to its root: the segments of its name."""
    return "/".join(split_table_name(table_name))


def find_entry_folder(table_name: str) -> str | None:
    """Folder of a table that any tool may have named; None where the name can be no folder below a root.

    Only names of our own making are held to :func:`split_table_name`: ``my table`` is read and kept.

    >>> find_entry_folder("profiles.my table"), find_entry_folder("../elsewhere")
    ('profiles/my table', None)
    """
    segments = [segment.strip() for segment in table_name.split(".")]
    if any(not is_file_name(segment) or segment[0] == "_" for segment in segments):
        return None
    return "/".join(segments)


def split_folder(folder: str) -> tuple[str, ...] | None:
    """Segments of a folder below a root; None where it is not plainly below it (absolute, ``..``, empty segments)."""
    segments = tuple(folder.split("/"))
    return segments if all(is_file_name(segment) for segment in segments) else None


def is_file_name(name: str) -> bool:
    """Whether a text is the name of one file or folder, so that joining it to a folder stays in that folder."""
    is_plain = name not in ("", ".", "..") and not ("/" in name or "\\" in name or "\0" in name)
    return is_plain and len(name.encode("utf-8", "surrogatepass")) <= NAME_MAX_BYTES


def is_schema_path(path: str) -> bool:
    """Whether a root-relative path is one of the schemas that this project keeps beside the tables."""
    folder, _, name = path.rpartition("/")
    return folder == SCHEMAS_DIR and is_file_name(name) and name.endswith(".parquet")


def entries_folder(table_name: str) -> str:
    """Folder below ``PARTITIONS_DIR`` for the entries of a table's partitions: letters that every file system takes.

    >>> entries_folder("profiles.my table")
    'profiles_my_table-f8378b3b'
    """
    digest = blake2b(table_name.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{part_slug(table_name)}-{digest}"


def split_index_path(path: str) -> tuple[str, str] | None:
    """Folder and file name of an index of partitions; None for a path that this project never wrote."""
    folder, _, name = path.rpartition("/")
    above, _, table = folder.rpartition("/")
    if above != PARTITIONS_DIR or not _SEGMENT.fullmatch(table) or not _INDEX.fullmatch(name):
        return None
    return table, name


def is_bucket_name(name: str) -> bool:
    """Whether a file name is that of one bucket of partitions."""
    return _BUCKET.fullmatch(name) is not None


def is_entries_name(name: str) -> bool:
    """Whether a file below ``PARTITIONS_DIR`` is one that this project wrote."""
    return is_bucket_name(name) or _INDEX.fullmatch(name) is not None


def leaf_name(table_name: str) -> str:
    """Last segment of a table name, whoever gave it."""
    return table_name.rpartition(".")[2].strip()


def namespace_of(table_name: str) -> str | None:
    """First segment of a dotted name, None for a bare one."""
    first, dot, _ = table_name.partition(".")
    return first.strip() if dot else None


def qualify_table_name(
    table_name: str, layout: Layout, role: str | None, given_namespace: str | None = None
) -> str:
    """Give the name under which a *new* table is stored in a root of this layout.

    In a namespaced root a bare name takes the namespace of the specification, of the caller or of the
    role; without any of them the write is ambiguous and refused (C4). In a flat root a namespace of
    the specification is dropped.
    """
    segments = split_table_name(table_name)
    if layout == "flat":
        return segments[-1] if len(segments) == 2 and segments[0] in NAMESPACES else ".".join(segments)
    if len(segments) == 1:
        segments = (_namespace_for(segments[0], role, given_namespace), *segments)
    if role is not None:
        check_role_namespace(role, segments[0])
    return ".".join(segments)


def _namespace_for(name: str, role: str | None, given: str | None) -> str:
    if given is not None:
        if not all(_SEGMENT.fullmatch(part) for part in given.strip().split(".")):
            raise UsageError("malformed default_namespace: empty segment")
        return given.strip()
    if name in FIXED_IDENTIFIERS:
        return FIXED_IDENTIFIERS[name].split(".")[0]
    if role is not None:
        return default_namespace(role)
    if name in TABLES:
        return TABLES[name].namespace
    raise UsageError(
        f"Table {name!r} has no namespace and no role to infer one from; write it as '<namespace>.{name}'."
    )


def part_slug(key: str) -> str:
    """Readable part of a file name for a partition key: ``screen/BR001`` is ``screen__BR001``."""
    if key == WHOLE_TABLE:
        return "table"
    return (_FOREIGN.sub("_", key.replace("/", "__")).strip("_") or "part")[:_SLUG_MAX]


def build_part_name(key: str, suffix: str = "") -> str:
    """Deterministic file name of a partition: a readable slug and a hash of the whole key.

    >>> build_part_name("screen/BR001")
    'part-screen__BR001-f59c9350.parquet'
    """
    digest = blake2b(key.encode(), digest_size=4).hexdigest()
    return f"part-{part_slug(key)}-{digest}{suffix}.parquet"


def is_part_name(name: str) -> bool:
    """Whether a file name has the form of :func:`build_part_name`; those of other tools have not."""
    return _OWN_PART.fullmatch(name) is not None
