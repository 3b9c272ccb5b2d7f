"""What only makes sense over all plates of a dataset: feature selection, consensus and the dataset's report."""

from functools import partial

import dagster as dg

from bioimage_assets.assets.publish import PlateTable, build_plates, publish_plates, record_each
from bioimage_assets.assets.sources import OWNERS
from bioimage_assets.partitions import DATASETS
from bioimage_assets.resources.project import ProjectResource

DATASET_CODE_VERSION = "1"
_dataset_step = partial(
    dg.asset,
    partitions_def=DATASETS,
    owners=OWNERS,
    code_version=DATASET_CODE_VERSION,
    backfill_policy=dg.BackfillPolicy.single_run(),
)


@_dataset_step(
    deps=[dg.AssetDep("pycytominer_profiles", partition_mapping=dg.AllPartitionMapping())],
    io_manager_key="warehouse_io",
    group_name="datasets",
    kinds={"parquet", "pycytominer"},
)
def pycytominer_selected_features(context: dg.AssetExecutionContext, project: ProjectResource):
    """The wells of all plates with the features that carry information over the whole dataset.

    Selected across plates on purpose: plates selected one by one would end with different columns.
    """
    from bioimage_assets.assets.rollups import build_selection

    def build(dataset: str) -> dict[str, PlateTable]:
        return {"pycytominer_selected_features": build_selection(project, dataset)}

    made = build_plates(context, ["pycytominer_selected_features"], build)
    yield from publish_plates(context, project, made)


@_dataset_step(
    deps=["pycytominer_selected_features"],
    io_manager_key="warehouse_io",
    group_name="datasets",
    kinds={"parquet", "pycytominer"},
)
def pycytominer_consensus(context: dg.AssetExecutionContext, project: ProjectResource):
    """One profile per treatment of the dataset, with how well its replicates agree."""
    from bioimage_assets.assets.rollups import build_treatments

    def build(dataset: str) -> dict[str, PlateTable]:
        return {"pycytominer_consensus": build_treatments(project, dataset)}

    made = build_plates(context, ["pycytominer_consensus"], build)
    yield from publish_plates(context, project, made)


@_dataset_step(deps=["pycytominer_consensus"], group_name="reports", kinds={"html", "matplotlib"})
def dataset_report(context: dg.AssetExecutionContext, project: ProjectResource) -> None:
    """One page about the whole dataset: plates side by side, replicates, doses and treatments."""
    from bioimage_assets.assets.pages import write_dataset_page

    record_each(
        context, "dataset_report", lambda dataset: write_dataset_page(project, dataset, context.run_id)
    )
