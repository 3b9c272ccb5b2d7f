"""Wells, fields and positions of an OME-Zarr plate; every listed well is read once.

Source of truth: https://ngff.openmicroscopy.org/0.5/index.html#hcs-layout. The well comes from
``wells[].path``: ``rowIndex`` and ``columnIndex`` are missing before 0.4 and wrong in published examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from bioimage_assets.core.formats.image_ids import PlatePosition
from bioimage_assets.core.formats.ome_zarr.context import ImageTarget, ScanContext
from bioimage_assets.core.formats.ome_zarr.limits import (
    MAX_ACQUISITIONS,
    MAX_FIELDS_PER_WELL,
    MAX_IMAGES,
    MAX_WELLS,
    cut_list,
)
from bioimage_assets.core.formats.ome_zarr.model import Issue
from bioimage_assets.core.formats.ome_zarr.plan import StorePlan
from bioimage_assets.core.formats.zarr.documents import JsonObject, as_label, as_list, as_object, as_text
from bioimage_assets.core.formats.zarr.nodes import GroupNode
from bioimage_assets.core.model.identity import normalize_site, normalize_well
from bioimage_assets.core.model.scan import DeclaredPlate, DeclaredWell
from bioimage_assets.core.model.store_paths import is_safe_path, join_path


@dataclass(frozen=True, slots=True)
class _Field:
    """One entry of ``well.images``."""

    path: str
    acquisition_id: str | None


def plan_plate(context: ScanContext, plan: StorePlan, node: GroupNode, default_name: str) -> None:
    """Read all listed wells and plan one target per listed field."""
    plate = as_object(node.ome.get("plate"))
    plate_id = as_label(plate.get("name")) or default_name
    issues: list[Issue] = []
    acquisitions = _read_acquisitions(plate, issues)
    wells = _read_well_list(context, node.path, plate, issues)
    for issue in issues:
        context.log.note(issue.code, issue.severity, node.path, issue.message)
    if not wells:
        context.log.note("empty-plate", "warning", node.path, "The plate lists no usable well.")
    paths = [join_path(node.path, path) for path in wells.values()]
    # All wells in one call: a bucket answers them side by side.
    documents = context.nodes.read_groups(paths, node.zarr_format)
    fields = {
        well_id: _read_fields(context, path, documents[path], acquisitions)
        for well_id, path in zip(wells, paths, strict=True)
    }
    used = {field.acquisition_id for entries in fields.values() for field in entries if field.acquisition_id}
    several = len(acquisitions) > 1 or len(used) > 1
    declared = []
    for (well_id, entries), path in zip(fields.items(), paths, strict=True):
        sites = _name_sites(context, path, entries)
        declared.append(DeclaredWell(well_id, path, tuple(sites.values()), _field_count(plate)))
        for field in entries:
            if several and field.acquisition_id is None:
                message = "The plate has several acquisitions, a field of it names none."
                context.log.note_repeated(
                    "missing-acquisition", "warning", join_path(path, field.path), message
                )
            position = PlatePosition(plate_id, well_id, sites[field.path], field.acquisition_id, several)
            plan.targets.append(ImageTarget(f"{path}/{field.path}", node.zarr_format, position))
    ids = acquisitions or tuple(sorted(used))
    plan.plates.append(
        DeclaredPlate(plate_id, tuple(declared), ids, source=join_path(context.uri, node.path))
    )


def _read_well_list(
    context: ScanContext, location: str, plate: JsonObject, issues: list[Issue]
) -> dict[str, str]:
    """Well ids and paths in the order of the plate; unsafe and repeated entries are dropped and said."""
    wells: dict[str, str] = {}
    rows, columns = as_list(plate.get("rows")), as_list(plate.get("columns"))
    for item in cut_list(as_list(plate.get("wells")), MAX_WELLS, "wells", issues):
        entry = as_object(item)
        path = as_text(entry.get("path"))
        cleaned = path.strip("/") if path and not path.startswith("/") else None
        if cleaned is None or not is_safe_path(cleaned):
            context.log.note(
                "unsafe-path", "error", location, f"well path {path!r:.80} is not below the plate; ignored"
            )
            continue
        well_id = _name_well(context, cleaned)
        if well_id in wells:
            message = f"Well {well_id} is listed again as {cleaned!r:.60}; the first entry counts."
            context.log.note("duplicate-well", "warning", cleaned, message)
            continue
        _check_indices(context, location, entry, cleaned, rows, columns)
        wells[well_id] = cleaned
    return wells


def _name_well(context: ScanContext, path: str) -> str:
    """Well of a path; rows that are numbers count from one, as columns do, and what is not a well keeps its own name."""
    row, _, column = path.partition("/")
    if row.isdecimal() and column.isdecimal() and (well_id := normalize_well(f"{row},{column}")):
        message = "Rows of the plate are numbers; they are counted from one, so that 1/1 is A01."
        context.log.note_repeated("numbered-row", "info", path, message)
        return well_id
    well_id = normalize_well(path)
    if well_id is not None:
        return well_id
    context.log.note("odd-well", "warning", path, f"{path!r:.60} is no well of a plate; used as it is.")
    # Without its slash 1/11 would be 11/1.
    return path if row[-1:].isdecimal() and column[:1].isdecimal() else path.replace("/", "")


def _check_indices(
    context: ScanContext,
    location: str,
    entry: JsonObject,
    path: str,
    rows: Sequence[object],
    columns: Sequence[object],
) -> None:
    """Say where ``rowIndex``/``columnIndex`` contradict the path; the path counts."""
    row, column = entry.get("rowIndex"), entry.get("columnIndex")
    if row is None and column is None:
        return
    named = []
    for index, names in ((row, rows), (column, columns)):
        # JSON's true is an int in Python.
        inside = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(names)
        named.append(
            as_label(as_object(names[index]).get("name")) if inside and isinstance(index, int) else None
        )
    if "/".join(name or "?" for name in named) != path:
        message = (
            "rowIndex/columnIndex of a well contradict its path or lie outside the plate; the path counts."
        )
        context.log.note_repeated("well-index", "warning", join_path(location, path), message)


def _read_fields(
    context: ScanContext, path: str, node: GroupNode | Exception | None, acquisitions: Sequence[str]
) -> tuple[_Field, ...]:
    if not isinstance(node, GroupNode):
        code = "missing-well" if node is None else "unreadable-well"
        message = str(node)
        if node is None:
            message = "The well is listed but has no metadata, so that its fields are not read; copy the store again."
        context.log.note(code, "error", path, message)
        context.digests.append(f"{path}:missing")
        return ()
    only = acquisitions[0] if len(acquisitions) == 1 else None
    fields: dict[str, _Field] = {}
    issues: list[Issue] = []
    listed = as_list(as_object(node.ome.get("well")).get("images"))
    for item in cut_list(listed, MAX_FIELDS_PER_WELL, "fields of one well", issues):
        entry = as_object(item)
        name = as_text(entry.get("path"))
        if name is None or not is_safe_path(name):
            message = f"field path {entry.get('path')!r:.80} is not below the well; ignored"
            context.log.note("unsafe-path", "error", path, message)
        elif name in fields:
            context.log.note(
                "duplicate-field", "warning", join_path(path, name), "The field is listed twice."
            )
        else:
            fields[name] = _Field(name, _id_text(entry.get("acquisition")) or only)
    for issue in issues:
        context.log.note(issue.code, issue.severity, path, issue.message)
    if not fields:
        context.log.note("empty-well", "warning", path, "The well lists no usable field.")
    context.digests.append(f"{path}:{','.join(fields)}")
    return tuple(fields.values())


def _name_sites(context: ScanContext, path: str, fields: Sequence[_Field]) -> dict[str, str]:
    """Site id of each field path; where padding would merge two, both keep their own spelling."""
    sites: dict[str, str] = {}
    taken: set[str] = set()
    for field in fields:
        site_id = _site_id(field.path)
        if site_id in taken:
            message = f"Field {field.path!r:.60} would be site {site_id} again; its own spelling is kept."
            context.log.note("duplicate-site", "warning", join_path(path, field.path), message)
            site_id = field.path
        sites[field.path] = site_id
        taken.add(site_id)
    return sites


# The wells of a plate, see MAX_WELLS.
@lru_cache(maxsize=4_096)
def _site_id(path: str) -> str:
    """Site id of a field path; wells of a plate repeat the same few."""
    return normalize_site(path) or path


def _read_acquisitions(plate: JsonObject, issues: list[Issue]) -> tuple[str, ...]:
    items = cut_list(as_list(plate.get("acquisitions")), MAX_ACQUISITIONS, "acquisitions", issues)
    ids = (_id_text(as_object(item).get("id")) for item in items)
    return tuple(dict.fromkeys(item for item in ids if item is not None))


def _id_text(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    return str(value) or None


def _field_count(plate: JsonObject) -> int | None:
    count = plate.get("field_count")
    if not isinstance(count, int) or isinstance(count, bool):
        return None
    return count if 0 <= count <= MAX_IMAGES else None
