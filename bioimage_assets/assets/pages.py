"""Pages about plates and datasets: stored tables in, one HTML file and its pictures beside the warehouse out."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from urllib.parse import quote

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.assets.rollups import find_selected
from bioimage_assets.core.browse_link import build_browse_url
from bioimage_assets.core.engines.open_engine import open_project_engine
from bioimage_assets.core.engines.plan import Rows
from bioimage_assets.core.findings import Finding, group_findings
from bioimage_assets.core.hits.top_features import COLUMNS as FEATURE_COLUMNS
from bioimage_assets.core.hits.top_features import find_strongest, read_features_of
from bioimage_assets.core.image_quality.drift import COLUMNS as DRIFT_COLUMNS
from bioimage_assets.core.image_quality.drift import PlateLevel, build_drift_board
from bioimage_assets.core.model.identity import dimension_of
from bioimage_assets.core.model.table_specs import STEPS
from bioimage_assets.core.page_html import Link
from bioimage_assets.core.pictures.crops import StoreCropReader
from bioimage_assets.core.pictures.dataset_report import DatasetTables, build_dataset_report
from bioimage_assets.core.pictures.drawing import NOT_DRAWN, try_to_make
from bioimage_assets.core.pictures.hit_tables import STRONGEST
from bioimage_assets.core.pictures.made_of import build_made_of
from bioimage_assets.core.pictures.page_parts import PageFrame, Report
from bioimage_assets.core.pictures.plate_report import build_plate_report
from bioimage_assets.core.pictures.plate_tables import PlateTables
from bioimage_assets.core.pictures.style import PICTURE_NAMES, build_thumbnail, pictures_wanted
from bioimage_assets.core.pictures.thumbnail_reader import StoreThumbnailReader
from bioimage_assets.core.pictures.well_numbers import sum_per_well
from bioimage_assets.core.profiling.batches import find_plate_batches
from bioimage_assets.core.profiling.dataset_wells import find_plates
from bioimage_assets.core.profiling.features import drop_empty_features, list_profile_features
from bioimage_assets.core.profiling.result_columns import NORMALIZED_TO, OBJECT_COUNT
from bioimage_assets.core.storage.library_versions import read_library_versions
from bioimage_assets.core.storage.pages import link_index, link_page, locate_page, locate_pictures
from bioimage_assets.core.storage.plate_table import Page, PageSummary, PlateTable
from bioimage_assets.core.storage.standing_findings import read_each_finding
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS
from bioimage_assets.metadata import (
    build_browse_metadata,
    build_findings_markdown,
    build_picture_markdown,
    build_plate_tile,
)

# In run metadata, in this order; each is stored with every event.
_INLINE = ("plate_overview", "qc_histograms", "qc_montage", "plates_count", "plates_fraction", "well_pca")
INLINE_PICTURES = 3
# More links in the head of a dataset's page are no help; the index has them all.
_LINKED_PLATES = 24


def build_plate_page(inputs: StepInputs) -> PlateTable:
    """The page of one plate from its stored tables, with its first pictures in the metadata.

    Pictures that could not be drawn are findings, forgotten by a page that has them.
    """
    images = inputs.find("image_assets")
    images = IMAGE_ASSETS.empty_table() if images is None else images
    joined, wells = inputs.find_cells("joined_profiles"), inputs.find("pycytominer_profiles")
    tables = PlateTables(
        plate_key=inputs.partition,
        settings=inputs.settings,
        joined=joined,
        qc=inputs.find("cosmicqc_profiles"),
        wells=None if wells is None else drop_empty_features([wells])[0],
        image_assets=images,
        completeness=inputs.find("plate_completeness"),
        join_report=inputs.find("join_report"),
        findings=read_findings(inputs.tables, [inputs.partition])[inputs.partition],
        read_crop=StoreCropReader(images, inputs.storage_options),
        read_thumbnails=StoreThumbnailReader(inputs.storage_options),
        is_imageless=inputs.source.is_imageless and not images.num_rows,
        is_unmeasured=joined is None and not inputs.source.measurement_uris,
        browse_url=inputs.project.browse_url,
        image_quality=inputs.find("image_quality"),
    )
    dataset = Link(f"Dataset {inputs.source.dataset_name}", link_page(inputs.partition, inputs.dataset_id))
    has_join = tables.join_report is not None
    with pictures_wanted(inputs.settings.pictures is not False):
        report = build_plate_report(tables, frame_page(inputs, "plate_report", [dataset]))
    page = make_page(
        inputs,
        report,
        tables.measured_count if has_join else None,
        tables.count_outcome("matched") if has_join and not tables.is_imageless else None,
    )
    pixels = build_browse_metadata(inputs.project.browse_url, inputs.partition)
    page.metadata = {**page.metadata, **pixels}
    if tables.wells is not None:
        cells = sum_per_well(tables.wells, OBJECT_COUNT)
        page.metadata = {**page.metadata, "cells_per_well": build_plate_tile(cells, "profiled cells")}
    return page


def build_dataset_page(inputs: StepInputs) -> PlateTable:
    """The page of one dataset from its stored tables, with its first pictures in the metadata."""
    plates = [source.plate_key for source in inputs.sources]
    found = read_findings(inputs.tables, [inputs.partition, *plates])
    wells, hits = read_well_counts(inputs), inputs.find("hits")
    tables = DatasetTables(
        dataset_id=inputs.partition,
        settings=inputs.settings,
        wells=wells,
        selected=find_selected(inputs),
        # The page counts its rows by reference and shows no profile of it.
        consensus=inputs.find("pycytominer_consensus", ["dataset_id", NORMALIZED_TO]),
        hits=hits,
        pair_correlations=inputs.find("pair_correlations"),
        dose_responses=inputs.find("dose_responses"),
        hit_features=read_strongest_features(inputs, hits),
        findings=found[inputs.partition],
        of_plates=tuple(group for key in plates for group in group_findings(key, found[key])),
        correction_scores=inputs.find("correction_scores"),
        quality=read_quality_levels(inputs, wells),
    )
    links = [
        Link(source.plate_name, link_page(inputs.partition, source.plate_key))
        for source in inputs.sources[:_LINKED_PLATES]
    ]
    with pictures_wanted(inputs.settings.pictures is not False):
        report = build_dataset_report(tables, frame_page(inputs, "dataset_report", links))
    page = make_page(inputs, report)
    of_plates = [Finding(g.code, g.severity, g.partition, g.message) for g in tables.of_plates]
    everything = build_findings_markdown([*tables.findings, *of_plates])
    page.metadata = {**page.metadata, "findings": everything}
    return page


def read_strongest_features(inputs: StepInputs, hits: pa.Table | None) -> pa.Table | None:
    """Rows of ``hit_features`` of the treatments that the page shows: the whole table may be millions of rows."""
    if hits is None or not inputs.tables.count("hit_features", inputs.partition):
        return None
    with inputs.stream("hit_features", FEATURE_COLUMNS) as batches:
        return read_features_of(batches, find_strongest(hits, STRONGEST))


def read_well_counts(inputs: StepInputs) -> tuple[pa.Table, ...]:
    """What is known of the wells of each plate besides their profiles: a page shows no feature of a single plate."""
    plates = find_plates(inputs.tables, inputs.sources)
    if plates is None:
        return ()
    features = set(list_profile_features(plates.schema))
    names = [name for name in plates.schema.names if name not in features]
    wells = open_project_engine(inputs.project).collect(Rows(plates), names)
    keys = wells[plates.partition_column]
    return tuple(wells.filter(pc.equal(keys, source.plate_key)) for source in inputs.sources)


def read_quality_levels(inputs: StepInputs, wells: Sequence[pa.Table]) -> tuple[PlateLevel, ...]:
    """Image quality of each plate beside the others of its batch, plate by plate: rows of fields, not of cells."""
    stored = [
        inputs.tables.find("image_quality", source.plate_key, list(DRIFT_COLUMNS))
        for source in inputs.sources
    ]
    plates = [table for table in stored if table is not None and table.num_rows]
    batches = find_plate_batches(
        [source.plate_key for source in inputs.sources],
        [table for table in wells if table.num_rows],
        inputs.settings,
    )
    return build_drift_board(plates, batches, inputs.settings.image_drift_limit)


def frame_page(inputs: StepInputs, page: str, links: Sequence[Link]) -> PageFrame:
    """What surrounds the page: links to others and to its own pictures, and what it was made of."""
    pictures = locate_pictures(locate_page(inputs.project.reports_dir, inputs.partition)).name
    step = next(step for step in STEPS if page in step.names)
    versions = read_library_versions(inputs.tables, step.inputs, inputs.partition)
    return PageFrame(
        links=(Link("All pages", link_index(inputs.partition)), *_link_pixels(inputs), *links),
        pictures_path=quote(pictures),
        made_of=build_made_of(step, inputs.sources, inputs.settings, versions),
    )


def _link_pixels(inputs: StepInputs) -> Sequence[Link]:
    """Where `bioimage-assets browse` shows the plate, or all plates."""
    dimension = dimension_of(inputs.partition)
    if dimension == "campaign":
        return ()
    plate = inputs.partition if dimension == "plate" else None
    return (
        Link("See the pixels (bioimage-assets browse)", build_browse_url(inputs.project.browse_url, plate)),
    )


def read_findings(tables: ProjectTables, partitions: Sequence[str]) -> dict[str, tuple[Finding, ...]]:
    """What stands found about plates and datasets, but for pictures: the page itself says anew what it cannot draw."""
    found = read_each_finding(tables, partitions)
    return {key: tuple(f for f in found[key] if f.code != NOT_DRAWN) for key in partitions}


def make_page(
    inputs: StepInputs, report: Report, cells: int | None = None, linked: int | None = None
) -> PlateTable:
    groups = group_findings(inputs.partition, report.findings)
    counts = Counter(group.severity for group in groups)
    summary = PageSummary(cells, linked, counts["error"], counts["warning"], groups[0].code if groups else "")
    pictures = {picture.name: picture.png for picture in report.pictures}
    page = Page(report.html, pictures, PICTURE_NAMES, summary)
    found = [finding for finding in report.findings if finding.code == NOT_DRAWN]
    return PlateTable(page, _page_metadata(inputs, report), findings=found)


def _page_metadata(inputs: StepInputs, report: Report) -> dict[str, object]:
    page = locate_page(inputs.project.reports_dir, inputs.partition)
    metadata: dict[str, object] = {
        "page": dg.MetadataValue.path(str(page.absolute())),
        "pictures": len(report.pictures),
        "findings": build_findings_markdown(report.findings),
    }
    if report.not_drawn:
        metadata["pictures_not_drawn"] = len(report.not_drawn)
    chosen = [picture for picture in map(report.picture, _INLINE) if picture is not None]
    for picture in chosen[:INLINE_PICTURES]:
        thumbnail = try_to_make(picture.title, partial(build_thumbnail, picture.png))
        if isinstance(thumbnail, bytes):  # the page and its folder have the picture itself
            metadata[picture.name] = build_picture_markdown(thumbnail, picture.title)
    return metadata
