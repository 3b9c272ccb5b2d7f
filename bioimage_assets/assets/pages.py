"""Pages about plates and datasets: stored tables in, one HTML file and its pictures beside the warehouse out."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import dagster as dg

from bioimage_assets.assets.rollups import read_selected, read_wells
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.pictures.crops import StoreCropReader
from bioimage_assets.core.pictures.dataset_report import DatasetTables, build_dataset_report
from bioimage_assets.core.pictures.drawing import NOT_DRAWN, try_to_make
from bioimage_assets.core.pictures.html import Report
from bioimage_assets.core.pictures.plate_report import build_plate_report
from bioimage_assets.core.pictures.plate_tables import PlateTables
from bioimage_assets.core.pictures.style import PICTURE_NAMES, build_thumbnail
from bioimage_assets.core.pictures.well_numbers import sum_per_well
from bioimage_assets.core.profiling.features import drop_empty_features
from bioimage_assets.core.profiling.pycytominer import OBJECT_COUNT
from bioimage_assets.core.storage import step_findings
from bioimage_assets.core.storage.pages import locate_page
from bioimage_assets.core.storage.plate_table import Page, PlateTable
from bioimage_assets.core.storage.step_inputs import StepInputs
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS
from bioimage_assets.metadata import build_findings_markdown, build_picture_markdown, build_plate_tile

INLINE_PICTURES = 3


def build_plate_page(inputs: StepInputs) -> PlateTable:
    """The page of one plate from its stored tables, with its first pictures in the metadata.

    Pictures that could not be drawn are findings, forgotten by a page that has them.
    """
    images = inputs.find("image_assets")
    images = IMAGE_ASSETS.empty_table() if images is None else images
    wells = inputs.find("pycytominer_profiles")
    tables = PlateTables(
        plate_key=inputs.partition,
        settings=inputs.settings,
        joined=inputs.find_cells("joined_profiles"),
        qc=inputs.find("cosmicqc_profiles"),
        wells=None if wells is None else drop_empty_features([wells])[0],
        image_assets=images,
        completeness=inputs.find("plate_completeness"),
        join_report=inputs.find("join_report"),
        findings=read_plate_findings(inputs.tables, inputs.partition),
        read_crop=StoreCropReader(images, inputs.storage_options),
        is_imageless=inputs.source.is_imageless and not images.num_rows,
    )
    page = _build_page(inputs, build_plate_report(tables))
    if tables.wells is not None:
        cells = sum_per_well(tables.wells, OBJECT_COUNT)
        page.metadata = {**page.metadata, "cells_per_well": build_plate_tile(cells, "profiled cells")}
    return page


def build_dataset_page(inputs: StepInputs) -> PlateTable:
    """The page of one dataset from its stored tables, with its first pictures in the metadata."""
    tables = DatasetTables(
        dataset_id=inputs.partition,
        settings=inputs.settings,
        wells=tuple(read_wells(inputs.tables, inputs.sources)),
        selected=read_selected(inputs),
        consensus=inputs.find("pycytominer_consensus"),
        findings=read_dataset_findings(inputs.tables, inputs.partition, inputs.sources),
    )
    return _build_page(inputs, build_dataset_report(tables))


def read_plate_findings(tables: ProjectTables, plate_key: str) -> tuple[Finding, ...]:
    """Findings of a plate's last scan, where there was one, and of all steps after it."""
    rows = tables.find("scan_findings", plate_key)
    scanned = tuple(
        Finding(row["code"], row["severity"], row["location"] or "", row["message"], row["store_uri"])
        for row in ([] if rows is None else rows.to_pylist())
    )
    return scanned + _read_step_findings(tables, plate_key)


def _read_step_findings(tables: ProjectTables, partition: str) -> tuple[Finding, ...]:
    """What the steps before the page found: the page itself says anew what it cannot draw."""
    found = step_findings.read_findings(tables.warehouse, partition)
    return tuple(finding for finding in found if finding.code != NOT_DRAWN)


def read_dataset_findings(
    tables: ProjectTables, dataset: str, sources: Sequence[PlateSource]
) -> tuple[Finding, ...]:
    """Findings of the steps over all plates, then those of each plate, which is named in them."""
    of_plates = (
        replace(finding, message=f"Plate {source.plate_name}: {finding.message}")
        for source in sources
        for finding in read_plate_findings(tables, source.plate_key)
    )
    return (*_read_step_findings(tables, dataset), *of_plates)


def _build_page(inputs: StepInputs, report: Report) -> PlateTable:
    page = Page(report.html, {picture.name: picture.png for picture in report.pictures}, PICTURE_NAMES)
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
    for picture in report.pictures[:INLINE_PICTURES]:
        thumbnail = try_to_make(picture.title, partial(build_thumbnail, picture.png))
        if isinstance(thumbnail, bytes):  # the page and its folder have the picture itself
            metadata[picture.name] = build_picture_markdown(thumbnail, picture.title)
    return metadata
