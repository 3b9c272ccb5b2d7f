"""Run requests for plates: a run each where they are few, else a run for every fifty, whatever their order."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import dagster as dg

from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.jobs.plate_lists import PLATES_PER_RUN, build_list_config, plates_by_list

# Up to so many plates get a run each, so that each shows, fails and is retried by itself.
SINGLE_RUNS = 20
MAX_RUNTIME_TAG = "dagster/max_runtime"
# As in dagster.yaml, for runs that nothing of ours requested.
MAX_RUNTIME_S = 2 * 24 * 3600.0
PLATE_COUNT_TAG = "bioimage/plates"
# A plate that comes alone does not wait for a campaign.
BULK_PRIORITY = {"dagster/priority": "-1"}


def plan_batches(plate_keys: Sequence[str]) -> list[list[str]]:
    """Group plates into runs: one each where they are few, else fifty of a run, dataset by dataset."""
    if len(plate_keys) <= SINGLE_RUNS:
        return [[key] for key in plate_keys]
    keys = sorted(plate_keys)
    return [keys[start : start + PLATES_PER_RUN] for start in range(0, len(keys), PLATES_PER_RUN)]


def limit_runtime(plate_count: int) -> dict[str, str]:
    """Tag that lets run monitoring end a run that goes on for ever: so long for each plate, two days for many."""
    from bioimage_assets.core.settings.project import read_project_settings

    one_s = read_project_settings().max_plate_s
    if not one_s:
        return {}
    return {MAX_RUNTIME_TAG: str(int(max(one_s, min(one_s * plate_count, MAX_RUNTIME_S))))}


def build_run_requests(
    job_name: str,
    batches: Sequence[Sequence[str]],
    generations: Mapping[str, str],
    tables: Sequence[str] = (),
) -> list[dg.RunRequest]:
    """One request per batch: of a job of assets for one plate, of the job of lists for several.

    A run key holds what is new about its plates, so nothing is requested twice. ``tables`` are all where none is named.
    """
    requests = []
    for keys in batches:
        datasets = sorted({dataset_of(key) for key in keys})
        tags = {"bioimage/dataset": datasets[0]} if len(datasets) == 1 else {}
        tags |= limit_runtime(len(keys))
        if len(keys) == 1:
            run_key = f"{keys[0]}@{generations[keys[0]]}"
            selection = [dg.AssetKey(name) for name in tables] or None
            requests.append(
                dg.RunRequest(
                    run_key, job_name=job_name, partition_key=keys[0], tags=tags, asset_selection=selection
                )
            )
            continue
        digest = blake2b(" ".join(f"{key}@{generations[key]}" for key in keys).encode(), digest_size=12)
        tags |= {PLATE_COUNT_TAG: str(len(keys)), **BULK_PRIORITY}
        # Run keys are compared for ever: the digest holds what is new about each plate of the list.
        run_key = f"{keys[0]}...{keys[-1]}@{digest.hexdigest()}"
        config = build_list_config(keys, tables)
        requests.append(dg.RunRequest(run_key, job_name=plates_by_list.name, run_config=config, tags=tags))
    return requests
