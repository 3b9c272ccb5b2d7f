"""A backfill of hundreds of plates on a real daemon: few runs, few commits, killed, cancelled, resumed, done."""

import signal
import time
from collections.abc import Mapping, Sequence

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.selector import (
    PartitionRangeSelector,
    PartitionsByAssetSelector,
    PartitionsSelector,
)
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.utils import make_new_backfill_id

from bioimage_assets.core.catalog.history import list_snapshots
from bioimage_assets.definitions import defs
from bioimage_assets.partitions import register_plates
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.dagster.deployment import Deployment, running, wait_until
from bioimage_assets_tests.dagster.store_ticks import write_plate

SCANNED = ("image_assets", "chunk_index", "acquisition_planes", "plate_layout", "scan_findings")
MEASURED = ("single_cells", "measured_images")
TABLES = (*SCANNED, *MEASURED)
PATIENCE_S = 600.0
PER_RUN = 50

pytestmark = [pytest.mark.stress, pytest.mark.timeout(1200)]


def launch(deployment: Deployment, missing: Mapping[str, list[str]]) -> str:
    """Backfill plates of tables as the UI does: contiguous plates are said as ranges."""
    with deployment.instance() as instance, partition_loading_context(dynamic_partitions_store=instance):
        order = instance.get_dynamic_partitions("plates")
        backfill = PartitionBackfill.from_partitions_by_assets(
            backfill_id=make_new_backfill_id(),
            asset_graph=defs.resolve_asset_graph(),
            backfill_timestamp=time.time(),
            tags={},
            dynamic_partitions_store=instance,
            partitions_by_assets=[
                PartitionsByAssetSelector(
                    asset_key=dg.AssetKey(name), partitions=PartitionsSelector(_ranges(keys, order))
                )
                for name, keys in missing.items()
            ],
            title=None,
            description=None,
            run_config=None,
        )
        instance.add_backfill(backfill)
        return backfill.backfill_id


def _ranges(keys: list[str], order: Sequence[str]) -> list[PartitionRangeSelector]:
    wanted, ranges, start, last = set(keys), [], None, ""
    for key in [*order, None]:
        if key in wanted:
            start, last = start or key, str(key)
        elif start is not None:
            ranges.append(PartitionRangeSelector(start, last))
            start = None
    return ranges


def status(deployment: Deployment, backfill_id: str) -> BulkActionStatus:
    with deployment.instance() as instance:
        backfill = instance.get_backfill(backfill_id)
        assert backfill is not None
        return backfill.status


def find_missing(deployment: Deployment, keys: list[str]) -> dict[str, list[str]]:
    with deployment.instance() as instance:
        done = {name: instance.get_materialized_partitions(dg.AssetKey(name)) for name in TABLES}
    left = {name: [key for key in keys if key not in done[name]] for name in TABLES}
    return {name: keys for name, keys in left.items() if keys}


def run_count(deployment: Deployment) -> int:
    with deployment.instance() as instance:
        return instance.get_runs_count()


def count_done(deployment: Deployment, name: str) -> int:
    with deployment.instance() as instance:
        return len(instance.get_materialized_partitions(dg.AssetKey(name)))


def test_a_backfill_of_500_plates_survives_a_kill_and_a_cancellation_and_leaves_only_the_broken_ones(
    tmp_path, capsys
):
    keys = [f"bulk/P{number:03}" for number in range(500)]
    broken = [keys[70], keys[290], keys[291]]
    with running(tmp_path, sensors="off") as deployment:
        for key in keys:
            write_plate(deployment.incoming / f"{key}.zarr", name=key[-4:])
        measured = deployment.incoming / "bulk" / "measurements"
        measured.mkdir()
        for key in broken:
            (measured / f"{key[-4:]}.parquet").write_bytes(b"no table")
        with deployment.instance() as instance:
            register_plates(instance, keys)
        started_s = time.monotonic()
        backfill = launch(deployment, dict.fromkeys(TABLES, keys))

        # A power cut in the middle of the scan, and again nobody does anything but start the daemon.
        wait_until(lambda: count_done(deployment, "scan_findings") >= PER_RUN, PATIENCE_S, "the first plates")
        deployment.stop(signal.SIGKILL)
        scanned = count_done(deployment, "scan_findings")
        assert scanned < len(keys)
        deployment.start()
        wait_until(lambda: count_done(deployment, "image_assets") > scanned, PATIENCE_S, "more plates")
        with deployment.instance() as instance:
            found = instance.get_backfill(backfill)
            assert found is not None
            instance.update_backfill(found.with_status(BulkActionStatus.CANCELING))
        wait_until(
            lambda: status(deployment, backfill) is BulkActionStatus.CANCELED, PATIENCE_S, "the cancellation"
        )
        left = find_missing(deployment, keys)
        assert 0 < len(left["image_assets"]) < len(keys)

        again = launch(deployment, left)
        ended = (BulkActionStatus.COMPLETED_FAILED, BulkActionStatus.COMPLETED_SUCCESS)
        wait_until(lambda: status(deployment, again) in ended, PATIENCE_S, "the end of the second backfill")
        assert find_missing(deployment, keys) == dict.fromkeys(MEASURED, broken)
        seconds, runs = time.monotonic() - started_s, run_count(deployment)

        for key in broken:
            (measured / f"{key[-4:]}.parquet").unlink()
        last = launch(deployment, dict.fromkeys(MEASURED, broken))
        wait_until(
            lambda: status(deployment, last) is BulkActionStatus.COMPLETED_SUCCESS, PATIENCE_S, "the repair"
        )
        assert find_missing(deployment, keys) == {}
    project = ProjectResource(data_dir=str(tmp_path / "data"))
    commits = {name: len(list_snapshots(project.catalog(), f"bioimage.cytotable.{name}")) for name in SCANNED}
    with capsys.disabled():
        print(f"\n{len(keys)} plates: {runs} runs, commits {commits}, {seconds / len(keys):.2f} s per plate,")
        print(f"{scanned} scanned before the kill; left by the cancellation: {len(left['image_assets'])}")
    # Ten runs of fifty plates; the rest are the kill's, the cancellation's and the broken plates'.
    assert runs <= 30
    assert max(commits.values()) <= 2 * len(keys) / PER_RUN
    images = project.catalog().load_table("bioimage.cytotable.image_assets").scan().to_arrow()
    assert sorted(images["plate_key"].to_pylist()) == keys
