"""Automation rebuilds a plate's tables when what they are made of changed, and only then."""

from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest

from bioimage_assets.definitions import defs
from bioimage_assets.partitions import register_plates

pytestmark = pytest.mark.slow

TESTS = 8  # of this file; each is given two plates
CHAIN = (
    "image_stores",
    "image_assets",
    "chunk_index",
    "plate_layout",
    "scan_findings",
    "single_cells",
    "measured_images",
    "joined_profiles",
    "join_report",
    "plate_completeness",
    "image_quality",
    "cosmicqc_profiles",
    "pycytominer_profiles",
    "cytomining_warehouse",
    "plate_report",
)


@dataclass
class Settled:
    """An automation that has seen everything so far, and the plates that it is asked about."""

    instance: dg.DagsterInstance
    cursor: Any
    plates: list[str]

    def evaluate(self) -> dict[str, set[str]]:
        """What is requested of the own plates because of what was reported since."""
        result = dg.evaluate_automation_conditions(defs=defs, instance=self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        requested = {
            name: set(result.get_requested_partitions(dg.AssetKey(name))) & {*self.plates}
            for name in CHAIN[1:]
        }
        return {name: plates for name, plates in requested.items() if plates}


@pytest.fixture(scope="module")
def settled_once() -> Settled:
    """Two plates for every test, all of whose tables are made; to settle takes longer than what is asked afterwards."""
    plates = [f"screen/P{number}" for number in range(2 * TESTS)]
    instance = dg.DagsterInstance.ephemeral()
    register_plates(instance, plates)
    for name in CHAIN:
        for plate in plates:
            _report(instance, name, plate, "v1")
    settled = Settled(instance, None, plates)
    settled.evaluate()
    assert settled.evaluate() == {}
    return settled


@pytest.fixture
def settled(settled_once: Settled) -> Settled:
    """The same, for two plates that no other test has touched."""
    own = [settled_once.plates.pop() for _ in range(2)]
    return Settled(settled_once.instance, settled_once.cursor, own)


def _report(instance: dg.DagsterInstance, name: str, plate: str, version: str) -> None:
    event = dg.AssetMaterialization(name, partition=plate, tags={"dagster/data_version": version})
    instance.report_runless_asset_event(event)


def test_nothing_is_requested_when_nothing_changed(settled):
    assert settled.evaluate() == {}


def test_a_table_that_was_run_again_with_the_same_data_requests_nothing(settled):
    _report(settled.instance, "joined_profiles", settled.plates[0], "v1")
    assert settled.evaluate() == {}


def test_other_cells_request_what_is_made_of_them_for_that_plate_only(settled):
    _report(settled.instance, "joined_profiles", settled.plates[0], "v2")
    requested = settled.evaluate()
    assert {"cosmicqc_profiles", "pycytominer_profiles", "plate_completeness"} <= set(requested)
    assert set().union(*requested.values()) == {settled.plates[0]}
    assert "image_assets" not in requested
    assert "single_cells" not in requested


def test_a_changed_store_is_left_to_the_sensor(settled):
    _report(settled.instance, "image_stores", settled.plates[0], "v2")
    assert settled.evaluate() == {}


def test_a_removed_store_requests_nothing(settled):
    _report(settled.instance, "image_stores", settled.plates[0], "absent")
    assert settled.evaluate() == {}


def test_a_new_plate_is_left_to_the_run_that_the_sensor_requests(settled):
    settled.plates.append("screen/new")
    register_plates(settled.instance, ["screen/new"])
    _report(settled.instance, "image_stores", "screen/new", "v1")
    assert settled.evaluate() == {}
    _report(settled.instance, "image_assets", "screen/new", "v1")
    assert settled.evaluate() == {}


@pytest.mark.parametrize(
    ("status", "version"), [(dg.DagsterRunStatus.NOT_STARTED, "v1"), (dg.DagsterRunStatus.STARTED, "v2")]
)
def test_a_plate_whose_run_is_on_its_way_gets_no_second_one(settled, status, version):
    instance, plate = settled.instance, settled.plates[0]
    job = defs.resolve_job_def("plate_pipeline")
    run = instance.create_run_for_job(job, tags={"dagster/partition": plate}, status=status)
    _report(instance, "joined_profiles", plate, "v2")
    assert settled.evaluate() == {}
    for name in CHAIN[CHAIN.index("join_report") :]:
        _report(instance, name, plate, version)
    # Over: what it planned and what it did is in the log, and it is not unfinished any more.
    instance.report_run_canceled(run)
    for evaluation in range(2):
        assert settled.evaluate() == {}, evaluation
