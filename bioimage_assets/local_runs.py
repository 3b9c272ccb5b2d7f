"""The launcher of runs on one machine, which notices runs whose worker went down together with its code server.

Dagster's own launcher leaves that to the code server. After a power cut, or when daemon and code server are killed,
nobody is left to say that the run is over: it would count as running for ever, and hold its place in the queue.
Used by ``dagster.yaml``; kept in a module of its own because every Dagster process loads it.
"""

import time

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.dagster_run import DagsterRun

PINGS = 3  # a server that restarts answers again within seconds
BETWEEN_PINGS_S = 1.0


class LocalRunLauncher(DefaultRunLauncher):
    """Runs are children of the code server; a code server that is gone has none."""

    def terminate(self, run_id: str) -> bool:
        """Cancel a run; one whose code server is gone is over, where Dagster's own would fail, and a backfill with it."""
        try:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        except DagsterUserCodeUnreachableError as error:
            if not _is_gone(error):
                raise
        run = self._instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            self._instance.report_run_canceled(run, message="The process that ran it was gone already.")
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring may ask."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Tell whether the code server that started the run is there; while it is, it reports lost workers itself."""
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:  # over, or not started by this launcher
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        for attempt in range(PINGS):
            try:
                client.ping("")
            except DagsterUserCodeUnreachableError as error:
                if not _is_gone(error):
                    return CheckRunHealthResult(WorkerStatus.RUNNING)
                if attempt + 1 < PINGS:
                    time.sleep(BETWEEN_PINGS_S)
            else:
                return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "the process that ran it is gone")


def _is_gone(error: BaseException) -> bool:
    """Nobody listens any more; a server that is merely busy answers late."""
    cause = error.__cause__
    code = getattr(cause, "code", None)
    return getattr(code() if callable(code) else None, "name", "") == "UNAVAILABLE"
