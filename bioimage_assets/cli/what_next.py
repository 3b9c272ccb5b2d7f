"""What to type after a run that failed or was interrupted, and where its log is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bioimage_assets.cli.dagster_instance import TEMPORARY_HOME

if TYPE_CHECKING:
    import dagster as dg

    from bioimage_assets.headless import HeadlessReport

NAMED_PLATES = 5  # of more than these the command names none: what is current is left alone


def say_command(
    plates: Sequence[str],
    *,
    select: Sequence[str] = (),
    force: bool = False,
    verbose: bool = False,
    failed: bool = False,
) -> str:
    """The command line that runs these plates (all where none is named)."""
    words = ["bioimage-assets", "materialize"]
    if 0 < len(plates) <= NAMED_PLATES:
        words += ["--plates", *plates]
    words += ["--failed"] if failed else []
    words += ["--select", *select] if select else []
    words += ["--force"] if force else []
    words += ["-v"] if verbose else []
    return shlex.join(words)


def find_logs(instance: dg.DagsterInstance, report: HeadlessReport) -> dict[str, str]:
    """Where the log of each failed run is, by partition; a temporary instance goes with its logs when the command ends."""
    if Path(instance.root_directory).name.startswith(TEMPORARY_HOME):
        return {}
    failed = [o for o in report.outcomes if o.status == "failed" and o.run_id]
    return {outcome.partition: _find_log(instance, outcome.run_id or "") for outcome in failed}


def _find_log(instance: dg.DagsterInstance, run_id: str) -> str:
    from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

    where = f"run {run_id} of the Dagster instance {instance.root_directory}"
    manager = instance.compute_log_manager
    if isinstance(manager, LocalComputeLogManager):
        folder = Path(manager.get_captured_local_path([run_id, "compute_logs", "step"], "err")).parent
        if folder.is_dir():
            return f"{where}; what its steps printed: {folder}"
    return where


def say_what_next(report: HeadlessReport, logs: dict[str, str], *, select: Sequence[str] = ()) -> list[str]:
    """Lines for a person whose plates failed; none where none did."""
    failed = [o.partition for o in report.outcomes if o.status == "failed"]
    if not failed:
        return []
    lines = [f"log of {key}: {where}" for key, where in list(logs.items())[:NAMED_PLATES]]
    plates = [key for key in failed if "/" in key] or [outcome.partition for outcome in report.plates]
    command = say_command(plates, select=select, verbose=True, failed=len(plates) > NAMED_PLATES)
    return ["", *lines, f"When what is named is mended (-v prints the log): {command}"]
