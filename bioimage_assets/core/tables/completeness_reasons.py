"""The verdict on one well, and its reasons, from what is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bioimage_assets.core.phrases import count_words

# Worst first: the verdict of a plate is the first that any of its wells has.
Verdict = Literal["missing", "incomplete", "undeclared", "unmeasured", "measured", "complete", "no-plate"]
VERDICTS: tuple[Verdict, ...] = (
    "missing", "incomplete", "undeclared", "unmeasured", "measured", "complete",
)  # fmt: skip
# Verdicts of wells that lack nothing; "measured" is that of a plate without images by design.
WHOLE: tuple[Verdict, ...] = ("complete", "measured")
MAX_NAMES = 5  # a reason names so many, and counts the others


@dataclass(slots=True)
class WellView:
    """What is known of one well while its row is built."""

    is_declared: bool = False
    fields_declared: int | None = None
    declared_sites: set[str] = field(default_factory=set)
    sites: set[str] = field(default_factory=set)
    field_count: int = 0
    channels: list[int] = field(default_factory=list)
    missing_files: int = 0
    levels: list[int] = field(default_factory=list)
    partial: int = 0
    chunks_expected: int | None = None
    chunks_found: int | None = None
    measured_sites: set[str] = field(default_factory=set)
    is_measured: bool = False
    cells_claimed: int | None = None
    cells_found: int | None = None
    cells_linked: int | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a sound well of this plate has; None where neither metadata nor the other wells tell."""

    channels: int | None
    levels: int | None
    usual_fields: int | None
    has_declaration: bool
    has_measurements: bool
    is_imageless: bool


def image_reasons(well: WellView, expected: Expectation) -> list[str]:
    """What is not on disk."""
    if not well.field_count:
        return []
    reasons = []
    lost = sorted(well.declared_sites - well.sites, key=_site_order)
    if lost:
        reasons.append(f"declared field {list_names(lost)} not found")
    elif well.fields_declared is not None and well.field_count < well.fields_declared:
        reasons.append(f"{well.field_count} of {well.fields_declared} declared fields found")
    elif not expected.has_declaration and well.field_count < (expected.usual_fields or 0):
        reasons.append(f"{count_words(well.field_count, 'field')}, most wells have {expected.usual_fields}")
    if expected.channels and min(well.channels) < expected.channels:
        short = sum(count < expected.channels for count in well.channels)
        reasons.append(
            f"{count_words(short, 'field has', 'fields have')} only {min(well.channels)} of {expected.channels} channels"
        )
    elif well.missing_files:
        reasons.append(f"{count_words(well.missing_files, 'image file')} missing")
    if expected.levels and min(well.levels) < expected.levels:
        short = sum(count < expected.levels for count in well.levels)
        reasons.append(
            f"{count_words(short, 'field has', 'fields have')} only {min(well.levels)} of {expected.levels} resolution levels"
        )
    if well.partial:
        reasons.append(f"{count_words(well.partial, 'field')} could be read only in part")
    if (
        well.chunks_expected is not None
        and well.chunks_found is not None
        and well.chunks_found < well.chunks_expected
    ):
        reasons.append(
            f"{well.chunks_expected - well.chunks_found} of {well.chunks_expected} chunks are not stored"
        )
    return reasons


def cell_reasons(well: WellView) -> list[str]:
    """What the measurements claim and what is there."""
    if not well.is_measured:
        return []
    reasons = []
    if (
        well.cells_claimed is not None
        and well.cells_found is not None
        and well.cells_claimed != well.cells_found
    ):
        reasons.append(f"{well.cells_found} cells found, the image table promises {well.cells_claimed}")
    if well.cells_linked is not None and well.field_count and well.cells_linked < (well.cells_found or 0):
        reasons.append(f"{well.cells_linked} of {well.cells_found} measured cells are linked to an image")
    if well.measured_sites and well.sites:
        without_image = sorted(well.measured_sites - well.sites, key=_site_order)
        unmeasured = sorted(well.sites - well.measured_sites, key=_site_order)
        if without_image:
            reasons.append(f"measured site {list_names(without_image)} has no image")
        if unmeasured:
            reasons.append(f"site {list_names(unmeasured)} has images but was not measured")
    return reasons


def state_reasons(well: WellView, expected: Expectation) -> list[str]:
    """What is odd about the well as a whole."""
    reasons = []
    if well.is_declared and not well.field_count:
        reasons.append("declared by the plate, but no field is on disk")
    if not well.is_declared and not well.field_count and not expected.is_imageless:
        reasons.append("measured, but no field is on disk")
    if expected.has_declaration and not well.is_declared:
        reasons.append("the plate's metadata do not list this well")
    if expected.has_measurements and not well.is_measured and well.field_count:
        reasons.append("no measurements")
    return reasons


def judge_well(well: WellView, expected: Expectation, reasons: Sequence[str]) -> Verdict:
    """The worst that is true of the well; ``reasons`` are those of its images and cells."""
    if expected.is_imageless:
        return "incomplete" if reasons else "measured"
    if not well.field_count:
        return "missing"
    if reasons:
        return "incomplete"
    if expected.has_declaration and not well.is_declared:
        return "undeclared"
    if expected.has_measurements and not well.is_measured:
        return "unmeasured"
    return "complete"


def list_names(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - MAX_NAMES} more" if len(listed) > MAX_NAMES else ""
    return ", ".join(listed[:MAX_NAMES]) + more


def _site_order(site: str) -> tuple[int, str]:
    # Names after all numbers.
    return (int(site), "") if site.isdigit() else (1 << 62, site)
