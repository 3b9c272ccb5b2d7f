"""`make ui` starts Dagster without the warning that another command is to be used, and not where the port is in use."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bioimage_assets.free_port import main

MAKEFILE = Path(__file__).resolve().parents[2] / "Makefile"
# Calls what `dagster dev` calls; it ends at once for want of its options.
CALL = "from dagster._cli.dev import dev_command\ntry:\n    dev_command.callback()\nexcept TypeError:\n    pass\n"


@pytest.mark.slow
def test_make_ui_does_not_warn_that_its_command_is_superseded():
    found = re.search(r"-W '([^']+)' -m dagster dev", MAKEFILE.read_text())
    assert found is not None
    said = [
        subprocess.run(
            [sys.executable, *flags, "-c", CALL], capture_output=True, text=True, check=True
        ).stderr
        for flags in ((), ("-W", found[1]))
    ]
    assert "superseded" in said[0]
    assert "superseded" not in said[1]


def test_a_port_in_use_is_one_line_before_anything_starts(capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["127.0.0.1", str(port)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"Error: Port {port} of 127.0.0.1 cannot be used (Address already in use)")
        assert f"make ui PORT={port + 1}" in line
    assert main(["127.0.0.1", str(port)]) == 0


def test_make_ui_asks_for_the_port_before_it_starts_anything():
    recipe = MAKEFILE.read_text().partition("\nui:")[2].partition("\n\n")[0].splitlines()
    assert "bioimage_assets.free_port 127.0.0.1 $(or $(PORT),3000)" in recipe[1]
    assert "$(DAGSTER_DEV)" in recipe[-1]
