"""Which fields of a plate were measured twice, and whose cells are kept (pure).

A field is a plate, well and site, with its time point, plane, acquisition, channel or tile where the tables name them.
Images of one field whose files all have other names are other images (tiles, unnamed time points), not a second analysis.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding, Severity
from bioimage_assets.core.measurements.columns import join_names
from bioimage_assets.core.measurements.model import PlateContext
from bioimage_assets.core.model.identity import normalize_site, normalize_well
from bioimage_assets.core.settings.dataset import DATASET_FILE, DuplicateRule

Place = tuple[str | None, ...]

# Metadata that tell images of one site apart, without underscores and in lower case.
_FIELD_NAMES = frozenset(
    {
        "t", "time", "timepoint", "timestamp", "tp", "timeid", "timepointid", "hour", "hours", "day", "frame", "framenumber",
        "z", "plane", "planeid", "zplane", "slice", "zslice", "zindex", "stack",
        "acquisition", "acquisitionid", "measurementid", "series", "round", "cycle",
        "c", "channel", "channelname", "channelid", "wavelength", "tile", "tileid",
    }
)  # fmt: skip
_SHOWN = 3  # a message names so many, and counts the others


@dataclass(frozen=True, slots=True)
class MeasuredImage:
    """One image as one analysis measured it, in the order of the files.

    Parameters
    ----------
    place
        What ``build_place`` gives; None where plate, well or site are not known, which is never a duplicate.
    analysis
        How messages call the analysis: table number or folder, and image number.
    cell_count
        Cells that it gave.
    files
        Names and digests of the image files it was measured on; empty where they are not known.
    is_copy
        Its rows are, in every column, rows that were there before.
    source
        File or folder of its rows.
    """

    place: Place | None
    analysis: str
    cell_count: int
    files: frozenset[str] = field(default=frozenset())
    is_copy: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class KeptImages:
    """For each image whether its cells are kept, what was found, and which images are of a field measured twice."""

    kept: tuple[bool, ...]
    findings: tuple[Finding, ...]
    repeated: frozenset[int] = frozenset()


def is_image_identity_column(name: str, context: PlateContext) -> bool:
    """Whether a column names what tells images of one site apart: time, plane, acquisition, channel, tile."""
    strata = context.settings.profile_group_by or ()
    bare = name.strip().removeprefix("Image_")
    if bare in strata or name in strata:
        return True
    if not bare.lower().startswith("metadata_"):
        return False
    return bare[len("metadata_") :].replace("_", "").lower() in _FIELD_NAMES


def build_place(
    plate: str | None,
    well: str | None,
    site: str | None,
    others: Iterable[tuple[str, str | None]],
    context: PlateContext,
) -> Place | None:
    """Plate, well and site in one spelling, then what else tells images apart, given as (column, value).

    None where well or site is not known.
    """
    well = normalize_well(well) or (well.strip() if well else None)
    site = normalize_site(site)
    if not well or not site:
        return None
    named = None if context.settings.ignore_profile_plate else plate
    return ((named or context.plate_name).strip(), well, site, *(_name_other(*other) for other in others))


def _name_other(column: str, value: str | None) -> str | None:
    value = normalize_site(value)
    return None if value is None else f"{column.removeprefix('Image_').removeprefix('Metadata_')} {value}"


def image_files(names: Iterable[tuple[str, str | None]]) -> frozenset[str]:
    """File names and digests of one image, given as (column, value); shared illumination files say nothing."""
    return frozenset(
        value
        for column, value in names
        if value and not column.removeprefix("Image_").split("_", 1)[-1].lower().startswith("illum")
    )


def is_file_column(name: str) -> bool:
    """Whether a column holds names or digests of image files."""
    return name.removeprefix("Image_").startswith(("FileName_", "MD5Digest_"))


def choose_images(images: Sequence[MeasuredImage], context: PlateContext) -> KeptImages:
    """Keep one analysis of each field by the dataset's rule (``[measurements] duplicates``), in the order of the files.

    MeasurementError, with its finding, where fields were measured twice and the rule is ``error``.
    """
    fields, others = _group_fields(images)
    findings = _report_others(images, others)
    copies = [i for i, image in enumerate(images) if image.is_copy]
    if not fields and not copies:
        return KeptImages((True,) * len(images), tuple(findings))
    rule = context.settings.duplicate_cells
    at = -1 if rule == "last" else 0
    dropped = {i for members in fields for i in members if i != members[at]} | set(copies)
    finding = _build_finding(images, _describe(images, fields, copies), dropped, context)
    if rule == "error":
        raise MeasurementError(f"{context.plate_key}: {finding.message}", [*findings, finding])
    kept = tuple(rule == "keep" or i not in dropped for i in range(len(images)))
    return KeptImages(kept, (*findings, finding), frozenset(dropped.union(*fields)))


def _build_finding(
    images: Sequence[MeasuredImage], text: str, dropped: Collection[int], context: PlateContext
) -> Finding:
    """What was found, what the rule made of it, and how another rule is chosen."""
    rule = context.settings.duplicate_cells
    cells = sum(images[i].cell_count for i in dropped)
    file = f"{context.dataset_id}/{DATASET_FILE}"
    effects: dict[DuplicateRule, str] = {
        "error": f"{cells} cell(s) would count twice; expected one analysis of each field. Remove what is there twice, or write "
        f'`[measurements] duplicates = "first"` (or "last"; "keep" for all) in {file}.',
        "first": f'By `duplicates = "first"` the {cells} cell(s) of later analyses are left out.',
        "last": f'By `duplicates = "last"` the {cells} cell(s) of earlier analyses are left out.',
        "keep": f'By `duplicates = "keep"` all are kept, and {cells} cell(s) count twice.',
    }
    first = images[min(dropped)]
    where = _name_place(first.place) if first.place else first.analysis
    severity: Severity = "error" if rule == "error" else "warning"
    return Finding("field-measured-twice", severity, where, f"{text} {effects[rule]}", first.source)


def _group_fields(images: Sequence[MeasuredImage]) -> tuple[list[list[int]], list[list[int]]]:
    """Images of one field each that were analysed more than once, and of one place each whose files are others."""
    places: dict[Place, list[int]] = {}
    for i, image in enumerate(images):
        if image.place is not None and not image.is_copy:
            places.setdefault(image.place, []).append(i)
    several = [members for members in places.values() if len(members) > 1]
    shared = _files_of_many_places(images) if several else frozenset()
    fields: list[list[int]] = []
    others: list[list[int]] = []
    for members in several:
        parts = _part_by_files([(i, images[i].files - shared) for i in members])
        fields += [part for part in parts if len(part) > 1]
        others += [members] if len(parts) > 1 else []
    return fields, others


def _files_of_many_places(images: Sequence[MeasuredImage]) -> frozenset[str]:
    """File names that images of several places have, such as one illumination function of a plate."""
    seen: dict[str, Place | None] = {}
    shared: set[str] = set()
    for image in images:
        for name in image.files:
            if seen.setdefault(name, image.place) != image.place:
                shared.add(name)
    return frozenset(shared)


def _part_by_files(images: Sequence[tuple[int, frozenset[str]]]) -> list[list[int]]:
    """Put images together that share a file; one whose files are not known goes with the first."""
    parts: list[tuple[set[str], list[int]]] = []
    for i, files in images:
        part = next((part for part in parts if not files or not part[0] or part[0] & files), None)
        if part is None:
            parts.append((set(files), [i]))
        else:
            part[0].update(files)
            part[1].append(i)
    return [members for _, members in parts]


def _describe(images: Sequence[MeasuredImage], fields: Sequence[Sequence[int]], copies: Sequence[int]) -> str:
    """How many fields and rows are there more than once, and the first places."""
    parts = []
    if fields:
        listed = ", ".join(_list_analyses(images, members) for members in fields[:_SHOWN])
        more = f" and {len(fields) - _SHOWN} more" if len(fields) > _SHOWN else ""
        parts.append(f"{len(fields)} site(s) were measured more than once: {listed}{more}.")
    if copies:
        rows = sum(images[i].cell_count for i in copies)
        named = join_names((_list_one(images[i]) for i in copies), _SHOWN)
        parts.append(f"{rows} row(s) are there again, equal in every column: {named}.")
    return " ".join(parts)


def _list_analyses(images: Sequence[MeasuredImage], members: Sequence[int]) -> str:
    place = images[members[0]].place
    listed = join_names((f"{images[i].analysis}: {images[i].cell_count} cells" for i in members), _SHOWN)
    return f"{_name_place(place)} ({listed})"


def _list_one(image: MeasuredImage) -> str:
    return f"{_name_place(image.place)} ({image.analysis})" if image.place else image.analysis


def _name_place(place: Place | None) -> str:
    """Well, site and what else is known, as messages write it: ``A01/1``, ``A01/1 T 2``."""
    _, well, site, *others = place or (None, None, None)
    return " ".join((f"{well}/{site}", *(other for other in others if other)))


def _report_others(images: Sequence[MeasuredImage], others: Sequence[Sequence[int]]) -> list[Finding]:
    """Say where one site has several images of other file names: that may be a time point or tile nobody named."""
    if not others:
        return []
    first = others[0]
    text = (
        f"{len(others)} site(s) have several images of different file names, first {_list_analyses(images, first)}; they are "
        "kept as images of their own. Where they are time points or planes, give them a column, such as Metadata_T or "
        "Metadata_Z, or name it under [profiles] group_by."
    )
    return [
        Finding(
            "several-images-of-a-site",
            "warning",
            _name_place(images[first[0]].place),
            text,
            images[first[0]].source,
        )
    ]
