"""Old runs leave the history; what the UI says of a plate and table stays."""

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from bioimage_assets.definitions import defs
from bioimage_assets.partitions import PLATES
from bioimage_assets.run_history import purge_runs
from bioimage_assets_tests.builders.postgres_server import run_postgres
from bioimage_assets_tests.builders.processes import started_or_skipped
from bioimage_assets_tests.dagster.plate_runs import tag_range

PLATE_1, PLATE_2, PLATE_3 = KEYS = ["screen/P1", "screen/P2", "screen/P3"]


@dg.asset(partitions_def=PLATES, backfill_policy=dg.BackfillPolicy.multi_run(50))
def wells(context: dg.AssetExecutionContext) -> None:
    for key in context.partition_keys:
        if key in context.run.tags.get("fails", ""):
            raise ValueError(key)


@dg.asset_check(asset=wells, partitions_def=PLATES)
def wells_are_right() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset
def registry() -> None:
    """Without partitions."""


DEFS = dg.Definitions(
    [wells, registry],
    asset_checks=[wells_are_right],
    jobs=[dg.define_asset_job("make_wells", [wells]), dg.define_asset_job("make_registry", [registry])],
    executor=dg.in_process_executor,
)


@pytest.fixture
def instance(tmp_path: Path) -> dg.DagsterInstance:
    instance = dg.DagsterInstance.local_temp(str(tmp_path))
    instance.add_dynamic_partitions("plates", KEYS)
    return instance


@pytest.fixture
def postgres_instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    pytest.importorskip("dagster_postgres", reason="dagster-postgres is not installed")
    with started_or_skipped(run_postgres()) as uri:
        storage = {"storage": {"postgres": {"postgres_url": uri}}}
        with dg.DagsterInstance.local_temp(str(tmp_path), overrides=storage) as instance:
            instance.add_dynamic_partitions("plates", KEYS)
            yield instance


def _make(instance, *keys: str, fails: str = "") -> str:
    tags = tag_range(keys)
    result = DEFS.resolve_job_def("make_wells").execute_in_process(
        instance=instance,
        partition_key=keys[0] if len(keys) == 1 else None,
        tags={**(tags if len(keys) > 1 else {}), "fails": fails},
        raise_on_error=False,
    )
    assert result.success is not bool(fails)
    return result.run_id


def _purge(instance, *, max_runs: int = 1_000, is_dry_run: bool = False) -> list[str]:
    return purge_runs(instance, keep_days=1e-9, max_runs=max_runs, is_dry_run=is_dry_run).removed


def _say(instance) -> object:
    """What the UI asks for: latest materialisations, open attempts, verdicts of checks."""
    log, asset = instance.event_log_storage, dg.AssetKey("wells")
    check = dg.AssetCheckKey(asset, "wells_are_right")
    return (
        log.get_latest_storage_id_by_partition(asset, dg.DagsterEventType.ASSET_MATERIALIZATION),
        log.get_latest_asset_partition_materialization_attempts_without_materializations(asset),
        instance.get_materialized_partitions(asset),
        log.get_latest_asset_check_execution_by_key([check])[check].run_id,
        instance.get_latest_materialization_event(dg.AssetKey("registry")),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "storage",
    ["instance", pytest.param("postgres_instance", marks=[pytest.mark.slow, pytest.mark.postgres])],
)
def test_a_run_goes_when_all_that_it_made_was_made_again_and_nothing_that_the_ui_says_changes(
    storage, request
):
    instance = request.getfixturevalue(storage)
    both = _make(instance, PLATE_1, PLATE_2)
    first = _make(instance, PLATE_1)
    failed = _make(instance, PLATE_3, fails=PLATE_3)
    registries = [
        DEFS.resolve_job_def("make_registry").execute_in_process(instance=instance).run_id for _ in range(2)
    ]
    assert _purge(instance, is_dry_run=True) == registries[:1]  # P2 of the first run is the latest
    assert len(instance.get_runs()) == 5
    second = _make(instance, PLATE_2)
    said = _say(instance)
    log = instance.event_log_storage
    shard = Path(log.path_for_shard(both)) if isinstance(log, SqliteEventLogStorage) else None
    assert shard is None or shard.exists()
    assert _purge(instance) == [both, registries[0]]
    assert _say(instance) == said
    assert shard is None or not shard.exists()
    assert {run.run_id for run in instance.get_runs()} == {first, second, failed, registries[1]}
    again = _make(instance, PLATE_3)  # the failure is over
    assert _purge(instance) == [failed]
    assert {run.run_id for run in instance.get_runs()} == {first, second, again, registries[1]}


@pytest.mark.slow
def test_a_night_looks_at_so_many_runs_and_the_next_one_goes_on_behind_them(instance):
    runs = [_make(instance, key) for key in (PLATE_1, PLATE_2, PLATE_3, PLATE_1, PLATE_2)]
    # P3 of the third run is kept; else the first two would be looked at for ever.
    assert _purge(instance, max_runs=1) == runs[:1]
    assert _purge(instance, max_runs=2) == [runs[1]]
    assert _purge(instance, max_runs=2) == []
    assert _purge(instance, max_runs=2) == []
    assert _make(instance, PLATE_3)
    assert _purge(instance, max_runs=10) == [runs[2]]


@pytest.mark.slow
def test_young_runs_and_runs_that_go_on_are_kept_and_nothing_is_removed_where_nothing_may_be(instance):
    old, new = _make(instance, PLATE_1), _make(instance, PLATE_1)
    for days in (1.0, 0.0):
        assert purge_runs(instance, keep_days=days, max_runs=10, is_dry_run=False).looked_at == 0
    run = instance.create_run_for_job(
        DEFS.resolve_job_def("make_wells"),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": PLATE_1},
    )
    assert _purge(instance) == [old]
    assert {one.run_id for one in instance.get_runs()} == {new, run.run_id}


@pytest.mark.slow
def test_runs_of_a_backfill_that_goes_on_are_kept(instance):
    from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

    old = _make(instance, PLATE_1)
    instance.add_run_tags(old, {"dagster/backfill": "b1"})
    _make(instance, PLATE_1)
    backfill = PartitionBackfill(
        "b1",
        BulkActionStatus.REQUESTED,
        from_failure=False,
        tags={},
        backfill_timestamp=time.time(),
        asset_selection=[],
    )
    instance.add_backfill(backfill)
    assert _purge(instance) == []
    instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    assert _purge(instance) == [old]


@pytest.mark.slow
def test_the_job_keeps_half_a_year_unless_it_is_told_otherwise(instance, monkeypatch):
    _make(instance, PLATE_1), _make(instance, PLATE_1)
    job = defs.resolve_job_def("history_upkeep")

    def run(**config: object) -> dict[str, object]:
        result = job.execute_in_process(
            instance=instance, run_config={"ops": {"purge_old_runs": {"config": config}}}
        )
        (output,) = [event for event in result.all_events if event.is_successful_output]
        return {name: value.value for name, value in output.step_output_data.metadata.items()}

    assert run()["keep_days"] == 180
    assert run()["removed"] == 0
    said = run(dry_run=True, keep_days=1e-9)
    assert (said["removed"], len(instance.get_runs())) == (1 + 2, 2 + 3)
    monkeypatch.setenv("BIOIMAGE_KEEP_RUNS_DAYS", "0")
    assert run()["keep_days"] == 0
    assert run(keep_days=1e-9)["removed_by_job"] == {"make_wells": 1, "history_upkeep": 4}
