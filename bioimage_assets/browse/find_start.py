"""What the page opens with: a plate and cell that exist, or a word about what to type where there is nothing to see."""

from __future__ import annotations

from dataclasses import replace

from bioimage_assets.browse.answers import NotThereError
from bioimage_assets.browse.one_cell import explain_cell
from bioimage_assets.browse.plate_list import list_datasets
from bioimage_assets.browse.plates import find_plate
from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.browse.serve import Start
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.near_names import suggest_plate
from bioimage_assets.core.settings.project import ProjectSettings


def check_start(settings: ProjectSettings, start: Start) -> Start:
    """The same start with the image of its cell; UsageError where the project has no plates, or not this one."""
    project = BrowsedProject(settings)
    datasets = list_datasets(project)
    if not any(dataset.plates for dataset in datasets):
        raise UsageError(
            f"No plate is stored in {settings.data_dir.absolute()}. Put plates into {settings.incoming_uris[0]}, one folder per "
            "dataset, and type: bioimage-assets materialize. Another project: set BIOIMAGE_DATA_DIR."
        )
    plate = start.plate or ("/".join(start.cell.split("/")[:2]) if start.cell else None)
    if plate is None:
        return start
    try:
        find_plate(project, plate)
        if start.cell:
            cell = explain_cell(project, plate, start.cell)
            return replace(start, plate=plate, image=cell.image_id, well=start.well or cell.well_id)
    except NotThereError as error:
        near = suggest_plate(plate, [one.plate_key for dataset in datasets for one in dataset.plates])
        raise UsageError(f"{error}{near} 'bioimage-assets status' lists the plates.") from error
    return start
