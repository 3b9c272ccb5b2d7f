"""Measurements whose name is misspelt are never a plate that looks as if all were well."""

from pathlib import Path

import pandas as pd
import pytest

from bioimage_assets.assets.cells import build_joined_profiles, build_single_cells
from bioimage_assets.checks.tables import check_join_coverage
from bioimage_assets.core.model.plate_source import MEASUREMENTS_WITHOUT_IMAGES
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.dagster.step_inputs import give_check_inputs, give_inputs, store_table
from bioimage_assets_tests.dagster.store_ticks import write_plate

TABLE = pd.DataFrame(
    {"Metadata_Well": ["A01", "A01"], "Metadata_Site": ["0", "0"], "Cells_AreaShape_Area": [1.0, 2.0]}
)


def _check(project: ProjectResource, plate_key: str, scratch: Path):
    """Build the joined tables of a plate without image rows, store its report, and check it."""
    inputs = give_inputs(project, plate_key, scratch)
    cells = build_single_cells(inputs)["single_cells"]
    store_table(project, "image_assets", plate_key, PlateTable(IMAGE_ASSETS.empty_table()))
    tables = build_joined_profiles(inputs)
    assert tables["joined_profiles"].data().read_all()["join_rule"].null_count == len(TABLE)
    report = tables["join_report"].data()
    project.warehouse().replace_partitions(
        "join_report", report, [plate_key], source_type="test", source_ref="test"
    )
    return cells, check_join_coverage(give_check_inputs(project, plate_key))


@pytest.mark.parametrize(("name", "passes"), [("P2", True), ("P-1", False)])
def test_only_a_name_that_cannot_be_another_plates_makes_a_plate_that_needs_no_images(tmp_path, name, passes):
    root = tmp_path / "incoming" / "screen"
    write_plate(root / "P1.zarr")
    (root / "measurements").mkdir()
    for plate in ("P1", name) if passes else (name,):
        TABLE.to_parquet(root / "measurements" / f"{plate}.parquet")
    cells, verdict = _check(ProjectResource(data_dir=str(tmp_path)), f"screen/{name}", tmp_path)
    assert not verdict.passed
    assert verdict.description.startswith("not checked: the plate has no images, by design") is passes
    found = {finding.code: finding for finding in cells.findings}
    assert (MEASUREMENTS_WITHOUT_IMAGES in found) is not passes
    if not passes:
        assert "'screen/measurements/P1.parquet'" in found[MEASUREMENTS_WITHOUT_IMAGES].message
