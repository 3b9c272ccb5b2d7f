"""`make ui` starts Dagster without the warning that another command is to be used."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

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
