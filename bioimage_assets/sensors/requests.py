"""Run requests for plates: ranges where plates stand beside each other, single runs elsewhere."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import dagster as dg

from bioimage_assets.core.model.identity import dataset_of

# Up to so many plates get a run each, so that each shows, fails and is retried by itself.
SINGLE_RUNS_PER_TICK = 20
REQUESTS_PER_TICK = 40  # a tick must end within the 60 s that Dagster gives a sensor
PLATES_PER_RANGE = 50
RANGE_START_TAG = "dagster/asset_partition_range_start"
MAX_RUNTIME_TAG = "dagster/max_runtime"
# As in dagster.yaml, for runs that nothing of ours requested.
MAX_RUNTIME_S = 2 * 24 * 3600.0
RANGE_END_TAG = "dagster/asset_partition_range_end"


def plan_batches(plate_keys: Sequence[str], order: Sequence[str]) -> list[list[str]]:
    """Group plates into runs: one each where they are few, else stretches that stand together in ``order``.

    A range of dynamic partitions follows the order in which they were added; plates added in one tick
    stand beside each other. Plates that do not fit into the requests of a tick are in no batch.
    """
    if len(plate_keys) <= SINGLE_RUNS_PER_TICK:
        return [[key] for key in plate_keys]
    wanted = set(plate_keys)
    batches: list[list[str]] = []
    is_open = False
    for key in order:
        if key not in wanted:
            is_open = False
        elif is_open and len(batches[-1]) < PLATES_PER_RANGE:
            batches[-1].append(key)
        else:
            batches.append([key])
            is_open = True
    # The longest first: what does not fit into this tick is as little as possible.
    batches.sort(key=len, reverse=True)
    return batches[:REQUESTS_PER_TICK]


def limit_runtime(plate_count: int) -> dict[str, str]:
    """Tag that lets run monitoring end a run that goes on for ever: so long for each plate, two days for many."""
    from bioimage_assets.core.settings.project import read_project_settings

    one_s = read_project_settings().max_plate_s
    if not one_s:
        return {}
    return {MAX_RUNTIME_TAG: str(int(max(one_s, min(one_s * plate_count, MAX_RUNTIME_S))))}


def build_run_requests(
    job_name: str, batches: Sequence[Sequence[str]], generations: Mapping[str, str]
) -> list[dg.RunRequest]:
    """One request of a job per batch. A run key holds what is new about its plates, so nothing is requested twice."""
    requests = []
    for keys in batches:
        datasets = sorted({dataset_of(key) for key in keys})
        tags = {"bioimage/dataset": datasets[0]} if len(datasets) == 1 else {}
        tags |= limit_runtime(len(keys))
        if len(keys) == 1:
            run_key = f"{keys[0]}@{generations[keys[0]]}"
            requests.append(
                dg.RunRequest(run_key=run_key, job_name=job_name, partition_key=keys[0], tags=tags)
            )
            continue
        digest = blake2b(" ".join(f"{key}@{generations[key]}" for key in keys).encode(), digest_size=12)
        tags |= {RANGE_START_TAG: keys[0], RANGE_END_TAG: keys[-1], "bioimage/plates": str(len(keys))}
        # Run keys are compared for ever: the digest holds what is new about each plate of the range.
        run_key = f"{keys[0]}...{keys[-1]}@{digest.hexdigest()}"
        requests.append(dg.RunRequest(run_key=run_key, job_name=job_name, tags=tags))
    return requests
