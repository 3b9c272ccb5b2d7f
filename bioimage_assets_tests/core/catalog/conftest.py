"""Real catalogs for the tests of this folder: SQLite files below a temporary folder."""

from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.session import open_catalog


def sqlite_properties(folder: Path) -> dict[str, str]:
    """Properties of an embedded catalog below a folder."""
    return {
        "type": "sql",
        "uri": f"sqlite:///{folder / 'catalog.db'}",
        "warehouse": (folder / "tables").as_uri(),
    }


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return open_catalog("embedded", sqlite_properties(tmp_path / "catalog"))
