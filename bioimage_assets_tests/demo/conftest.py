"""One set of ci-size screens for all tests that only read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bioimage_assets.demo.screens import DemoScreens, build_screens


@pytest.fixture(scope="package")
def screens(ci_screens: Path) -> DemoScreens:
    """All four plates at the smallest size; do not change them."""
    return build_screens(ci_screens, size="ci")
