"""How errors of plates end a run: in one failure, or in a second attempt where that can help."""

from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg

from bioimage_assets.core.error_codes import say_error
from bioimage_assets.core.errors import BioimageError, CommitError, StoreAccessError, WorkerLostError

MAX_RETRIES = 2
ERRORS_BY_PLATE = "errors_by_plate"
"""Metadata of a failure: why plates failed."""
LOST_PLATES = "lost_plates"
"""Metadata of a failure: plates that were left out, since an earlier try ended at them."""
RETRY_AFTER_S = 20.0
# Causes of a store that could not be reached, as opposed to one that may not be read.
_TRANSIENT_CAUSES = (TimeoutError, ConnectionError, InterruptedError)
_TRANSIENT_WORDS = (
    "timed out",
    "timeout",
    "connection",
    "temporarily",
    "503",
    "slow down",
    "stale file handle",
)


def is_worth_retrying(error: BaseException) -> bool:
    """Tell whether the same call may succeed in a while: lost commit races, stores that were out of reach.

    A broken file, a missing store or a wrong setting stays what it is, however often one tries.
    """
    if isinstance(error, CommitError):
        return True
    if not isinstance(error, StoreAccessError):
        return False
    cause = error.__cause__
    if isinstance(cause, PermissionError):
        return False
    if isinstance(cause, _TRANSIENT_CAUSES):
        return True
    text = f"{error} {cause or ''}".lower()
    return any(word in text for word in _TRANSIENT_WORDS)


def raise_failures(context: Any, failures: Mapping[str, BioimageError], plate_count: int) -> None:
    """Ask for another attempt where a failure may pass, else fail the run with every failed plate named.

    Plates that are stored by then are not built again by the next attempt.

    Raises
    ------
    dagster.RetryRequested
        At least one failure may pass, and there are attempts left.
    dagster.Failure
        Otherwise.
    """
    lost = [key for key, error in failures.items() if isinstance(error, WorkerLostError)]
    failure = build_failure({key: say_error(error) for key, error in failures.items()}, plate_count, lost)
    raise_retry(context, failures, failure)
    raise failure


def raise_retry(
    context: Any, failures: Mapping[str, BioimageError], cause: BaseException | None = None
) -> None:
    """Ask for another attempt where a failure may pass and there are attempts left.

    Raises
    ------
    dagster.RetryRequested
        So it is.
    """
    if any(is_worth_retrying(error) for error in failures.values()) and context.retry_number < MAX_RETRIES:
        raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=RETRY_AFTER_S) from cause


def build_failure(failures: Mapping[str, str], plate_count: int, lost: Collection[str] = ()) -> dg.Failure:
    """Reasons by plate become one Dagster failure here and nowhere else."""
    lines = ["| plate | error |", "|---|---|"]
    lines += [f"| `{key}` | {text.replace('|', chr(92) + '|')} |" for key, text in sorted(failures.items())]
    first_key, first = sorted(failures.items())[0]
    counted = "" if plate_count == 1 else f"{len(failures)} of {plate_count} failed; the others are stored. "
    return dg.Failure(
        description=f"{counted}{first_key}: {first}",
        metadata={
            "failed_plates": dg.MetadataValue.md("\n".join(lines)),
            # Read by the sensor that goes on with the other plates.
            ERRORS_BY_PLATE: {key: text[:1_000] for key, text in failures.items()},
            LOST_PLATES: sorted(lost),
        },
        allow_retries=False,
    )
