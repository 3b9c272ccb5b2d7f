"""The page of a campaign: stored tables in, one HTML file beside the warehouse out."""

from bioimage_assets.assets.pages import frame_page, make_page, read_findings
from bioimage_assets.core.engines.aggregates import aggregate
from bioimage_assets.core.engines.open_engine import open_project_engine
from bioimage_assets.core.engines.plan import Measure, Rows
from bioimage_assets.core.findings import group_findings
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.model.left_out import list_buildable
from bioimage_assets.core.page_html import Link
from bioimage_assets.core.pictures.campaign_report import CampaignTables, PlateCount, build_campaign_report
from bioimage_assets.core.profiling.dataset_wells import WELLS, find_plates
from bioimage_assets.core.profiling.result_columns import FAILED_COUNT, OBJECT_COUNT
from bioimage_assets.core.storage.fingerprints import is_current
from bioimage_assets.core.storage.pages import link_page
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.state import look_at_stored
from bioimage_assets.core.storage.step_inputs import StepInputs


def build_campaign_page(inputs: StepInputs) -> PlateTable:
    """The page of one campaign from its stored tables and counts of its plates."""
    campaign = inputs.campaign
    plates = [source.plate_key for source in inputs.sources]
    found = read_findings(inputs.tables, [inputs.partition, *plates])
    consensus = inputs.find("campaign_consensus", ["campaign_id"])
    tables = CampaignTables(
        campaign=campaign,
        plates=tuple(plates),
        counts=_count_plates(inputs),
        outdated=_find_outdated(inputs),
        features=inputs.find("campaign_features"),
        consensus_count=None if consensus is None else consensus.num_rows,
        replicates=inputs.find("campaign_replicates"),
        hits=inputs.find("campaign_hits"),
        findings=found[inputs.partition],
        of_plates=tuple(
            group for key in plates for group in group_findings(key, found[key]) if group.severity == "error"
        ),
    )
    links = [Link(f"Dataset {name}", link_page(inputs.partition, name)) for name in campaign.datasets]
    return make_page(inputs, build_campaign_report(tables, frame_page(inputs, "campaign_report", links)))


def _count_plates(inputs: StepInputs) -> tuple[PlateCount, ...]:
    source = find_plates(inputs.tables, inputs.sources)
    if source is None:
        return ()
    engine = open_project_engine(inputs.project)
    there = [name for name in (OBJECT_COUNT, FAILED_COUNT) if name in source.schema.names]
    measures = [Measure("rows", name="rows"), *(Measure("sum", name, name) for name in there)]
    rows = aggregate(engine, Rows(source), ["plate_key"], measures).to_pylist()
    return tuple(
        PlateCount(
            row["plate_key"], row["rows"], int(row.get(OBJECT_COUNT) or 0), int(row.get(FAILED_COUNT) or 0)
        )
        for row in rows
    )


def _find_outdated(inputs: StepInputs) -> frozenset[str]:
    """Plates that a run would build again now; of a dataset whose settings are not known, none."""
    settings, state = inputs.campaign.of_datasets, look_at_stored(inputs.tables)
    return frozenset(
        source.plate_key
        for source in inputs.sources
        if (own := settings.get(dataset_of(source.plate_key))) is not None
        and state.is_stored(WELLS, source.plate_key)
        and not is_current(state, list_buildable("plate"), source.plate_key, [source], own)
    )
