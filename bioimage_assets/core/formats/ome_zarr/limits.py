"""How much of one OME-Zarr document is read: far above what instruments write, far below what a document could claim.

A list that is longer is read to its limit, and a finding says so. Limits bound one list; ``MAX_IMAGES`` bounds what
lists of lists multiply up to.
"""

from __future__ import annotations

from collections.abc import Sequence

from bioimage_assets.core.formats.ome_zarr.model import Issue

MAX_MULTISCALES = 1_000
MAX_LEVELS = 1_000  # each level halves at least: sixty are all of int64
MAX_CHANNELS = 4_096  # hyperspectral images have hundreds
MAX_CHANNEL_TEXT = 64 * 1024
MAX_LABELS = 1_000
MAX_ELEMENTS = 4_096  # images or labels of one SpatialData store; each label is held against all images
MAX_WELLS = 4_096  # more than twice a 1536-well plate
MAX_FIELDS_PER_WELL = 100_000
MAX_ACQUISITIONS = 4_096
MAX_IMAGES = 1_000_000  # of one store: 1536 wells of 600 fields
MAX_NAME = 255  # what file systems take for one path segment


def cut_list(items: Sequence[object], limit: int, what: str, issues: list[Issue]) -> Sequence[object]:
    """Give the first ``limit`` items of a list; more of them are an issue."""
    if len(items) <= limit:
        return items
    issues.append(describe_cut_list(len(items), limit, what))
    return items[:limit]


def describe_cut_list(found: int, limit: int, what: str) -> Issue:
    """Say that a list was read to its limit only."""
    return Issue(
        "list-too-long",
        "error",
        f"{found:,} {what} are listed, at most {limit:,} are read; the others are left out.",
    )
