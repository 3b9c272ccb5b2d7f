"""Plates declared in OME-XML: positions of images, and the plate as it declares itself.

Source of truth: ome.xsd 2016-06, WellSample@Index: "unique within a plate", with gaps allowed, so the site is
its rank within (well, acquisition). Row and column are zero-based whatever the naming convention says.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from bioimage_assets.core.errors import IdentityError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.image_ids import PlatePosition
from bioimage_assets.core.formats.ome_tiff.ome_model import OmeDocument, OmePlate
from bioimage_assets.core.model.identity import build_well_id
from bioimage_assets.core.model.scan import DeclaredPlate, DeclaredWell


@dataclass(frozen=True, slots=True)
class OmePosition:
    """Position of one OME Image, with the raw index that ranks may be made of across several files.

    ``sample_um`` is the place of its WellSample from the origin of the well.
    """

    position: PlatePosition
    sample_index: int | None
    sample_um: tuple[float | None, float | None] = (None, None)


class OmePlates(NamedTuple):
    """Positions by OME image id, the declared plates and what was odd."""

    positions: dict[str, OmePosition]
    plates: tuple[DeclaredPlate, ...]
    findings: tuple[Finding, ...]


def read_ome_plates(document: OmeDocument, key: str) -> OmePlates:
    """Rank the samples of each (well, acquisition) and give every referenced image its position."""
    if not document.plates:
        return OmePlates({}, (), ())
    positions: dict[str, OmePosition] = {}
    findings: list[Finding] = []
    known = {image.ome_id for image in document.images}
    plates = [_read_plate(plate, key, known, positions, findings) for plate in document.plates if plate.wells]
    return OmePlates(positions, tuple(plates), tuple(findings))


def _read_plate(
    plate: OmePlate, key: str, known: set[str], positions: dict[str, OmePosition], findings: list[Finding]
) -> DeclaredPlate:
    plate_id = plate.name or plate.ome_id
    run_of = {sample: str(number) for number, (_, refs) in enumerate(plate.acquisitions) for sample in refs}
    only_run = "0" if len(plate.acquisitions) == 1 else None
    is_repeated = len(plate.acquisitions) > 1
    wells: dict[str, dict[str, None]] = {}
    for well in plate.wells:
        try:
            well_id = build_well_id(well.row, well.column)
        except IdentityError as error:
            findings.append(Finding("well-outside-plate", "warning", key, str(error)))
            continue
        ranked: dict[str | None, list[tuple[int, int]]] = defaultdict(list)
        for number, sample in enumerate(well.samples):
            ranked[run_of.get(sample.ome_id, only_run)].append(
                (number if sample.index is None else sample.index, number)
            )
        sites = wells.setdefault(well_id, {})
        for run, samples in ranked.items():
            for rank, (index, number) in enumerate(sorted(samples)):
                site_id = str(rank)
                sites[site_id] = None
                reference = well.samples[number].image_ref
                if reference is None:
                    continue
                if reference not in known:
                    text = f"Well {well_id} site {site_id} refers to image {reference!r}, which the document does not hold."
                    findings.append(Finding("plate-image-missing", "warning", key, text))
                    continue
                position = PlatePosition(plate_id, well_id, site_id, run, is_repeated)
                positions.setdefault(
                    reference, OmePosition(position, index, well.samples[number].position_um)
                )
    return DeclaredPlate(
        plate_id, tuple(DeclaredWell(well, "", tuple(sites)) for well, sites in wells.items()),
        tuple(str(number) for number in range(len(plate.acquisitions))), (), "ome-xml",
    )  # fmt: skip
