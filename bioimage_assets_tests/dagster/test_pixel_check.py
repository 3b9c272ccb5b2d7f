"""The check of a join by pixels: green only where the pixels confirm it, an error where they contradict, else a warning."""

from pathlib import Path

import pyarrow as pa
import pytest

from bioimage_assets.checks.inputs import CheckInputs
from bioimage_assets.checks.pixels import check_pixels
from bioimage_assets.checks.verdict import ERROR, WARN, Verdict
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets_tests.builders.witness_plates import (
    PlateLook,
    WitnessPlate,
    image_id,
    write_witness_plate,
)
from bioimage_assets_tests.dagster.step_inputs import store_table

KEY = "ds/P1"


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> WitnessPlate:
    return write_witness_plate(tmp_path_factory.mktemp("plate"), PlateLook(rows=2, columns=4))


@pytest.fixture
def check(tmp_path: Path, use_data_dir, plate):
    """Store a plate with some cells, and check it."""
    project = use_data_dir(tmp_path)

    def stored(cells: pa.Table | None) -> Verdict:
        store_table(project, "image_assets", KEY, PlateTable(plate.images))
        if cells is not None:
            store_table(project, "joined_profiles", KEY, PlateTable(cells))
        return check_pixels(CheckInputs(project, project.tables(), KEY, lambda: None))

    return stored


@pytest.mark.slow
def test_true_links_pass_with_the_numbers_behind_it(check, plate):
    verdict = check(plate.cells)
    assert verdict.passed, verdict.description
    assert verdict.metadata["verdict"] == "confirmed"
    assert verdict.metadata["cells_compared"] == plate.cells.num_rows
    assert verdict.metadata["requests"].endswith("of 600 allowed")


def test_wrong_links_fail_with_what_was_mixed_up(check, plate):
    verdict = check(plate.link(lambda well, site: image_id(well, site + 1)))
    assert (verdict.passed, verdict.severity) == (False, ERROR)
    assert "site number is -1 from the one they are linked to" in verdict.description


def test_what_cannot_be_decided_warns_with_the_reason(check, plate):
    places = [name for name in plate.cells.column_names if "Center" in name or name.startswith("Image_")]
    verdict = check(plate.cells.drop_columns(places))
    assert (verdict.passed, verdict.severity) == (False, WARN)
    assert verdict.description.startswith("not checked: The measurements say nowhere")


def test_a_plate_without_cells_is_not_checked(check):
    verdict = check(None)
    assert (verdict.passed, verdict.description) == (False, "not checked: no measured cells")
