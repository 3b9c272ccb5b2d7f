"""Which columns of measurements can bear witness: places of cells, their size, and intensities with their channel.

Names: https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-4.2.6/modules/measurement.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bioimage_assets.core.errors import ContractError
from bioimage_assets.core.joins.keys import file_column_kind, normalize_text
from bioimage_assets.core.pixels.boxes import BoxColumns, find_box_columns
from bioimage_assets.core.pixels.location import ImageGeometry
from bioimage_assets.core.pixels.planes import is_plane_column

# Nuclei lie apart and are bright in their channel, so their centres say most.
PLACE_ORDER = ("Nuclei", "Cells", "Cytoplasm")
_INTENSITY = re.compile(r"(?:(\w+?)_)?Intensity_(MeanIntensity|IntegratedIntensity)_(.+)")
_IMAGE_MEAN = re.compile(r"(?:Metadata_)?Image_(?:ImageQuality|Intensity)_MeanIntensity_(.+)")
# What CellProfiler pipelines put around a channel's name: OrigDNA, CorrDNA, DNA_illumcorrected.
_AROUND = re.compile(r"^(?:orig|corr|illum|raw)+|(?:illum)?corr(?:ected)?$|orig$|raw$")


@dataclass(frozen=True, slots=True)
class IntensityColumn:
    """One measured intensity; ``area`` divides an integrated one."""

    name: str
    channel: str
    area: str | None = None


@dataclass(frozen=True, slots=True)
class WitnessColumns:
    """Columns to read; ``place`` is None where no column says where a cell is."""

    place: BoxColumns | None
    area: str | None
    intensities: tuple[IntensityColumn, ...]
    image_means: tuple[IntensityColumn, ...]
    keys: tuple[str, ...]
    planes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, each once."""
        own = [*self.keys, *self.planes, *(self.place.names if self.place else ())]
        for column in (*self.intensities, *self.image_means):
            own += [column.name, *([column.area] if column.area else [])]
        return tuple(dict.fromkeys([*own, *([self.area] if self.area else [])]))


def find_witness_columns(names: Sequence[str]) -> WitnessColumns:
    """Choose the columns of one compartment: nuclei before cells before cytoplasm."""
    place, compartment = _find_place(names)
    area = f"{compartment}_AreaShape_Area"
    return WitnessColumns(
        place,
        area if area in names else None,
        tuple(_find_intensities(names, compartment)),
        tuple(_find_image_means(names)),
        tuple(name for name in ("image_id", "dataset_id", "plate_key") if name in names),
        tuple(name for name in names if is_plane_column(name)),
    )


def _find_place(names: Sequence[str]) -> tuple[BoxColumns | None, str]:
    for compartment in (*PLACE_ORDER, None):
        try:
            return find_box_columns(names, compartment), compartment or "Cells"
        except ContractError:
            continue
    return None, "Cells"


def _find_intensities(names: Sequence[str], compartment: str) -> Iterable[IntensityColumn]:
    """The mean of each channel in the chosen compartment, else in another; integrated over area where there is no mean."""
    present = set(names)
    found: dict[str, tuple[tuple[bool, int], IntensityColumn]] = {}
    order = (compartment, *(name for name in PLACE_ORDER if name != compartment))
    for name in names:
        match = _INTENSITY.fullmatch(name)
        if match is None or match[1] not in order:
            continue
        is_integrated = match[2] == "IntegratedIntensity"
        area = f"{match[1]}_AreaShape_Area" if is_integrated else None
        column = IntensityColumn(name, match[3], area if area in present else None)
        rank = (is_integrated, order.index(match[1]))
        if match[3] not in found or rank < found[match[3]][0]:
            found[match[3]] = (rank, column)
    return (column for _, column in found.values())


def _find_image_means(names: Sequence[str]) -> Iterable[IntensityColumn]:
    found: dict[str, IntensityColumn] = {}
    for name in names:
        match = _IMAGE_MEAN.fullmatch(name)
        if match:
            found.setdefault(match[1], IntensityColumn(name, match[1]))
    return found.values()


def match_channels(
    measured: Iterable[str], geometry: ImageGeometry, row: Mapping[str, object]
) -> dict[str, int]:
    """Measured channel to index of the image's channel: by name, else by the image file that the row names."""
    by_name = {_plain(name): index for index, name in enumerate(geometry.channel_names) if name}
    files = {f.path.rpartition("/")[2]: f.c for f in geometry.files if f.role == "image" and f.c is not None}
    matched = {}
    for channel in measured:
        index = by_name.get(_plain(channel))
        if index is None:
            index = files.get(_file_name(row, channel))
        if index is not None:
            matched[channel] = index
    return matched


def _plain(name: str) -> str:
    return _AROUND.sub("", re.sub(r"[^a-z0-9]", "", name.lower())) or name.lower()


def _file_name(row: Mapping[str, object], channel: str) -> str:
    for name, value in row.items():
        if file_column_kind(name) == "file_name" and _plain(name.rpartition("FileName_")[2]) == _plain(
            channel
        ):
            return (normalize_text(value) or "").replace("\\", "/").rpartition("/")[2]
    return ""
