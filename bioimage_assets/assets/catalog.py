"""The scan: a plate's stores become image, chunk, layout and finding rows in the Iceberg catalog."""

import dagster as dg

from bioimage_assets.assets.publish import PlateTable, run_plates
from bioimage_assets.assets.sources import OWNERS
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.settings.project import CATALOG_TABLES
from bioimage_assets.partitions import PLATES
from bioimage_assets.resources.project import ProjectResource

SCAN_CODE_VERSION = "1"


def _spec(name: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        description=description,
        group_name="catalog",
        kinds={"iceberg", "python"},
        owners=OWNERS,
        code_version=SCAN_CODE_VERSION,
        metadata={"dagster/storage_kind": "iceberg"},
    )


@dg.multi_asset(
    name="scan_plates",
    outs={
        name: dg.AssetOut.from_spec(_spec(name, description), io_manager_key="iceberg_io", is_required=False)
        for name, description in (
            (
                "image_assets",
                "Every field of view of the plate, with its place, size, channels, levels and pixel size.",
            ),
            (
                "chunk_index",
                "Every stored chunk, shard, tile and strip of the plate, with its size and offset.",
            ),
            ("plate_layout", "The wells and fields that the plate's own metadata promises."),
            ("scan_findings", "What is odd, missing or repaired in the plate's stores."),
        )
    },
    deps=["image_stores"],
    partitions_def=PLATES,
    can_subset=True,
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool="iceberg_commit",
)
def scan_plates(context: dg.AssetExecutionContext, project: ProjectResource):
    """Scan the plate's stores once and catalogue what was found; pixel data are never read.

    A store that cannot be read is a row of ``scan_findings`` and fails no plate; a plate whose store
    changed while it was scanned, or is gone, fails and keeps the rows it had.
    """
    selected = [name for name in CATALOG_TABLES if name in context.selected_output_names]
    from bioimage_assets.assets.scanning import scan_plate_tables
    from bioimage_assets.core.scratch import open_scratch

    with open_scratch() as scratch:

        def build(plate_key: str, source: PlateSource | None) -> dict[str, PlateTable]:
            return scan_plate_tables(project, plate_key, source, selected, scratch)

        yield from run_plates(context, project, selected, build)
