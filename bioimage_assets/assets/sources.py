"""Where everything starts: the stores on disk or in a bucket, and their registration as partitions."""

import dagster as dg

from bioimage_assets.partitions import PLATES, register_campaigns, register_plates
from bioimage_assets.resources.project import ProjectResource

OWNERS = ["team:image-based-profiling"]

image_stores = dg.AssetSpec(
    "image_stores",
    description="The plates as they lie in the watched folders: images, measurements, or both.\n\n"
    "OME-Zarr stores, TIFF folders or LoadData tables with their measurements, or measurements alone.",
    group_name="sources",
    kinds={"zarr", "ometiff"},
    owners=OWNERS,
    partitions_def=PLATES,
)


@dg.asset(group_name="sources", kinds={"python"}, owners=OWNERS)
def plate_registry(context: dg.AssetExecutionContext, project: ProjectResource) -> dg.MaterializeResult[None]:
    """All plates and campaigns in the watched folders become partitions, to be materialised by name.

    Headless runs need it once before they name a new plate; sensors register plates themselves.
    Idempotent; never removes a partition.
    """
    from bioimage_assets.metadata import build_findings_markdown

    sources, findings = project.discover()
    new = register_plates(context.instance, [source.plate_key for source in sources])
    campaigns = project.campaigns()
    register_campaigns(context.instance, campaigns.campaigns)
    return dg.MaterializeResult(
        metadata={
            "plates": len(sources),
            "new_plates": len(new),
            "roots": list(project.settings.incoming_uris),
            "campaigns": len(campaigns.campaigns),
            "findings": build_findings_markdown([*findings, *campaigns.findings]),
        }
    )
