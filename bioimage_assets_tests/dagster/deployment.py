"""A real daemon with its code server and run workers, on a folder of its own; started, killed and started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from bioimage_assets_tests.builders.processes import interruptible, send

# As the instance of the project, with less patience.
INSTANCE = """
telemetry: { enabled: false }
storage: { sqlite: { base_dir: storage } }
local_artifact_storage:
  { module: dagster._core.storage.root, class: LocalArtifactStorage, config: { base_dir: artifacts } }
compute_logs:
  module: dagster._core.storage.local_compute_log_manager
  class: LocalComputeLogManager
  config: { base_dir: logs }
concurrency: { runs: { max_concurrent_runs: 2 }, pools: { default_limit: 2, granularity: run } }
run_launcher: LAUNCHER
run_monitoring: { enabled: true, start_timeout_seconds: 180, poll_interval_seconds: 5 }
run_retries: { enabled: true, max_retries: 2, retry_on_asset_or_op_failure: false }
"""
LOCAL = "{ module: bioimage_assets.local_runs, class: LocalRunLauncher }"


@dataclass
class Deployment:
    """A folder with data and instance, and the daemon that serves it."""

    folder: Path
    quiet_s: float = 4.0
    sensors: str = "on"
    launcher: str = LOCAL
    process: subprocess.Popen | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        self.incoming.mkdir(parents=True)
        (self.home / "dagster.yaml").write_text(INSTANCE.replace("LAUNCHER", self.launcher))
        # Makes the databases; two processes that find none would both try, and one of them fail.
        with self.instance():
            pass

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def incoming(self) -> Path:
        return self.folder / "data" / "incoming"

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("BIOIMAGE_", "DAGSTER_"))
        }
        return kept | {
            "DAGSTER_HOME": str(self.home),
            "BIOIMAGE_DATA_DIR": str(self.folder / "data"),
            "BIOIMAGE_SENSORS": self.sensors,
            "BIOIMAGE_QUIET_SECONDS": str(self.quiet_s),
            "BIOIMAGE_PICTURES": "off",
            "MPLBACKEND": "Agg",
        }

    def start(self) -> None:
        """Start the daemon in a session of its own, so that all its processes can be killed at once."""
        daemon = Path(sys.executable).with_name("dagster-daemon")
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                interruptible(daemon, "run", "-m", "bioimage_assets.definitions"),
                cwd=self.home,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the daemon and everything it started."""
        if self.process is None:
            return
        if how != signal.SIGKILL:
            send(self.process.pid, how)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        # Frozen before they are killed: else one starts another while its neighbours die, and that one survives.
        frozen: set[int] = set()
        while new := set(self.descendants()) - frozen:
            for pid in new:
                send(pid, signal.SIGSTOP)
            frozen |= new
        for pid in frozen:
            send(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def descendants(self) -> list[int]:
        """Processes of the daemon's session: itself, code server and run workers, also those whose parent is gone."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if self.process and int(session) == self.process.pid and state not in "ZX":
                found.append(int(stat.parent.name))
        return found

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The instance, read beside the daemon."""
        here = Path.cwd()
        os.chdir(self.home)
        try:
            with dg.DagsterInstance.from_config(str(self.home)) as instance:
                yield instance
        finally:
            os.chdir(here)


def wait_until(is_true: Callable[[], bool], seconds: float, what: str) -> None:
    """Look every other second, since a look may open the instance anew; fail with words when the time is over."""
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(2)


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Deployment]:
    """A deployment with its daemon up, and gone afterwards whatever happens."""
    deployment = Deployment(folder, **options)
    deployment.start()
    try:
        yield deployment
    finally:
        deployment.stop()
