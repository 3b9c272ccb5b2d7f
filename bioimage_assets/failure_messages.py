"""Why a run failed, in one line: the error as the project worded it and its code, for reports, observations and the log."""

from collections.abc import Iterable

import dagster as dg

from bioimage_assets.core.error_codes import CODES_BY_CLASS, add_codes


def describe_failures(events: Iterable[dg.DagsterEvent]) -> str | None:
    """Words of the first step that failed among some events, None where no step did."""
    for event in events:
        if event.is_step_failure:
            return " ".join(f"{event.step_key}: {_describe(event)}".split())
    return None


def was_interrupted(events: Iterable[dg.DagsterEvent]) -> bool:
    """Tell whether a step failed because the person at the terminal, or the system, asked the process to end."""
    for event in events:
        error = event.step_failure_data.error if event.is_step_failure else None
        while error is not None:
            if error.cls_name == "DagsterExecutionInterruptedError":
                return True
            error = error.cause
    return False


def _describe(event: dg.DagsterEvent) -> str:
    """What the step said itself; else the outermost error of the project, which names file and remedy; else the cause."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cls_name not in CODES_BY_CLASS and error.cause is not None:
        error = error.cause
    if error is None:
        return "failed"
    message = error.message.strip()
    worded = (error.cls_name in CODES_BY_CLASS and message.partition(": ")[2]) or message
    return add_codes(worded, CODES_BY_CLASS.get(error.cls_name or "", ""))
