"""What would explain that the positions of profiles and images differ: another numbering of sites, another plate name.

A correction is found from keys alone and is a guess. It is applied only where something else proves it: names of image files,
ids of images, or pixels (``core.joins.decision``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bioimage_assets.core.joins.corrections import Correction
from bioimage_assets.core.joins.image_index import ImageIndex
from bioimage_assets.core.joins.join_rules import RowKey, match_key, match_without_position
from bioimage_assets.core.joins.matcher import CountedKey
from bioimage_assets.core.model.identity import subtract_site_offset

# CellProfiler, Harmony and MetaXpress count sites from one; OME-Zarr writers from zero.
TRIED_OFFSETS = (1, -1)

Place = tuple[str, str]
"""Scope (partition) and well."""


@dataclass(frozen=True, slots=True)
class SiteComparison:
    """Sites that profiles and images have in the wells of both.

    ``wrong`` are places with profile sites that have no image; ``offset`` would explain all of them, None where none does.
    """

    profile_sites: dict[Place, set[str]]
    image_sites: dict[Place, set[str]]
    wrong: tuple[Place, ...]
    offset: int | None


def compare_sites(index: ImageIndex, counted: Sequence[CountedKey]) -> SiteComparison | None:
    """Compare the sites of each well; None where every profile site has an image, or there is nothing to compare."""
    profile_sites: dict[Place, set[str]] = defaultdict(set)
    for item in counted:
        key = item.key
        if item.row_count and key.well_id is not None and key.site_id is not None:
            for scope in index.scopes_of_plate(key.plate_id, key.dataset_id, key.plate_key):
                if (scope, key.well_id) in index.by_well:
                    profile_sites[scope, key.well_id].add(key.site_id)
    image_sites = {
        place: {site for row in index.by_well[place] if (site := index.images[row].site_id) is not None}
        for place in profile_sites
    }
    wrong = tuple(p for p, sites in profile_sites.items() if image_sites[p] and sites - image_sites[p])
    if not wrong:
        return None
    fitting = (offset for offset in TRIED_OFFSETS if _explains(offset, profile_sites, image_sites))
    return SiteComparison(profile_sites, image_sites, wrong, next(fitting, None))


def _explains(offset: int, profile_sites: dict[Place, set[str]], image_sites: dict[Place, set[str]]) -> bool:
    return all(
        {subtract_site_offset(site, offset) for site in sites} <= image_sites[place]
        for place, sites in profile_sites.items()
    )


def find_correction(
    index: ImageIndex, counted: Sequence[CountedKey], other_plates: frozenset[str] = frozenset()
) -> Correction | None:
    """The correction that would give every position of the profiles an image; None where positions agree or none would.

    A plate name counts as another name only where wells and sites match exactly: a subset matches any plate. Names of
    ``other_plates`` are those plates' own.
    """
    plate = _find_only_unknown_plate(index, counted)
    plate = None if plate in other_plates else plate
    renamed = Correction(plate_name=plate)
    read = [replace(item, key=renamed.apply(item.key)) for item in counted] if plate is not None else counted
    compared = compare_sites(index, read)
    if compared is not None and compared.offset is None:
        return None
    correction = replace(renamed, site_offset=0 if compared is None else compared.offset or 0)
    if correction == Correction() or (plate is not None and not _has_same_places(index, counted, correction)):
        return None
    return correction


def _find_only_unknown_plate(index: ImageIndex, counted: Sequence[CountedKey]) -> str | None:
    """The one plate that all rows name where no image has it and all images are of one plate."""
    names = {item.key.plate_id for item in counted if item.row_count}
    name = next(iter(names), None)
    if len(names) != 1 or name is None or len(index.scopes) != 1 or name in index.scopes_by_plate:
        return None
    return name


def _has_same_places(index: ImageIndex, counted: Sequence[CountedKey], correction: Correction) -> bool:
    """Whether profiles and images have exactly the same wells, and sites where the rows name sites."""
    keys = [correction.apply(item.key) for item in counted if item.row_count]
    images = index.images.values()
    if any(key.site_id is None for key in keys):
        return {key.well_id for key in keys} == {image.well_id for image in images}
    places = {(key.well_id, key.site_id) for key in keys}
    return places == {(image.well_id, image.site_id) for image in images}


@dataclass(frozen=True, slots=True)
class FileVotes:
    """Rows whose other keys (image id, digests, files) speak for the position as it is written, and as it would be corrected."""

    as_written: int = 0
    corrected: int = 0

    @property
    def is_proof(self) -> bool:
        """Whether they prove the correction."""
        return bool(self.corrected) and not self.as_written

    @property
    def is_refutation(self) -> bool:
        """Whether they prove that the positions are right as written."""
        return bool(self.as_written) and not self.corrected


def count_file_votes(index: ImageIndex, counted: Sequence[CountedKey], correction: Correction) -> FileVotes:
    """Ask the rules that need no position which reading of the positions they agree with."""
    as_written = corrected = 0
    for item in counted:
        key = item.key
        other = match_without_position(index, correction.apply(key))
        if key.well_id is None or other.rule is None:
            continue
        as_written += item.row_count * (_find_position(index, key) == other.image_row)
        corrected += item.row_count * (_find_position(index, correction.apply(key)) == other.image_row)
    return FileVotes(as_written, corrected)


def _find_position(index: ImageIndex, key: RowKey) -> int:
    """The image that plate, well and site alone name."""
    return match_key(index, replace(key, image_id=None, md5s=(), paths=(), file_names=())).image_row
