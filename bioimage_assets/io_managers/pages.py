"""Pages and virtual plates become files beside the warehouse."""

from typing import Any

import dagster as dg

from bioimage_assets.core.errors import UsageError
from bioimage_assets.io_managers.project_io import ProjectIOManager


class PageIOManager(ProjectIOManager):
    """Stores pages as HTML files in the project's folder of reports, virtual plates where the settings say."""

    def store_value(self, context: dg.OutputContext, obj: Any) -> None:
        """Pages and files come from the project's own steps only."""
        raise UsageError(
            f"{context.asset_key.to_user_string()} returned {type(obj).__name__}; expected a page."
        )

    def load_input(self, context: dg.InputContext) -> str:
        """Path of the page, or URI of the files, that an asset depends on; MissingTableError where a plate has no such files."""
        from bioimage_assets.core.model.table_specs import HOMES
        from bioimage_assets.core.storage.pages import locate_page
        from bioimage_assets.core.storage.plate_files import find_files

        name, key, settings = context.asset_key.path[-1], context.asset_partition_key, self.project.settings
        if HOMES.get(name) == "files":
            return find_files(settings.virtual_plates_uri, key, settings.storage_options)
        return str(locate_page(settings.reports_dir, key))
