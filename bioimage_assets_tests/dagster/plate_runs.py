"""Plates for tests of runs: a watched root of tiny ones, an instance that knows them, and runs that say nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg

from bioimage_assets.definitions import defs
from bioimage_assets.jobs.plate_lists import JOB_NAME, build_list_config
from bioimage_assets.partitions import register_plates
from bioimage_assets_tests.dagster.store_ticks import write_plate

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def write_plates(incoming: Path, keys: Sequence[str], wells: tuple[str, ...] = ("A/1",)) -> Path:
    """A store for each plate ``dataset/plate``, named after it; gives the watched root."""
    for key in keys:
        write_plate(incoming / f"{key}.zarr", wells, name=key.rpartition("/")[2])
    return incoming


def know_plates(keys: Sequence[str]) -> dg.DagsterInstance:
    """An instance in memory with these plates as partitions."""
    instance = dg.DagsterInstance.ephemeral()
    register_plates(instance, list(keys))
    return instance


def tag_range(keys: Sequence[str]) -> dict[str, str]:
    """Tags of one run of the plates from the first to the last."""
    return {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}


def run_list(
    instance: dg.DagsterInstance,
    plates: Sequence[str],
    tables: Sequence[str],
    tags: Mapping[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """A run of some plates, whatever their order; of all tables where none is named."""
    return defs.resolve_job_def(JOB_NAME).execute_in_process(
        instance=instance,
        run_config={**build_list_config(plates, tables), **QUIET},
        tags=tags,
        raise_on_error=False,
    )
