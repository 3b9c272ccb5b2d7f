"""Why a step failed is kept under the run in which it failed last."""

from pathlib import Path

from bioimage_assets.core.storage.step_failures import list_failed, read_failures, store_failures
from bioimage_assets.core.warehouse.root import open_warehouse

PLATE, STEP = "screen/P1", "measure_plates"


def test_the_same_failure_of_a_later_run_is_that_runs(tmp_path: Path) -> None:
    """A run of several plates goes on with those that have not failed in it: it must find its own failures."""
    warehouse = open_warehouse(tmp_path)
    for run_id in ("first", "second"):
        store_failures(warehouse, STEP, {PLATE: "Cells.csv is cut off."}, run_id)
        assert list_failed(warehouse, [PLATE], run_ids=[run_id]) == {PLATE: (STEP,)}
    assert list_failed(warehouse, [PLATE], run_ids=["first"]) == {}
    assert read_failures(warehouse, list_failed(warehouse)) == {PLATE: f"{STEP}: Cells.csv is cut off."}
