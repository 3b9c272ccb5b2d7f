"""Checks of the stores themselves."""

import dagster as dg

from bioimage_assets.checks.verdict import Verdict, evaluate_plates
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.partitions import PLATES, list_run_partitions
from bioimage_assets.resources.project import ProjectResource


def check_presence(project: ProjectResource, source: PlateSource | None) -> Verdict:
    """A plate that was taken is still there, with the images it had."""
    if source is None:
        return Verdict(False, "The store is gone from the watched roots; stored rows are kept.")
    if not source.store_uris:
        from bioimage_assets.assets.scanning import count_lost_images

        if lost := count_lost_images(project.tables(), source):
            return Verdict(
                False,
                f"The images are gone from the watched roots, the measurements are still there; {lost} stored image rows "
                "are kept.",
                {"measurements": list(source.measurement_uris)},
            )
        return Verdict(
            True,
            "The measurements are there; the plate has no images.",
            {"measurements": list(source.measurement_uris)},
        )
    return Verdict(True, "The store is there.", {"stores": list(source.store_uris)})


@dg.asset_check(asset="image_stores", partitions_def=PLATES)
def store_is_present(context: dg.AssetCheckExecutionContext, project: ProjectResource) -> dg.AssetCheckResult:
    """The plate's store is in a watched root. The sensor reports it when a store goes or comes back."""
    sources = project.plate_sources(list_run_partitions(context))
    return evaluate_plates(context, lambda key: check_presence(project, sources.get(key)))


STORE_CHECKS = [store_is_present]
