"""Plates whose measurements hold no cell, and datasets without a value in any feature, have no profiles: no failure."""

from pathlib import Path

import pyarrow as pa

from bioimage_assets.assets.rollups import build_selection, build_treatments
from bioimage_assets.assets.wells import build_qc, build_wells
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.builders.tiff_plates import write_plane
from bioimage_assets_tests.dagster.step_inputs import give_inputs

CELLS = pa.schema([
    ("plate_key", pa.string()), ("dataset_id", pa.string()), ("Metadata_ObjectID", pa.string()),
    ("well_id", pa.string()), ("Nuclei_AreaShape_Area", pa.float64()),
])  # fmt: skip


def write_project(folder: Path) -> ProjectResource:
    """Two datasets of one plate each, found below the watched root."""
    for dataset in ("blank", "other"):
        plate = folder / "incoming" / dataset / "P1"
        plate.mkdir(parents=True)
        write_plane(plate / "P1_A01_s1_w1.TIF")
        measured = folder / "incoming" / dataset / "measurements" / "P1"
        measured.mkdir(parents=True)
        (measured / "cells.csv").write_text("Metadata_Well,Nuclei_AreaShape_Area\n")
    return ProjectResource(data_dir=str(folder))


def store(project: ProjectResource, name: str, table: pa.Table, partition: str) -> None:
    """Store rows of one partition as the assets do."""
    project.warehouse().replace_partitions(
        name,
        table,
        [partition],
        role="profiles",
        join_keys=["plate_key"],
        source_type="test",
        source_ref="test",
    )


def test_a_plate_without_cells_has_no_wells_and_its_dataset_no_profiles(tmp_path: Path) -> None:
    project = write_project(tmp_path)
    plate, dataset = give_inputs(project, "blank/P1"), give_inputs(project, "blank")
    store(project, "joined_profiles", CELLS.empty_table(), "blank/P1")
    qc = build_qc(plate)
    assert qc.data is not None
    store(project, "cosmicqc_profiles", qc.data, "blank/P1")
    wells = build_wells(plate)
    assert (wells.data, wells.metadata["note"]) == (None, "the measurements of this plate hold no cell")

    empty = pa.table({"plate_key": ["blank/P1"], "Metadata_Well": ["A01"], "Nuclei_AreaShape_Area": pa.nulls(1, pa.float64())})  # fmt: skip
    store(project, "pycytominer_profiles", empty, "blank/P1")
    selected = build_selection(dataset)
    assert (selected.data, selected.metadata["note"]) == (
        None,
        "no well of this dataset has a value in any feature",
    )
    other = pa.table({"dataset_id": ["other"], "Metadata_Well": ["A01"], "Nuclei_AreaShape_Area": [1.0]})
    store(project, "pycytominer_selected_features", other, "other")
    consensus = build_treatments(dataset)
    assert (consensus.data, consensus.metadata["note"]) == (None, "no selected features of this dataset")
