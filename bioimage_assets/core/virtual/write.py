"""Rows of ``image_assets`` and ``chunk_index`` in, a virtual OME-Zarr plate out: planned, described and written in one of three forms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.settings.dataset import OmeZarrVersion, VirtualPlateFormat
from bioimage_assets.core.stores.open import local_path
from bioimage_assets.core.virtual.channel_windows import measure_windows
from bioimage_assets.core.virtual.model import VirtualPlate
from bioimage_assets.core.virtual.ome_metadata import build_group_documents
from bioimage_assets.core.virtual.plan import plan_virtual_plate
from bioimage_assets.core.virtual.write_icechunk import write_icechunk
from bioimage_assets.core.virtual.write_json import write_kerchunk_json
from bioimage_assets.core.virtual.write_parquet import write_kerchunk_parquet

_ONLY_VERSION: dict[str, OmeZarrVersion] = {"parquet": "0.4", "icechunk": "0.5"}
_WHY = {
    "parquet": "the readers of Parquet references know keys of Zarr v2 alone",
    "icechunk": "Icechunk stores Zarr v3",
}


@dataclass(frozen=True, slots=True)
class VirtualPlateForm:
    """How a virtual plate is written.

    Parameters
    ----------
    format
        ``json``, ``parquet`` or ``icechunk``.
    version
        Of OME-Zarr; None: 0.4 of Parquet, else 0.5.
    absolute
        Source files stay where they are: they are not looked for beside a virtual plate that moved.
    measures_contrast
        Read some pixels of three fields, for the black and white points of the channels; else these are what the type can hold.
    """

    format: VirtualPlateFormat = "json"
    version: OmeZarrVersion | None = None
    absolute: bool = False
    measures_contrast: bool = True

    @property
    def ome_zarr(self) -> OmeZarrVersion:
        """The version that is written; UsageError where the format cannot have the one that is asked for."""
        only = _ONLY_VERSION.get(self.format)
        if only is not None and self.version not in (None, only):
            raise UsageError(
                f"A virtual plate in {self.format} is OME-Zarr {only}, found {self.version} asked for: {_WHY[self.format]}. "
                f"Leave the version out, or choose json."
            )
        return self.version or only or "0.5"


@dataclass(frozen=True, slots=True)
class WrittenPlate:
    """A virtual plate as it was written; ``stored_bytes`` is None in a bucket."""

    uri: str
    format: VirtualPlateFormat
    version: OmeZarrVersion
    well_count: int
    image_count: int
    label_count: int
    source_count: int
    reference_count: int
    refused: tuple[Finding, ...]
    stored_bytes: int | None


def write_virtual_plate(
    image_assets: pa.Table,
    chunk_index: Iterable[pa.RecordBatch],
    target_uri: str,
    form: VirtualPlateForm | None = None,
    *,
    storage_options: Mapping[str, object] | None = None,
) -> WrittenPlate:
    """Write the plate of these rows, in place of an older one; readers see the old or the new one.

    The same rows of unchanged files give the same bytes; an Icechunk repository is not committed to then. Images that cannot be expressed
    are left out and listed in ``refused``.

    Raises
    ------
    UsageError
        The form is none that there is, or no image of the plate can be expressed.
    StoreError
        A source cannot be looked at.
    """
    form = form or VirtualPlateForm()
    version = form.ome_zarr
    plate = plan_virtual_plate(image_assets, chunk_index, version=version, storage_options=storage_options)
    if not plate.images:
        raise UsageError(_explain_empty(plate))
    _write(plate, image_assets, target_uri, form, storage_options)
    return _describe(plate, target_uri, form)


def _write(
    plate: VirtualPlate,
    image_assets: pa.Table,
    target_uri: str,
    form: VirtualPlateForm,
    storage_options: Mapping[str, object] | None,
) -> None:
    windows = measure_windows(image_assets, plate, storage_options) if form.measures_contrast else None
    groups = build_group_documents(image_assets, plate, form.ome_zarr, windows)
    if form.format == "icechunk":
        write_icechunk(plate, groups, target_uri, storage_options=storage_options)
    elif form.format == "parquet":
        write_kerchunk_parquet(plate, groups, target_uri, absolute=form.absolute)
    else:
        write_kerchunk_json(
            plate, groups, target_uri, form.ome_zarr, absolute=form.absolute, storage_options=storage_options
        )


def _describe(plate: VirtualPlate, target_uri: str, form: VirtualPlateForm) -> WrittenPlate:
    labels = sum(image.is_label for image in plate.images)
    wells = {image.path.rpartition("/")[0] for image in plate.images if image.path.count("/") == 2}
    return WrittenPlate(
        uri=target_uri,
        format=form.format,
        version=form.ome_zarr,
        well_count=len(wells),
        image_count=len(plate.images) - labels,
        label_count=labels,
        source_count=len(plate.sources),
        reference_count=sum(len(array.refs) for image in plate.images for array in image.arrays),
        refused=plate.refused,
        stored_bytes=_measure(target_uri),
    )


def _measure(target_uri: str) -> int | None:
    path = local_path(target_uri)
    if path is None:
        return None
    place = Path(path)
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.is_file())


def _explain_empty(plate: VirtualPlate) -> str:
    reasons = "; ".join(dict.fromkeys(finding.message for finding in plate.refused[:3]))
    return f"{plate.name}: no image can be part of a virtual plate. {reasons or 'There is none with pixels.'}"
