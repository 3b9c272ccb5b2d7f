"""A Slurm cluster of one node on this machine: controller and node daemon in a temporary folder, on loopback."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bioimage_assets_tests.builders.processes import find_free_port

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "sacct", "squeue", "sinfo", "munged")
_START_S = 30
_CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MinJobAge=3600
SchedulerParameters=bf_interval=1,sched_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=16000
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass
class SlurmCluster:
    """A running cluster."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def call(self, *words: object, **options) -> str:
        """Run one of Slurm's commands and give what it prints."""
        done = subprocess.run(
            [str(word) for word in words],
            env=self.environment, capture_output=True, text=True, timeout=60, **options,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{words[0]}: {done.stderr.strip()}")
        return done.stdout

    def wait(self, job_id: str, seconds: float) -> dict[str, str]:
        """Wait until all tasks of a job are over; their states by task."""
        end = time.monotonic() + seconds
        while True:
            listed = self.call(
                "squeue", "--noheader", "--array", "--states=all", f"--job={job_id}", "--format=%K %T"
            )
            states = dict(line.split() for line in listed.splitlines())
            if states and not set(states.values()) & {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING"}:
                return states
            if time.monotonic() > end:
                raise RuntimeError(f"not over within {seconds:.0f} s: {states}")
            time.sleep(0.5)


@contextmanager
def run_slurm() -> Iterator[SlurmCluster]:
    """Start a cluster; RuntimeError says why it cannot start."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        raise RuntimeError(f"no {', '.join(lacking)} (apt-get install slurm-wlm munge)")
    if os.geteuid() != 0:
        raise RuntimeError("Slurm's daemons start as root only")
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    folder.chmod(0o755)
    started: list[subprocess.Popen[bytes]] = []
    try:
        _configure(folder)
        environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        munged = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket"]
        munged += [f"--key-file={folder}/munge.key", f"--pid-file={folder}/munge.pid"]
        munged += [f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"]
        for command in (munged, ["slurmctld", "-D"], ["slurmd", "-D"]):
            with (folder / f"{command[0]}.out").open("wb") as out:
                started.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out))
            time.sleep(0.5)
        cluster = SlurmCluster(folder)
        _wait_until_idle(cluster, started)
        yield cluster
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _configure(folder: Path) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    ports = [find_free_port(), find_free_port()]
    text = _CONFIGURATION.format(
        host=socket.gethostname().split(".")[0], folder=folder, ports=ports, cpus=os.cpu_count()
    )
    (folder / "slurm.conf").write_text(text)


def _wait_until_idle(cluster: SlurmCluster, started: list[subprocess.Popen[bytes]]) -> None:
    end, answer = time.monotonic() + _START_S, ""
    while time.monotonic() < end and all(process.poll() is None for process in started):
        try:
            answer = cluster.call("sinfo", "--noheader", "--format=%T").strip()
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            answer = str(error)
        if answer == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text()[-600:] for path in sorted(cluster.folder.glob("*.out")))
    raise RuntimeError(f"the cluster did not start: {answer}\n{logs}")
