"""What the steps of a plate have in common as assets: partitions, storage, batches, owners and automation."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from bioimage_assets.assets.sources import OWNERS
from bioimage_assets.automation import follow_changes
from bioimage_assets.partitions import PLATES

HEAVY_BATCH = dg.BackfillPolicy.multi_run(max_partitions_per_run=50)


def plate_table(
    group_name: str, kinds: set[str], code_version: str, deps: list[str]
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Declare a function as the step that makes the one table of its name, for every plate."""
    return dg.asset(
        deps=deps,
        partitions_def=PLATES,
        io_manager_key="warehouse_io",
        group_name=group_name,
        kinds=kinds,
        owners=OWNERS,
        code_version=code_version,
        backfill_policy=HEAVY_BATCH,
        automation_condition=follow_changes(),
    )


def plate_tables(
    descriptions: Mapping[str, str], group_name: str, kinds: set[str], code_version: str, deps: list[str]
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Declare a function as the step that makes several tables at once, given with what they hold.

    Any of them may be selected; all are made and stored, since what one says is what the others hold.
    """
    return dg.multi_asset(
        outs={
            name: dg.AssetOut.from_spec(
                dg.AssetSpec(
                    name,
                    description=description,
                    group_name=group_name,
                    kinds=kinds,
                    owners=OWNERS,
                    code_version=code_version,
                    automation_condition=follow_changes(),
                ),
                io_manager_key="warehouse_io",
                is_required=False,
            )
            for name, description in descriptions.items()
        },
        deps=deps,
        partitions_def=PLATES,
        can_subset=True,
        backfill_policy=HEAVY_BATCH,
    )
