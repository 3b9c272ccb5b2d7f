"""The server of `bioimage-assets browse` over a data folder, as a process of its own."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bioimage_assets_tests.builders.processes import end_process

_START_S = 120
_WORDS = ("-m", "bioimage_assets.cli.main", "browse", "--no-open", "--port", "0")


@contextmanager
def run_browse(data_dir: Path) -> Iterator[str]:
    """Serve a project on a free loopback port; gives the address of its first page, which ends in a slash."""
    environment = os.environ | {"BIOIMAGE_DATA_DIR": str(data_dir)}
    words = [sys.executable, *_WORDS]
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        timer = threading.Timer(_START_S, server.kill)
        timer.start()
        try:
            assert server.stdout is not None
            assert server.stderr is not None
            url = server.stdout.readline().strip()
            timer.cancel()
            assert url, server.stderr.read()[-2000:]
            yield url
        finally:
            timer.cancel()
            end_process(server, signal.SIGINT)
