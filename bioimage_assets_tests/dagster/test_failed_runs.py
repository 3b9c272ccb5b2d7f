"""What follows a failed run of several plates: the bad one is named beside its store, the others are built to the end."""

import signal
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.core.model.table_specs import STEPS
from bioimage_assets.definitions import defs
from bioimage_assets.failure_messages import describe_failures
from bioimage_assets.headless import materialize_plates
from bioimage_assets.jobs.pipelines import PLATE_ASSETS
from bioimage_assets.jobs.plate_lists import build_list_config
from bioimage_assets.sensors.failures import plate_failure_sensor
from bioimage_assets.sensors.store_events import read_held
from bioimage_assets_tests.dagster.plate_runs import QUIET, know_plates, tag_range, write_plates
from bioimage_assets_tests.dagster.store_ticks import list_plates

KEYS = ["screen/P1", "screen/P2", "screen/P3", "screen/P4"]


@pytest.fixture
def incoming(tmp_path: Path, use_data_dir) -> Path:
    use_data_dir(tmp_path / "data")
    return write_plates(tmp_path / "data" / "incoming", KEYS)


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return know_plates(KEYS)


def _run(instance, tags, **options) -> dg.ExecuteInProcessResult:
    job = defs.resolve_job_def("plate_pipeline")
    return job.execute_in_process(
        instance=instance, tags=tags, raise_on_error=False, run_config=QUIET, **options
    )


def _run_range(instance, keys=KEYS, **options) -> dg.ExecuteInProcessResult:
    tags = tag_range(keys)
    return _run(instance, tags, **options)


def _answer(instance, result) -> list[dg.RunRequest]:
    """What the sensor asks for when it is told of the failure."""
    (failure,) = [event for event in result.all_events if event.event_type_value == "PIPELINE_FAILURE"]
    context = dg.build_run_status_sensor_context(
        sensor_name="plate_failure_sensor",
        dagster_event=failure,
        dagster_instance=instance,
        dagster_run=result.dagster_run,
    ).for_run_failure()
    return list(plate_failure_sensor(context) or ())


@pytest.mark.slow
def test_the_good_plates_of_a_failed_range_are_built_to_the_end_and_only_the_bad_one_is_left(
    incoming, instance
):
    (incoming / "screen" / "measurements").mkdir()
    (incoming / "screen" / "measurements" / "P2.parquet").write_bytes(b"no table")
    result = _run_range(instance)
    assert not result.success
    assert instance.get_materialized_partitions(dg.AssetKey("plate_report")) == set()
    requests = _answer(instance, result)
    assert [request.partition_key for request in requests] == ["screen/P1", "screen/P3", "screen/P4"]
    assert {request.job_name for request in requests} == {"plate_pipeline"}
    for request in requests:
        assert _run(instance, request.tags, partition_key=request.partition_key).success
    for name in {*PLATE_ASSETS[len(STEPS[0].names) :]} - {"virtual_plates"}:  # made of the images alone
        assert instance.get_materialized_partitions(dg.AssetKey(name)) == {*KEYS} - {"screen/P2"}, name
    held = read_held(instance, KEYS)
    assert list(held) == ["screen/P2"]
    assert "P2.parquet" in held["screen/P2"]


@pytest.mark.slow
def test_a_plate_that_a_blocking_check_stops_is_the_one_that_is_left_out(incoming, instance, monkeypatch):
    from bioimage_assets.checks import tables
    from bioimage_assets.checks.verdict import Verdict

    judge = tables.check_row_accounting
    monkeypatch.setattr(
        tables,
        "check_row_accounting",
        lambda inputs: Verdict(False, "rows were lost") if inputs.plate_key == KEYS[3] else judge(inputs),
    )
    names = (
        "image_assets", "single_cells", "measured_images", "joined_profiles", "join_report", "image_quality",
        "cosmicqc_profiles",
    )  # fmt: skip
    result = _run_range(instance, asset_selection=[dg.AssetKey(name) for name in names])
    assert not result.success
    assert [request.partition_key for request in _answer(instance, result)] == KEYS[:3]
    assert "rows were lost" in read_held(instance, KEYS)[KEYS[3]]


