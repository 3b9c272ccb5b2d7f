"""SQL that names local files and means just these, whatever characters their names hold.

DuckDB takes every path for a pattern, and folders named ``a=b`` for columns. Escapes (``[*]``) do not hold: behind a
backslash no version knows them, and DuckDB 2.0 then lists the folder and fails at a neighbour with a colon in its name.
So a path that could be read as a pattern is given by a link of a plain name in the scratch folder of this process; the
engine reads it as it reads any file, and versions cannot differ. All other paths are given as they are.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from threading import Lock

from filelock import FileLock

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.scratch import as_scratch_error, make_locked_folder, scratch_place
from bioimage_assets.core.sql import quote_literal

# Braces are not a pattern today, but are one elsewhere.
_PATTERN_CHARACTERS = re.compile(r"[*?\[\]{}\\]")
# The engine tells compression by it.
_SUFFIXES = re.compile(r"(?:\.[A-Za-z0-9]{1,8}){1,2}\Z")
# Where links lie if the temporary folder's own path is a pattern.
_PLAIN_PLACES = ("/tmp", "/var/tmp", "/dev/shm")
_guard = Lock()
_folders: dict[int, tuple[Path, FileLock]] = {}


def parquet_relation(paths: Sequence[str | Path], *options: str) -> str:
    """SQL of Parquet files as one table, columns by name; ``options`` such as ``file_row_number = true`` follow."""
    named = ", ".join(file_literal(path) for path in paths)
    more = "".join(f", {option}" for option in options)
    return f"read_parquet([{named}], union_by_name = true, hive_partitioning = false{more})"


def file_literal(path: str | Path) -> str:
    """SQL literal that names exactly this file."""
    return quote_literal(plain_path(path))


def plain_path(path: str | Path) -> str:
    """Absolute path of a file or folder that no pattern language reads otherwise; a link where its own may be.

    A link lasts as long as this process.

    Raises
    ------
    BioimageError
        No link can be made in any temporary folder.
    """
    absolute = os.path.join(os.getcwd(), path) if not os.path.isabs(path) else str(path)
    if _is_plain(absolute):
        return absolute
    suffix = _SUFFIXES.search(absolute)
    name = blake2b(os.fsencode(absolute), digest_size=16).hexdigest() + (suffix[0] if suffix else "")
    try:
        return _link(absolute, name)
    except OSError as error:
        raise as_scratch_error(error) from error


def _is_plain(path: str) -> bool:
    # A name of bytes that are not text cannot be handed to the engine at all.
    return _PATTERN_CHARACTERS.search(path) is None and not re.search("[\ud800-\udfff]", path)


def _link(target: str, name: str) -> str:
    with _guard:
        link = _own_folder() / name
        with suppress(FileExistsError):
            link.symlink_to(target)
        return str(link)


def _own_folder() -> Path:
    """Folder of this process's links; a forked child gets its own, and one that was cleared away is made again."""
    known = _folders.get(os.getpid())
    if known is None:
        known = _folders[os.getpid()] = make_locked_folder(_plain_place())
        atexit.register(_remove_links, os.getpid(), *known)
    known[0].mkdir(parents=True, exist_ok=True)
    return known[0]


def _plain_place() -> Path:
    for base in (tempfile.gettempdir(), *_PLAIN_PLACES):
        if _is_plain(base) and os.access(base, os.W_OK | os.X_OK):
            return scratch_place(base)
    raise BioimageError(
        f"The temporary folder {tempfile.gettempdir()} has a pattern character in its path, and neither "
        f"{' nor '.join(_PLAIN_PLACES)} can be written. Name a folder without * ? [ ] {{ }} \\ in TMPDIR."
    )


def _remove_links(process: int, folder: Path, lock: FileLock) -> None:
    if process != os.getpid():
        return  # a forked child leaves what is its parent's
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folder.with_suffix(".lock").unlink()
    lock.release()
