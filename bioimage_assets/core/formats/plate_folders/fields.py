"""Which file holds which channel, z and t of which site. Pure.

Indexes along c, z and t are ranks over the whole plate, so that a field that lacks a file has a gap there
instead of channels that moved.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bioimage_assets.core.formats.plate_folders.file_pages import join_page, split_page
from bioimage_assets.core.formats.plate_folders.patterns import NameParts, folder_without_steps

# A grid of more places per field than this comes from names that were misread, not from an instrument.
MAX_PLACES_PER_FIELD = 200_000
# Of all fields together, per file that is there: a plate of which a sixteenth is there still learns what it lacks.
MAX_PLACES_PER_FILE = 16
MIN_PLACES = 200_000


@dataclass(frozen=True, slots=True)
class FieldKey:
    """Position of one field of view. ``acquisition`` is empty where the plate has just one."""

    plate: str | None
    well_id: str
    site_id: str
    acquisition: str


@dataclass(frozen=True, slots=True)
class PlaneFile:
    """One file of a field with its indexes, None along an axis that the names do not speak of."""

    key: str
    c: int | None
    z: int | None
    t: int | None
    page: int | None = None

    @property
    def name(self) -> str:
        """What the plane is called among the names of the folder: its file, with its page where that holds several."""
        return join_page(self.key, self.page)


@dataclass(slots=True)
class FieldGrid:
    """All fields of a plate and the axes that its names span.

    ``channels``, ``z_values`` and ``t_values`` are the tokens by index; ``duplicates`` the files whose place was taken,
    ``beside`` those that lack an index which the other files of their field have. ``is_plausible``: the places of all
    fields are so few that those without a file can be listed.
    """

    channels: list[str]
    z_values: list[int]
    t_values: list[int]
    fields: dict[FieldKey, list[PlaneFile]] = field(default_factory=dict)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    is_plausible: bool = True

    @property
    def place_count(self) -> int:
        """Planes that a complete field has in files of its own."""
        return max(1, len(self.channels)) * max(1, len(self.z_values)) * max(1, len(self.t_values))


def choose_plane_files(names: Mapping[str, NameParts]) -> dict[str, NameParts]:
    """Files that hold a part of a field: those whose names give a channel, or a z step or time point beside another of the field."""
    if all(parts.channel is not None for parts in names.values()):
        return dict(names)
    steps: dict[tuple[object, ...], set[tuple[int | None, int | None]]] = defaultdict(set)
    for parts in names.values():
        steps[parts.plate, parts.well_id, parts.site_id, parts.acquisition].add((parts.z, parts.t))
    return {
        key: parts
        for key, parts in names.items()
        if parts.channel is not None
        or len(steps[parts.plate, parts.well_id, parts.site_id, parts.acquisition]) > 1
    }


def build_fields(names: Mapping[str, NameParts]) -> FieldGrid:
    """Group files by plate, well, site and acquisition, in order of their positions.

    Acquisitions are distinguished by their token, and by their folder where two folders hold the same plane.
    """
    grid = FieldGrid(
        sorted({parts.channel for parts in names.values() if parts.channel is not None}, key=natural_order),
        sorted({parts.z for parts in names.values() if parts.z is not None}),
        sorted({parts.t for parts in names.values() if parts.t is not None}),
    )
    runs = _find_acquisitions(names)
    c_of = {token: number for number, token in enumerate(grid.channels)}
    z_of = {value: number for number, value in enumerate(grid.z_values)}
    t_of = {value: number for number, value in enumerate(grid.t_values)}
    taken: dict[tuple[object, ...], str] = {}
    fields: dict[FieldKey, list[PlaneFile]] = defaultdict(list)
    for name, parts in names.items():
        key, page = split_page(name)
        position = FieldKey(parts.plate, parts.well_id, parts.site_id or "", runs[name])
        plane = PlaneFile(
            key, None if parts.channel is None else c_of[parts.channel],
            None if parts.z is None else z_of[parts.z], None if parts.t is None else t_of[parts.t], page,
        )  # fmt: skip
        place = (position, plane.c, plane.z, plane.t)
        if place in taken:
            grid.duplicates.append((key, taken[place]))
            continue
        taken[place] = key
        fields[position].append(plane)
    for position in sorted(fields, key=_position_order):
        planes = _leave_out_beside(fields[position], grid)
        grid.fields[position] = sorted(planes, key=lambda p: (p.t or 0, p.c or 0, p.z or 0, p.key))
    most = MIN_PLACES + MAX_PLACES_PER_FILE * len(names)
    count = grid.place_count
    grid.is_plausible = count <= MAX_PLACES_PER_FIELD and count * len(fields) <= most
    return grid


def _leave_out_beside(planes: list[PlaneFile], grid: FieldGrid) -> list[PlaneFile]:
    """Leave out files without z (or t) where others of the field have one: projections, no plane of the stack."""
    has_z = any(plane.z is not None for plane in planes)
    has_t = any(plane.t is not None for plane in planes)
    kept: list[PlaneFile] = []
    for plane in planes:
        if (has_z and plane.z is None) or (has_t and plane.t is None):
            grid.beside.append(plane.key)
        else:
            kept.append(plane)
    return kept


def _find_acquisitions(names: Mapping[str, NameParts]) -> dict[str, str]:
    tokens = {parts.acquisition for parts in names.values()}
    # A token that all files share says nothing.
    use_token = len(tokens) > 1
    folders: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for key, parts in names.items():
        place = (
            parts.plate,
            parts.well_id,
            parts.site_id,
            parts.acquisition,
            parts.channel,
            parts.z,
            parts.t,
        )
        folders[place].add(folder_without_steps(key))
    # Only where two files claim one plane: else a folder per well would be an acquisition.
    use_folder = any(len(found) > 1 for found in folders.values())
    result: dict[str, str] = {}
    for key, parts in names.items():
        run = [parts.acquisition or ""] if use_token else []
        if use_folder:
            run.append(folder_without_steps(key))
        result[key] = "/".join(part for part in run if part)
    return result


def natural_order(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts ``w2`` before ``w10``."""
    return tuple(
        # Beyond 18 digits it is a time stamp or a digest; int of a very long text is slow.
        (0, int(part), "") if part.isdecimal() and len(part) < 18 else (1, 0, part)
        for part in re.split(r"(\d+)", text)
        if part
    )


def _position_order(position: FieldKey) -> tuple[object, ...]:
    return (
        position.plate or "", position.acquisition, len(position.well_id), position.well_id, natural_order(position.site_id),
    )  # fmt: skip


def count_missing(
    planes: Iterable[PlaneFile], grid: FieldGrid
) -> list[tuple[int | None, int | None, int | None]]:
    """Places of the plate's grid (c, z, t) that a field has no file for; axes the names lack are None."""
    if not grid.is_plausible:
        return []
    found = {(plane.c, plane.z, plane.t) for plane in planes}
    c_all: list[int | None] = list(range(len(grid.channels))) or [None]
    z_all: list[int | None] = list(range(len(grid.z_values))) or [None]
    t_all: list[int | None] = list(range(len(grid.t_values))) or [None]
    if len(c_all) * len(z_all) * len(t_all) == len(found):
        return []
    return [(c, z, t) for t in t_all for c in c_all for z in z_all if (c, z, t) not in found]