def test_a_range_of_some_tables_goes_on_with_these_tables_of_the_plates_around_the_bad_one(
    incoming, instance, monkeypatch
):
    from bioimage_assets.sensors import requests as planning

    monkeypatch.setattr(planning, "SINGLE_RUNS", 1)
    (incoming / "screen" / "P2.zarr").rename(incoming / "aside")
    scan = ["image_assets", "chunk_index"]
    result = _run_range(instance, asset_selection=[dg.AssetKey(name) for name in scan])
    (request,) = _answer(instance, result)
    assert list_plates(request) == ["screen/P1", "screen/P3", "screen/P4"]
    assert request.tags["bioimage/continues"] == result.run_id
    assert request.run_config["ops"]["take_list"]["config"]["tables"] == scan


def test_a_list_that_went_to_its_end_is_noted_and_not_gone_on_with(incoming, instance):
    (incoming / "screen" / "P2.zarr").rename(incoming / "aside")
    result = defs.resolve_job_def("plates_by_list").execute_in_process(
        instance=instance,
        raise_on_error=False,
        run_config={**build_list_config(KEYS, ["image_assets"]), **QUIET},
    )
    assert _answer(instance, result) == []
    assert list(read_held(instance, KEYS)) == ["screen/P2"]
    assert "scan_plates: " in read_held(instance, KEYS)["screen/P2"]
    for key in (KEYS[0], *KEYS[2:]):
        assert key in instance.get_materialized_partitions(dg.AssetKey("image_assets"))


@pytest.mark.slow
def test_a_lost_commit_is_tried_again_and_a_catalog_that_refuses_fails_the_plates_it_was_to_hold(
    incoming, instance, monkeypatch
):
    from bioimage_assets import retrying
    from bioimage_assets.core.errors import CatalogError, CommitError
    from bioimage_assets.core.storage import write

    commit, refusals = write.replace_partitions, [CommitError("lost the race")]

    def refuse(*args, **options):
        if refusals:
            raise refusals.pop()
        return commit(*args, **options)

    monkeypatch.setattr(write, "replace_partitions", refuse)
    monkeypatch.setattr(retrying, "RETRY_AFTER_S", 0.0)
    scan = [dg.AssetKey(name) for name in STEPS[0].names]
    assert _run_range(instance, KEYS[:2], asset_selection=scan).success
    refusals.append(CatalogError("the catalog is read-only"))
    result = _run_range(instance, KEYS[2:], asset_selection=scan)
    assert not result.success
    assert (
        describe_failures(result.all_events)
        == "scan_plates: 2 of 2 failed; the others are stored. screen/P3: the catalog is read-only (catalog-error)"
    )
    for name in STEPS[0].names:
        assert instance.get_materialized_partitions(dg.AssetKey(name)) == {*KEYS[:2]}, name


def test_an_interrupt_ends_the_command_and_not_only_the_plate_that_it_meets(incoming, instance, monkeypatch):
    from bioimage_assets.assets import scanning

    met: list[str] = []

    def interrupt(inputs):
        met.append(inputs.partition)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(scanning, "scan_plate_tables", interrupt)
    with pytest.raises(KeyboardInterrupt):
        materialize_plates(instance, select=["image_assets"])
    assert met == KEYS[:1]


def test_settings_that_cannot_be_read_are_named_by_the_plates_and_by_the_dataset(incoming, instance):
    settings = incoming / "screen" / "dataset.toml"
    settings.write_text("[qc")
    for result in (
        _run(instance, {}, partition_key=KEYS[0], asset_selection=[dg.AssetKey("image_assets")]),
        defs.resolve_job_def("dataset_pipeline").execute_in_process(
            instance=instance, partition_key="screen", raise_on_error=False, run_config=QUIET
        ),
    ):
        assert not result.success
        assert f": {settings}: not valid TOML" in (describe_failures(result.all_events) or "")


@pytest.mark.slow
def test_a_failure_of_one_plate_or_of_all_is_noted_and_not_gone_on_with(incoming, instance):
    (incoming / "screen" / "P1.zarr").rename(incoming / "aside1")
    assert _answer(instance, _run(instance, {}, partition_key="screen/P1")) == []
    (incoming / "screen" / "P2.zarr").rename(incoming / "aside2")
    assert _answer(instance, _run_range(instance, KEYS[:2])) == []
    assert set(read_held(instance, KEYS)) == {"screen/P1", "screen/P2"}
