"""What is said of a plate folder as a whole: files that are left out, images that are not read, ids that repeat."""

from __future__ import annotations

from collections.abc import Sequence

from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft
from bioimage_assets.core.formats.plate_folders.layout_examples import find_near_layout
from bioimage_assets.core.formats.plate_folders.listing import FolderListing
from bioimage_assets.core.formats.plate_folders.names import NamedFiles
from bioimage_assets.core.formats.plate_folders.patterns import PATTERNS
from bioimage_assets.core.formats.plate_folders.propose import (
    build_pattern_line,
    propose_for_plate,
    propose_pattern,
)
from bioimage_assets.core.formats.plate_folders.series import note_series
from bioimage_assets.core.model.foreign_kinds import (
    READ,
    count_foreign,
    describe_foreign,
    find_foreign,
    find_images_not_read,
)
from bioimage_assets.core.model.image import ImageRecord, split_repeated_images
from bioimage_assets.core.model.suffix_ids import tell_suffixes_apart
from bioimage_assets.core.settings.dataset import DATASET_FILE


def explain_no_image(location: str, listing: FolderListing) -> str:
    """What is there instead of images, and what to do."""
    kind = find_foreign(location)
    known = count_foreign(listing.others)
    what = (
        f"{kind.name} is not read; {kind.remedy}. "
        if kind
        else f"{describe_foreign(known)} "
        if known
        else ""
    )
    return f"{location}: no Zarr store and no TIFF below this folder ({len(listing.others)} other files). {what}{READ}"


def note_folder(
    listing: FolderListing,
    named: NamedFiles,
    drafts: Sequence[ImageDraft],
    log: FindingLog,
    *,
    is_below_dataset: bool = False,
) -> None:
    """Say what is odd about the folder as a whole; ``is_below_dataset``: it is the folder of one plate of a dataset."""
    for draft in drafts:
        for finding in draft.findings:
            note = log.note if finding.severity == "error" else log.note_repeated
            note(finding.code, finding.severity, finding.location, finding.message)
    if listing.derived:
        text = f"{len(listing.derived)} stitched, projected or correction images were left out."
        log.note("derived-images", "info", listing.derived[0], text)
    for finding in find_images_not_read(listing.others, log.store_uri):
        log.note(finding.code, finding.severity, finding.location, finding.message)
    if is_below_dataset and DATASET_FILE in listing.others:
        text = (
            f"{DATASET_FILE} in the folder of a plate is not read: it holds for a whole dataset. Move it one folder up, beside "
            "the folders of the plates."
        )
        log.note("settings-file-not-read", "warning", DATASET_FILE, text)
    note_series(named.series, drafts, log)
    _note_not_understood(named, drafts, log)
    plates = {draft.position.plate_id for draft in drafts if draft.position is not None}
    if len(plates) > 1:
        text = f"The folder holds {len(plates)} plates: {', '.join(sorted(plates)[:8])}. Give each a folder of its own."
        log.note("several-plates", "warning", "", text)


def _note_not_understood(named: NamedFiles, drafts: Sequence[ImageDraft], log: FindingLog) -> None:
    """Say which names no layout reads, which layout is nearest, and the line that would read them.

    Images that have a place on a plate by other metadata, and those of OME-TIFFs, which may be no plate, need no name.
    """
    told = {key for series in named.series for key in series.parts}
    odd = [key for key in named.unnamed if key not in told]
    if named.parts:
        for key in odd:
            log.note_repeated("file-not-matched", "info", key, "The file name carries no plate position.")
        return
    if not odd or named.series or any(draft.position is not None for draft in drafts):
        return
    near = find_near_layout(odd[0], (pattern.layout for pattern in PATTERNS))
    nearest = (
        "No built-in layout is near. "
        if near is None
        else f"The nearest built-in layout is {near.layout} ({near.example!r}), {near.matching} of its {near.parts} parts are "
        "there. "
    )
    whose = (
        f"None of the {len(odd):,} file names says a place on a plate, the first is"
        if len(odd) > 1
        else "No place on a plate is read from the file name"
    )
    text = (
        f"{whose} {odd[0]!r}; images are rows by path. {nearest}If they are of a plate: "
        f"{build_pattern_line(propose_for_plate(odd))}"
    )
    is_plain = any(not draft.variant.startswith("ome") for draft in drafts)
    log.note("names-not-understood", "warning" if is_plain and len(odd) > 1 else "info", odd[0], text)


def drop_duplicates(images: Sequence[ImageRecord], log: FindingLog) -> tuple[ImageRecord, ...]:
    """Keep the first of files that would be the same field of view; each further one is an error finding."""
    images, told = tell_suffixes_apart(images, {})
    for finding in told:
        log.note(finding.code, finding.severity, finding.location, finding.message)
    kept, repeated = split_repeated_images(images, {})
    for other, image in repeated:
        pattern = propose_pattern([_files_of(other), _files_of(image)], differ_in="acquisition")
        text = (
            f"{_files_of(image)} and {_files_of(other)} would both be image {image.image_id!r}; the latter is kept. "
            f"Their site or acquisition must differ. {build_pattern_line(pattern)}"
        )
        log.note("duplicate-image-id", "error", _files_of(image), text)
    return tuple(kept)


def _files_of(image: ImageRecord) -> str:
    return image.files[0].path if image.files else image.uri
