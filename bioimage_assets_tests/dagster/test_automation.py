"""Automation rebuilds a plate's tables when what they are made of changed, and only then."""

import dagster as dg
import pytest

from bioimage_assets.definitions import defs
from bioimage_assets.partitions import register_plates
from bioimage_assets_tests.dagster.plate_runs import know_plates

pytestmark = pytest.mark.slow

PLATE = "screen/P1"
OTHER = "screen/P2"
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
    "cosmicqc_profiles",
    "pycytominer_profiles",
    "cytomining_warehouse",
    "plate_report",
)


@pytest.fixture
def instance() -> dg.DagsterInstance:
    instance = know_plates([PLATE, OTHER])
    for name in CHAIN:
        for plate in (PLATE, OTHER):
            _report(instance, name, plate, "v1")
    return instance


def _report(instance: dg.DagsterInstance, name: str, plate: str, version: str) -> None:
    event = dg.AssetMaterialization(name, partition=plate, tags={"dagster/data_version": version})
    instance.report_runless_asset_event(event)


def _requested(
    result: dg.EvaluateAutomationConditionsResult, names: tuple[str, ...] = CHAIN
) -> dict[str, set[str]]:
    found = {name: set(result.get_requested_partitions(dg.AssetKey(name))) for name in names[1:]}
    return {name: plates for name, plates in found.items() if plates}


def _settled(instance: dg.DagsterInstance) -> dg.EvaluateAutomationConditionsResult:
    """The state of an automation that has seen everything so far."""
    first = dg.evaluate_automation_conditions(defs=defs, instance=instance)
    return dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=first.cursor)


def test_nothing_is_requested_when_nothing_changed(instance):
    assert _requested(_settled(instance)) == {}


def test_a_table_that_was_run_again_with_the_same_data_requests_nothing(instance):
    settled = _settled(instance)
    _report(instance, "joined_profiles", PLATE, "v1")
    again = dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=settled.cursor)
    assert _requested(again) == {}


def test_other_cells_request_what_is_made_of_them_for_that_plate_only(instance):
    settled = _settled(instance)
    _report(instance, "joined_profiles", PLATE, "v2")
    again = dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=settled.cursor)
    requested = _requested(again)
    assert {"cosmicqc_profiles", "pycytominer_profiles", "plate_completeness"} <= set(requested)
    assert set().union(*requested.values()) == {PLATE}
    assert "image_assets" not in requested
    assert "single_cells" not in requested


def test_a_changed_store_is_left_to_the_sensor(instance):
    settled = _settled(instance)
    _report(instance, "image_stores", PLATE, "v2")
    again = dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=settled.cursor)
    assert _requested(again) == {}


def test_a_removed_store_requests_nothing(instance):
    settled = _settled(instance)
    _report(instance, "image_stores", PLATE, "absent")
    again = dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=settled.cursor)
    assert _requested(again) == {}


def test_a_new_plate_is_left_to_the_run_that_the_sensor_requests(instance):
    settled = _settled(instance)
    register_plates(instance, ["screen/P3"])
    _report(instance, "image_stores", "screen/P3", "v1")
    again = dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=settled.cursor)
    assert _requested(again) == {}
    _report(instance, "image_assets", "screen/P3", "v1")
    later = dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=again.cursor)
    assert _requested(later) == {}


@pytest.mark.parametrize(
    ("status", "version"), [(dg.DagsterRunStatus.NOT_STARTED, "v1"), (dg.DagsterRunStatus.STARTED, "v2")]
)
def test_a_plate_whose_run_is_on_its_way_gets_no_second_one(instance, status, version):
    settled = _settled(instance)
    job = defs.resolve_job_def("plate_pipeline")
    run = instance.create_run_for_job(job, tags={"dagster/partition": PLATE}, status=status)
    _report(instance, "joined_profiles", PLATE, "v2")
    during = dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=settled.cursor)
    assert _requested(during) == {}
    for name in CHAIN[CHAIN.index("join_report") :]:
        _report(instance, name, PLATE, version)
    # Over: what it planned and what it did is in the log, and it is not unfinished any more.
    instance.report_run_canceled(run)
    for evaluation in range(2):
        during = dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=during.cursor)
        assert _requested(during) == {}, evaluation
