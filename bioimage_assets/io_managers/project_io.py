"""What the IO managers of the project share: tables of steps go through the one door to storage."""

from typing import Any

import dagster as dg

from bioimage_assets.core.errors import UsageError
from bioimage_assets.resources.project import ProjectResource


class ProjectIOManager(dg.ConfigurableIOManager):
    """Stores the tables of a step plate by plate, and any other value as the manager for it does.

    A plate that cannot be built or stored fails the run after all others are stored.
    """

    project: ProjectResource

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Store what an asset returns."""
        from bioimage_assets.io_managers.plate_batch import PlateBatch

        if obj is None:
            raise UsageError(
                f"{context.asset_key.to_user_string()} returned None, so nothing was stored, and rows of an earlier run would "
                "pass for its result. Return a table, one without rows where there are none; an asset that stores what it "
                "makes by itself is annotated -> None, or -> dg.MaterializeResult."
            )
        if not isinstance(obj, PlateBatch):
            self.store_value(context, obj)
            return
        stored = obj.store(context.asset_key.path[-1])
        record_batch(context, stored)

    def store_value(self, context: dg.OutputContext, obj: Any) -> None:
        """Store a table that an asset of a user returned."""
        raise NotImplementedError

    def load_input(self, context: dg.InputContext) -> Any:
        """Load what an asset depends on."""
        raise NotImplementedError


def record_batch(context: dg.OutputContext, stored: Any) -> None:
    """Metadata of a run's tables: of a single plate its own, of a batch the sum of its rows."""
    from bioimage_assets.io_managers.plate_batch import describe_stored

    rows = sum(table.row_count or 0 for table in stored.values())
    own = describe_stored(next(iter(stored.values()))) if len(stored) == 1 else {}
    if len(stored) != 1 or "dagster/partition_row_count" in own:
        own["rows"] = rows
    if len(stored) != 1:
        for name in ("errors", "warnings"):
            own[name] = sum(table.metadata.get(name, 0) for table in stored.values())
    context.add_output_metadata(own)
