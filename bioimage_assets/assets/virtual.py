"""Virtual plates: stored rows of images and chunks in, one OME-Zarr plate of references out."""

from collections import Counter
from collections.abc import Mapping

import dagster as dg

from bioimage_assets.core.storage.plate_table import PlateFiles, PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.core.virtual.write import VirtualPlateForm, WrittenPlate, write_virtual_plate

_NOT_ASKED = (
    "not asked for: [virtual_plates] write = true in dataset.toml asks for a virtual plate of each plate"
)
_NO_IMAGES = "the plate has no images"


def build_virtual_plate(inputs: StepInputs) -> PlateTable:
    """References to the pixels of the plate, where the dataset asks for them; images that are left out are findings."""
    if not inputs.settings.write_virtual_plate:
        return PlateTable.absent(_NOT_ASKED)
    images = inputs.find("image_assets")
    if images is None or not images.num_rows:
        return PlateTable.absent(_NO_IMAGES)
    settings = inputs.settings
    form = VirtualPlateForm(settings.virtual_plate_format, settings.virtual_plate_version)
    form.ome_zarr  # noqa: B018  # a version that the format cannot have fails before anything is written
    found: list[WrittenPlate] = []

    def write(uri: str) -> Mapping[str, object]:
        written = write_virtual_plate(
            images,
            inputs.stream("chunk_index"),
            uri,
            form,
            storage_options=inputs.storage_options,
        )
        found.append(written)
        return describe_virtual_plate(written)

    return PlateTable(
        PlateFiles(f".{form.format}", write),
        findings=lambda: [finding for written in found for finding in written.refused],
    )


def describe_virtual_plate(written: WrittenPlate) -> dict[str, object]:
    """What the materialisation says."""
    refused = Counter(finding.code for finding in written.refused)
    return {
        "path": dg.MetadataValue.text(written.uri),
        "ome_zarr": written.version,
        "format": written.format,
        "wells": written.well_count,
        "images": written.image_count,
        "label_images": written.label_count,
        "images_refused": len(written.refused),
        "refused_because": [f"{code}: {count}" for code, count in sorted(refused.items())],
        "source_files": written.source_count,
        "references": written.reference_count,
        **({} if written.stored_bytes is None else {"stored_bytes": written.stored_bytes}),
    }
