"""views.sql and README.md at the root"""

from __future__ import annotations

from bioimage_assets.core.warehouse.files import RootFiles


def write_views(files: RootFiles) -> None:
    """Write views."""
