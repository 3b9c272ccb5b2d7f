"""The documentation as a site, built once for the tests of this folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bioimage_assets_tests.builders.shared_folder import fill_once

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the built pages, made once for all test processes; a warning of MkDocs fails here."""
    return fill_once(tmp_path_factory, "site", _build_site)


def _build_site(folder: Path) -> None:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    )
    assert built.returncode == 0, built.stderr
