"""Image files become MD5 digests, for the linking rule that compares CellProfiler's ``MD5Digest`` columns."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.joins.image_index import ImageKey

MAX_PARALLEL_FILES = 4
_BLOCK_BYTES = 1 << 20


def hash_image_files(images: Sequence[ImageKey]) -> tuple[tuple[tuple[str, int], ...], tuple[Finding, ...]]:
    """Digest every file of the images that have no stored digest; reads each file once, in full.

    Returns (digest, image row) pairs and findings for files that cannot be read. Folders (Zarr stores) have
    no digest. Only local files are read; others give one finding with their number.
    """
    wanted = [(path, image.row) for image in images if not image.md5s for path in image.file_paths]
    local = [(path, row) for path, row in wanted if "://" not in path and not Path(path).is_dir()]
    findings: list[Finding] = []
    remote_count = sum("://" in path for path, _ in wanted)
    if remote_count:
        text = f"{remote_count} remote image file(s) have no stored MD5; scan them with file digests to link by MD5."
        findings.append(Finding("md5-not-read", "info", "", text))
    pairs: list[tuple[str, int]] = []
    with ThreadPoolExecutor(MAX_PARALLEL_FILES) as pool:
        for (path, row), digest in zip(
            local, pool.map(_digest_file, [path for path, _ in local]), strict=True
        ):
            if digest is None:
                text = f"Image file '{path}' cannot be read for its MD5."
                findings.append(Finding("md5-unreadable", "warning", path, text, path))
            else:
                pairs.append((digest, row))
    return tuple(pairs), tuple(findings)


def _digest_file(path: str) -> str | None:
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with Path(path).open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()
