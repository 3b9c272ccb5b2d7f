"""Pages become files beside the warehouse."""

from typing import Any

import dagster as dg

from bioimage_assets.core.errors import UsageError
from bioimage_assets.io_managers.project_io import ProjectIOManager


class PageIOManager(ProjectIOManager):
    """Stores pages of plates and datasets as HTML files in the project's folder of reports."""

    def store_value(self, context: dg.OutputContext, obj: Any) -> None:
        """Pages come from the project's own steps only."""
        raise UsageError(
            f"{context.asset_key.to_user_string()} returned {type(obj).__name__}; expected a page."
        )

    def load_input(self, context: dg.InputContext) -> str:
        """Path of the page that an asset depends on."""
        from bioimage_assets.core.storage.pages import locate_page

        return str(locate_page(self.project.settings.reports_dir, context.asset_partition_key))
