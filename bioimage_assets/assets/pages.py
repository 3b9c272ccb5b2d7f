"""Pages about plates and datasets: stored tables in, one HTML file and its pictures beside the warehouse out."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from bioimage_assets.assets.findings import read_step_findings, store_findings
from bioimage_assets.assets.freshness import page_mark
from bioimage_assets.assets.placed import find_cells, find_rows
from bioimage_assets.assets.rollups import dataset_sources, read_selected, read_wells
from bioimage_assets.assets.scanning import require_source
from bioimage_assets.assets.versions import dataset_fingerprint, plate_fingerprint
from bioimage_assets.core.errors import BioimageError
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
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS
from bioimage_assets.metadata import build_findings_markdown, build_picture_markdown, build_plate_tile
from bioimage_assets.resources.project import ProjectResource

INLINE_PICTURES = 3


def write_plate_page(
    project: ProjectResource, plate_key: str, source: PlateSource | None, run_id: str = ""
) -> dict[str, Any]:
    """Write the page of one plate from its stored tables; gives metadata with its pictures inline.

    Pictures that could not be drawn are stored with the plate's findings, and forgotten by a page that has them.
    """
    source = require_source(plate_key, source)
    settings = project.dataset_settings(source.dataset_uri)
    images = find_rows(project, "image_assets", plate_key)
    images = IMAGE_ASSETS.empty_table() if images is None else images
    wells = find_rows(project, "pycytominer_profiles", plate_key)
    tables = PlateTables(
        plate_key=plate_key,
        settings=settings,
        joined=find_cells(project, "joined_profiles", plate_key),
        qc=find_rows(project, "cosmicqc_profiles", plate_key),
        wells=None if wells is None else drop_empty_features([wells])[0],
        image_assets=images,
        completeness=find_rows(project, "plate_completeness", plate_key),
        join_report=find_rows(project, "join_report", plate_key),
        findings=read_findings(project, plate_key),
        read_crop=StoreCropReader(images, project.settings.storage_options),
        is_imageless=source.is_imageless and not images.num_rows,
    )
    report = build_plate_report(tables)
    mark = page_mark(plate_fingerprint(source, "plate_report"))
    page = _write_report(report, project.settings.reports_dir / "plates" / plate_key, mark)
    _store_not_drawn(project, plate_key, "plate_report", report, run_id)
    metadata = _page_metadata(report, page)
    if tables.wells is not None:
        cells = sum_per_well(tables.wells, OBJECT_COUNT)
        metadata["cells_per_well"] = build_plate_tile(cells, "profiled cells")
    return metadata


def write_dataset_page(project: ProjectResource, dataset: str, run_id: str = "") -> dict[str, Any]:
    """Write the page of one dataset from its stored tables; gives metadata with its pictures inline."""
    sources = dataset_sources(project, dataset)
    tables = DatasetTables(
        dataset_id=dataset,
        settings=project.dataset_settings(sources[0].dataset_uri),
        wells=tuple(read_wells(project, sources)),
        selected=read_selected(project, dataset),
        consensus=find_rows(project, "pycytominer_consensus", dataset),
        findings=read_dataset_findings(project, dataset, sources),
    )
    report = build_dataset_report(tables)
    mark = page_mark(dataset_fingerprint(project.warehouse(), sources, "dataset_report"))
    page = _write_report(report, project.settings.reports_dir / "datasets" / dataset, mark)
    _store_not_drawn(project, dataset, "dataset_report", report, run_id)
    return _page_metadata(report, page)


def read_findings(project: ProjectResource, plate_key: str) -> tuple[Finding, ...]:
    """Findings of a plate's last scan, where there was one, and of all steps after it."""
    rows = find_rows(project, "scan_findings", plate_key)
    scanned = tuple(
        Finding(row["code"], row["severity"], row["location"] or "", row["message"], row["store_uri"])
        for row in ([] if rows is None else rows.to_pylist())
    )
    return scanned + _read_step_findings(project, plate_key)


def _read_step_findings(project: ProjectResource, partition: str) -> tuple[Finding, ...]:
    """What the steps before the page found: the page itself says anew what it cannot draw."""
    return tuple(f for f in read_step_findings(project, partition) if f.code != NOT_DRAWN)


def _store_not_drawn(
    project: ProjectResource, partition: str, step: str, report: Report, run_id: str
) -> None:
    found = [finding for finding in report.findings if finding.code == NOT_DRAWN]
    store_findings(project, partition, step, found, run_id)


def read_dataset_findings(
    project: ProjectResource, dataset: str, sources: Sequence[PlateSource]
) -> tuple[Finding, ...]:
    """Findings of the steps over all plates, then those of each plate, which is named in them."""
    of_plates = (
        replace(finding, message=f"Plate {source.plate_name}: {finding.message}")
        for source in sources
        for finding in read_findings(project, source.plate_key)
    )
    return (*_read_step_findings(project, dataset), *of_plates)


def _write_report(report: Report, stem: Path, mark: str) -> Path:
    """Write page and pictures by rename, pictures first: a page never points at half a file.

    Pictures of an older page that this one could not draw are removed: they would be taken for those of this plate now.
    """
    folder = stem.parent / f"{stem.name}_pictures"
    page = stem.parent / f"{stem.name}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for picture in report.pictures:
            _write_file(folder / f"{picture.name}.png", picture.png)
        _write_file(page, (report.html + mark).encode("utf-8", "replace"))
        for name in PICTURE_NAMES - {picture.name for picture in report.pictures}:
            (folder / f"{name}.png").unlink(missing_ok=True)
    except OSError as error:  # a full disk, a folder that may not be written
        raise BioimageError(
            f"The page {page} cannot be written: {error.strerror or error}. Free space there, or name another folder of "
            "pages in BIOIMAGE_REPORTS, and run again; the tables are stored."
        ) from error
    return page


def _write_file(path: Path, payload: bytes) -> None:
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        staged.write_bytes(payload)
        os.replace(staged, path)
    except OSError:
        with suppress(OSError):
            staged.unlink()
        raise


def _page_metadata(report: Report, page: Path) -> dict[str, Any]:
    metadata: dict[str, Any] = {
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
