"""One set of ci-size screens for all tests that only read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bioimage_assets.demo.screens import DemoScreens, build_screens


@pytest.fixture(scope="package")
def screens(tmp_path_factory: pytest.TempPathFactory) -> DemoScreens:
    """All four plates at the smallest size; do not change them."""
    root: Path = tmp_path_factory.mktemp("demo")
    return build_screens(root, size="ci")
