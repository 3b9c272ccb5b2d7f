"""A plate as its page shows it: the grid of wells with their fields, channels, what can be painted, what was found."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from bioimage_assets.browse.channels import Channel
from bioimage_assets.browse.links import ViewerLinks
from bioimage_assets.browse.plates import BrowsedPlate, FieldRow, find_geometry
from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.browse.well_values import Measurement, list_measurements
from bioimage_assets.core.finding_codes.catalogue import find_code
from bioimage_assets.core.findings import FindingGroup
from bioimage_assets.core.model.identity import normalize_well
from bioimage_assets.core.storage.standing_findings import read_standing_findings


@dataclass(frozen=True, slots=True)
class ShownField:
    """One field of a well; ``thumbnail`` is the address of its picture, relative to the page."""

    image_id: str
    site_id: str | None
    acquisition_id: str | None
    thumbnail: str


@dataclass(frozen=True, slots=True)
class ShownWell:
    """A well with images; ``row`` and ``column`` are its labels on the plate, None for images of no well."""

    well_id: str
    row: str | None
    column: str | None
    fields: tuple[ShownField, ...]


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """What stands found about the plate, once per kind; cause, remedy and setting are empty for codes that this project has not."""

    code: str
    severity: str
    message: str
    cause: str = ""
    remedy: str = ""
    setting: str = ""


@dataclass(frozen=True, slots=True)
class ShownPlate:
    """Everything that the page of a plate shows before it asks for pictures."""

    plate_key: str
    plate_id: str
    dataset_id: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    channels: tuple[Channel, ...]
    wells: tuple[ShownWell, ...]
    measurements: tuple[Measurement, ...]
    links: ViewerLinks
    findings: tuple[ShownFinding, ...]


def describe_plate(
    project: BrowsedProject, plate: BrowsedPlate, channels: tuple[Channel, ...], links: ViewerLinks
) -> ShownPlate:
    """A plate from its stored tables; wells that are declared and have no image are in the grid only."""
    geometry = find_geometry(project, plate)
    return ShownPlate(
        plate_key=plate.plate_key,
        plate_id=plate.plate_id,
        dataset_id=plate.dataset_id,
        rows=tuple(geometry.row_labels),
        columns=tuple(geometry.column_labels),
        channels=channels,
        wells=project.keep(("shown wells", plate.plate_key), lambda: _show_wells(plate)),
        measurements=list_measurements(project, plate.plate_key),
        links=links,
        findings=project.keep(("findings", plate.plate_key), lambda: _list_findings(project, plate)),
    )


def link_thumbnail(plate_key: str, one: FieldRow) -> str:
    """Address of a field's picture. It names what the picture is made of, so that a browser may keep it."""
    return "thumb?" + urlencode({"plate_key": plate_key, "image_id": one.image_id, "v": one.fingerprint[:8]})


def _show_wells(plate: BrowsedPlate) -> tuple[ShownWell, ...]:
    return tuple(_show_well(plate, well, fields) for well, fields in plate.wells.items())


def _show_well(plate: BrowsedPlate, well: str, fields: list[FieldRow]) -> ShownWell:
    is_well = normalize_well(well) is not None
    shown = (
        ShownField(one.image_id, one.site_id, one.acquisition_id, link_thumbnail(plate.plate_key, one))
        for one in fields
    )
    row, column = (well[:-2], str(int(well[-2:]))) if is_well else (None, None)
    return ShownWell(well, row, column, tuple(shown))


def _list_findings(project: BrowsedProject, plate: BrowsedPlate) -> tuple[ShownFinding, ...]:
    groups = read_standing_findings(project.tables, [plate.plate_key])[plate.plate_key]
    return tuple(map(_show_finding, groups))


def _show_finding(group: FindingGroup) -> ShownFinding:
    found = find_code(group.code)
    known = () if found is None else (found.code.cause, found.code.remedy, found.code.setting)
    return ShownFinding(group.code, group.severity, group.message, *known)
