"""Makes wells, in this process or spread over several.

Processes are spawned, never forked: the caller may run threads (Dagster, gRPC), which a fork would not survive.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from bioimage_assets.core.errors import BioimageError, UsageError
from bioimage_assets.demo import make_well
from bioimage_assets.demo.plan import MadeField, PlatePlan

MAIN_GUARD_HINT = "Call it below 'if __name__ == \"__main__\":', or with workers=1."


@dataclass(frozen=True, slots=True)
class WellJob:
    """One well to make below the staging folder of its plate."""

    plan: PlatePlan
    well_index: int
    staging: str


def refuse_unguarded_main() -> None:
    """Stop a worker that runs its parent's script again: it would wait for ever for the lock its parent holds."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # what multiprocessing itself asks
        raise UsageError("build_screens() was reached while a worker process started. " + MAIN_GUARD_HINT)


def run_wells(jobs: Sequence[WellJob], worker_count: int) -> Iterator[tuple[WellJob, tuple[MadeField, ...]]]:
    """Make wells and give each when it is done, in any order; jobs not begun are dropped when the caller stops.

    Raises
    ------
    BioimageError
        A worker process died.
    """
    if worker_count == 1 or not jobs:
        for job in jobs:
            yield job, make_well.make_well(job.plan, job.well_index, job.staging)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(worker_count, mp_context=context) as pool:
        futures: dict[Future[tuple[MadeField, ...]], WellJob] = {
            pool.submit(make_well.make_well, job.plan, job.well_index, job.staging): job for job in jobs
        }
        try:
            for future in as_completed(futures):
                yield futures.pop(future), future.result()
        except BrokenProcessPool as error:
            raise BioimageError(
                "A worker process of the demo generator ended early: out of memory, or killed, or unable to import "
                f"the calling script. {MAIN_GUARD_HINT} Finished plates stay, nothing half-made is left."
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
