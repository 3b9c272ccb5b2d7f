"""Reads the sidecars of MetaXpress Acquire (``.jdce`` and its table of images) and of BD Pathway (``.xyz``).

Sources of truth: Bio-Formats' JDCEReader and BDReader; the CSV that ``ImageMetadataFiles`` names has one line per image
with Row and Column from one and Field, Wavelength, Timepoint and ZIndex from zero. Checked with built files.
"""

from __future__ import annotations

import configparser
import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.ome_tiff.image_draft import PixelSizes
from bioimage_assets.core.formats.ome_tiff.units import length_um, wavelength_nm
from bioimage_assets.core.formats.plate_folders.name_pattern import NameParts
from bioimage_assets.core.formats.plate_folders.sidecar_acquisition import (
    ChannelFacts,
    Optics,
    SidecarAcquisition,
    read_binning,
    read_positive,
    read_power,
    read_text,
)
from bioimage_assets.core.formats.plate_folders.sidecar_facts import (
    SidecarFacts,
    WellSites,
    declare_wells,
    read_integer,
    read_number,
    well_at,
)

LAYOUT = "metaxpress-acquire"
_COLUMNS = ("Row", "Column", "Field", "Wavelength")
_MAX_SLICES = 10_000
JsonObject = Mapping[str, object]


def read_jdce(payload: bytes, key: str, facts: SidecarFacts) -> None:
    """Take channels, pixel size, z step and the barcode of the plate."""
    text = payload.decode("utf-8-sig", "replace")
    try:
        root: object = json.loads(text[max(0, text.find("{")) :])
    except (ValueError, RecursionError) as error:
        raise CorruptStoreError(f"{key}: no JSON document ({error}).") from error
    stack = _child(root, "ImageStack")
    protocol = _child(stack, "AutoLeadAcquisitionProtocol")
    if not stack or not protocol:
        raise CorruptStoreError(
            f"{key}: no ImageStack with an AutoLeadAcquisitionProtocol; not a MetaXpress JDCE file."
        )
    names: dict[int, str] = {}
    for wave in _objects(protocol.get("Wavelengths")):
        number = read_integer(_text(wave.get("Index")))
        name = _text(_child(wave, "EmissionFilter").get("Name"))
        if number is not None and name:
            names[number] = name
    if len(set(names.values())) == len(names):  # two wavelengths behind one filter keep their tokens
        facts.channel_names = {f"w{number}": name for number, name in names.items()} | facts.channel_names
    facts.sizes = facts.sizes if facts.sizes.x_um is not None else _read_sizes(protocol)
    _take_acquisition(protocol, facts.acquisition)
    barcode = _text(stack.get("PlateId")) or _text(_child(stack, "SpecimenHolder").get("Barcode"))
    facts.plate_id = facts.plate_id or barcode or None


def _take_acquisition(protocol: JsonObject, taken: SidecarAcquisition) -> None:
    """Take the objective, the binning of the camera and the wavelengths of the filters."""
    taken.source = taken.source or "jdce"
    objective = _child(protocol, "ObjectiveCalibration")
    name = read_text(_text(objective.get("ObjectiveName")))
    texts = {key: _text(objective.get(key)) for key in ("Magnification", "NumericalAperture")}
    power = read_positive(texts, "Magnification") or read_power(name)
    taken.add_optics(Optics(name, power, read_positive(texts, "NumericalAperture")))
    binning = read_binning(_text(_child(protocol, "Camera").get("Binning")))
    for wave in _objects(protocol.get("Wavelengths")):
        number = read_integer(_text(wave.get("Index")))
        excitation, emission = (
            wavelength_nm(read_number(_text(_child(wave, key).get("Wavelength"))), None)
            for key in ("ExcitationFilter", "EmissionFilter")
        )
        if number is not None:
            facts = ChannelFacts(None, excitation, emission, None, binning)
            taken.channels.setdefault(f"w{number}", facts)


def _read_sizes(protocol: JsonObject) -> PixelSizes:
    objective = _child(protocol, "ObjectiveCalibration")
    unit = _text(objective.get("Unit")) or "µm"
    unit = unit if length_um(1.0, unit) is not None else "µm"
    width, height = (read_number(_text(objective.get(name))) for name in ("PixelWidth", "PixelHeight"))
    steps = _child(_child(protocol, "PlateMap"), "ZDimensionParameters")
    count = read_integer(_text(steps.get("NumberOfSlices"))) or 1
    step = read_number(_text(steps.get("Step"))) if count > 1 else None
    return PixelSizes(length_um(width, unit), length_um(height, unit), length_um(step, "µm"))


def read_image_table(payload: bytes, key: str, facts: SidecarFacts) -> None:
    """Take the wells, the fields and the place of each file of an ``image_metadata_<n>.csv``; other tables give nothing."""
    try:
        rows = csv.DictReader(io.StringIO(payload.decode("utf-8-sig", "replace"), newline=""))
        if not set(_COLUMNS) <= set(rows.fieldnames or ()):
            return
        sites: WellSites = defaultdict(set)
        for row in rows:
            _take_row(row, sites, facts)
    except csv.Error as error:
        raise CorruptStoreError(f"{key}: no table of comma-separated values ({error}).") from error
    facts.wells = facts.wells or declare_wells(sites)


def _take_row(row: Mapping[str, str | None], sites: WellSites, facts: SidecarFacts) -> None:
    numbers = {
        name: read_integer(row.get(name))
        for name in ("Row", "Column", "Field", "Wavelength", "Timepoint", "ZIndex")
    }
    line, column, field = numbers["Row"], numbers["Column"], numbers["Field"]
    well_id = well_at(line, column)
    if well_id is None or line is None or column is None:
        return
    site = None if field is None else str(field)
    sites[line, column].add(site or "")
    wave = numbers["Wavelength"]
    token = None if wave is None else f"w{wave}"
    parts = NameParts(LAYOUT, well_id, site, None, token, numbers["ZIndex"], numbers["Timepoint"], None)
    facts.add_name(row.get("ImageFileName"), parts)


def read_xyz(payload: bytes, key: str, facts: SidecarFacts) -> None:
    """Take the number of z steps of a BD Pathway acquisition; without a z axis it is one."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(payload.decode("utf-8-sig", "replace"))
    except configparser.Error as error:
        raise CorruptStoreError(f"{key}: no file of sections and values ({error}).") from error
    if not parser.has_section("Z1Axis"):
        raise CorruptStoreError(f"{key}: no section [Z1Axis]; not the .xyz file of a BD Pathway.")
    axis = parser["Z1Axis"]
    is_on = axis.get("Z1AxisEnabled") == "1" and axis.get("Z1AxisMode") == "1"
    steps = read_number(axis.get("Z1AxisValue")) if is_on else 0.0
    if steps is not None and 0 <= steps < _MAX_SLICES:
        facts.slices = int(steps) + 1


def _child(value: object, name: str) -> JsonObject:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _objects(value: object) -> Iterable[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
