"""The launcher that makes every run a job of Slurm: daemon, queue and sensors on a service node, the work on the cluster.

Chosen in the instance file, `deploy/hpc/dagster.slurm.yaml`; no asset knows of it. A job is a plate or a list of fifty.
Source of truth: https://slurm.schedmd.com/sbatch.html, https://slurm.schedmd.com/squeue.html#lbAG (states of jobs).
"""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.launcher.base import (
    CheckRunHealthResult,
    LaunchRunContext,
    RunLauncher,
    WorkerStatus,
)
from dagster._core.storage.dagster_run import DagsterRun
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass
from dagster._serdes.config_class import ConfigurableClassData

JOB_TAG = "slurm/job_id"
# A controller that restarts answers late; a run is not lost for that.
ANSWER_S = 30
_ALIVE = {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED", "RESIZING", "STAGE_OUT"}


class SlurmRunLauncher(RunLauncher, ConfigurableClass):
    """Submits runs with ``sbatch``, asks after them with ``squeue``, cancels them with ``scancel``.

    ``options`` are those of ``sbatch``; ``setup`` are lines of shell before the run, which make its environment: what
    the submitting process has is not passed on, so that no secret of the service node travels in a job's record.
    """

    def __init__(
        self,
        options: Sequence[str] = (),
        setup: str = "",
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        self._options, self._setup, self._inst_data = list(options), setup, inst_data
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """How the instance file configured it."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Configuration of the instance file."""
        return {
            "options": dg.Field([str], is_required=False, default_value=[]),
            "setup": dg.Field(str, is_required=False, default_value=""),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "SlurmRunLauncher":
        """Build it as configured."""
        return cls(config_value["options"], config_value["setup"], inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Submit a run; a controller that refuses it fails the run with its words."""
        run = context.dagster_run
        if context.job_code_origin is None:
            raise dg.DagsterInvariantViolationError(f"Run {run.run_id} does not say where its code is.")
        words = ExecuteRunArgs(
            job_origin=context.job_code_origin,
            run_id=run.run_id,
            instance_ref=None,  # the job opens the instance that DAGSTER_HOME names
            set_exit_code_on_failure=True,
        ).get_command_args()
        script = f"#!/bin/bash\nset -e\n{self._setup}\nexec {shlex.join(words)}\n"
        name = f"--job-name=dagster-{run.run_id[:8]}"
        # --export=NONE: nothing of the service's environment, which holds secrets, is in the job's record.
        answer = _call(["sbatch", "--parsable", "--export=NONE", name, *self._options], script)
        # --parsable prints "id;cluster" where there are several clusters.
        job_id = answer.strip().split(";")[0]
        self._instance.add_run_tags(run.run_id, {JOB_TAG: job_id})
        self._instance.report_engine_event(f"Submitted as Slurm job {job_id}.", run, cls=self.__class__)

    def terminate(self, run_id: str) -> bool:
        """Cancel a run's job; the run ends as it would by a signal, or at once where the job had not started."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or JOB_TAG not in run.tags:
            return False
        has_started = read_state(run.tags[JOB_TAG]) in _ALIVE - {"PENDING"}
        self._instance.report_run_canceling(run)
        # To the batch script's processes too: the run notes itself that it was interrupted.
        _call(["scancel", *(["--full", "--signal=TERM"] if has_started else []), run.tags[JOB_TAG]])
        if not has_started:
            self._instance.report_run_canceled(run, message="The job was cancelled before it ran.")
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring may ask."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Tell from the queue whether a run's job is alive; a controller that does not answer tells nothing."""
        job_id = run.tags.get(JOB_TAG)
        if job_id is None:
            return CheckRunHealthResult(WorkerStatus.UNKNOWN, "no job was submitted yet")
        try:
            state = read_state(job_id)
        except RuntimeError as error:
            return CheckRunHealthResult(WorkerStatus.UNKNOWN, str(error), transient=True)
        if state in _ALIVE:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if state == "COMPLETED":
            return CheckRunHealthResult(WorkerStatus.SUCCESS)
        return CheckRunHealthResult(
            WorkerStatus.FAILED, f"Slurm job {job_id}: {state or 'not in the queue any more'}"
        )


def read_state(job_id: str) -> str:
    """State of a job as the queue lists it, empty where it is not listed any more.

    Raises
    ------
    RuntimeError
        The controller does not answer.
    """
    try:
        return _call(["squeue", "--noheader", "--states=all", f"--job={job_id}", "--format=%T"]).strip()
    except RuntimeError as error:
        # The controller forgets finished jobs after MinJobAge (300 s by default).
        if "Invalid job id" in str(error):
            return ""
        raise


def _call(words: Sequence[str], given: str = "") -> str:
    try:
        done = subprocess.run(
            words, input=given, capture_output=True, text=True, timeout=ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"{words[0]}: {error}") from error
    if done.returncode:
        raise RuntimeError(f"{words[0]}: {done.stderr.strip()}")
    return done.stdout
