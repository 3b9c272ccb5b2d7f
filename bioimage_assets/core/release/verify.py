"""A release in; what of its files is not as it was released out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.release.layout import CHECKSUMS_NAME, CRATE_NAME, RECORD_NAME
from bioimage_assets.core.release.place_files import hash_file, list_files
from bioimage_assets.core.release.record import read_record
from bioimage_assets.core.warehouse.manifest.layout import LOCK_NAME, split_folder

# They say what the others are, and no list has their own checksums.
_DESCRIPTIONS = frozenset({CHECKSUMS_NAME, CRATE_NAME, RECORD_NAME})


def verify_release(folder: Path) -> Iterator[Finding]:
    """Read every file of a release and compare it with its checksum; a finding for each that is changed, lost or strange.

    Raises
    ------
    UsageError
        The folder is no release, or its list of checksums names files elsewhere.
    """
    read_record(folder)
    listed = read_checksums(folder)
    for path, digest in listed.items():
        if not (folder / path).is_file():
            yield Finding("release-file-lost", "error", path, f"{folder / path} is lost.")
        elif hash_file(folder / path) != digest:
            text = f"{folder / path} is not what was released: its sha256 is another one."
            yield Finding("release-file-changed", "error", path, text)
    for found in list_files(folder):
        path = found.relative_to(folder).as_posix()
        if path not in listed and path not in _DESCRIPTIONS and not path.endswith(LOCK_NAME):
            yield Finding("release-file-strange", "error", path, f"{found} is no file of the release.")


def read_checksums(folder: Path) -> dict[str, str]:
    """Checksum of each file, by its path below the release."""
    try:
        lines = (folder / CHECKSUMS_NAME).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise UsageError(f"{folder} has no {CHECKSUMS_NAME}: restore it from a copy.") from error
    found: dict[str, str] = {}
    for line in lines:
        digest, _, path = line.partition("  ")
        if split_folder(path) is None:
            raise UsageError(
                f"{folder / CHECKSUMS_NAME} names {path!r}, expected paths below the release. Do not use it."
            )
        found[path] = digest
    return found
