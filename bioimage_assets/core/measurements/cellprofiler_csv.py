"""Reads CellProfiler's CSVs (ExportToSpreadsheet): a folder per plate or per site, or one combined file.

https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-4.2.6/modules/fileprocessing.html#exporttospreadsheet
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import canonical_compartment, describe_column
from bioimage_assets.core.measurements.csv_staging import CsvFile, StagedTable, read_header, stage_csv_files
from bioimage_assets.core.measurements.cytotable_engine import stage_cytotable_outputs
from bioimage_assets.core.measurements.duckdb_engine import open_engine
from bioimage_assets.core.measurements.folders import walk_folders
from bioimage_assets.core.measurements.image_table import (
    build_image_table,
    read_image_csvs,
)
from bioimage_assets.core.measurements.model import PlateContext, PlateMeasurements
from bioimage_assets.core.measurements.object_reader import ObjectSources, read_objects
from bioimage_assets.core.measurements.wide_objects import (
    WIDE_NAME,
    check_wide_parents,
    describe_combined_column,
)
from bioimage_assets.core.model.compartments import (
    CELLPROFILER_TABLES,
    COMPARTMENTS,
    IMAGE_TABLE,
    NO_OBJECT_TABLES,
    OBJECT_TABLES,
)
from bioimage_assets.core.model.file_kinds import COMMA_SUFFIXES, has_suffix, without_suffix


@dataclass(frozen=True, slots=True)
class CellProfilerFolder:
    """One folder of CellProfiler CSVs: its name below the source, object tables by compartment, image table.

    A combined table of several objects is called ``Object``.
    """

    name: str
    path: str
    objects: tuple[tuple[str, str], ...]
    image_csv: str | None


def find_folders(source: Path) -> tuple[CellProfilerFolder, ...]:
    """CellProfiler folders at or below ``source``, in the order of their paths; none where there are no object CSVs."""
    found = []
    for folder, files in walk_folders(source):
        name = folder.relative_to(source).as_posix()
        objects, image_csv = _list_tables(files)
        if objects or image_csv:
            found.append(
                CellProfilerFolder(source.name if name == "." else name, str(folder), objects, image_csv)
            )
    return tuple(found)


def find_combined_file(path: Path) -> tuple[CellProfilerFolder, ...]:
    """A combined object CSV without further files, as a folder of its own; nothing where the file is none."""
    header, _ = read_header(0, str(path))
    if header is None or not header.objects:
        return ()
    return (CellProfilerFolder(path.name.split(".")[0], str(path), ((WIDE_NAME, str(path)),), None),)


def find_tables(name: str, folder: Path, files: Sequence[Path]) -> CellProfilerFolder | None:
    """The given files of a folder as CellProfiler's, None where their names do not say so."""
    if not any(
        path.name.lower().partition(".")[0].rpartition("_")[2] in CELLPROFILER_TABLES for path in files
    ):
        return None
    objects, image_csv = _list_tables(files)
    if image_csv is None and len(files) == 1 and not _has_image_number(files[0]):
        return None  # a flat table that is only called like one of CellProfiler's
    is_plain = any(path.name.lower().partition(".")[0] in CELLPROFILER_TABLES for path in files)
    return CellProfilerFolder(name, str(folder), objects, image_csv) if image_csv or is_plain else None


def _has_image_number(path: Path) -> bool:
    header, _ = read_header(0, str(path))
    return header is not None and "imagenumber" in (name.strip().lower() for name in header.names)


def _list_tables(files: Sequence[Path]) -> tuple[tuple[tuple[str, str], ...], str | None]:
    csvs = [path for path in files if has_suffix(path.name, COMMA_SUFFIXES)]
    stems = {path: without_suffix(path.name, COMMA_SUFFIXES) for path in csvs}
    image = next((path for path in csvs if stems[path].lower() == IMAGE_TABLE), None)
    image = image or next((path for path in csvs if has_suffix(stems[path], f"_{IMAGE_TABLE}")), None)
    prefix = stems[image][: -len(IMAGE_TABLE)] if image else ""
    objects: list[tuple[str, str]] = []
    combined: list[tuple[str, str]] = []
    for path in csvs:
        compartment = stems[path].removeprefix(prefix)
        if not image and "_" in compartment:
            compartment = compartment.rsplit("_", 1)[-1]
        if path == image or compartment.lower() in NO_OBJECT_TABLES:
            continue
        header, _ = read_header(0, str(path))
        if header is not None and header.objects:
            combined.append((WIDE_NAME, str(path)))
        elif _is_object_table(header, compartment):
            objects.append((canonical_compartment(compartment), str(path)))
    has_own = any(name in COMPARTMENTS for name, _ in objects)  # of which the combined table is a repetition
    return tuple(objects if has_own else [*combined, *objects]), str(image) if image else None


def _is_object_table(header: CsvFile | None, compartment: str) -> bool:
    """Whether a CSV holds the objects of one compartment; a table that is joined already is none."""
    names = [name.lower() for name in header.names] if header else []
    others = tuple(f"{name.lower()}_" for name in COMPARTMENTS if name.lower() != compartment.lower())
    if any(name.startswith(others) for name in names):
        return False
    return "imagenumber" in names or compartment.lower() in OBJECT_TABLES


def read_cellprofiler_folders(
    folders: Sequence[CellProfilerFolder], context: PlateContext
) -> PlateMeasurements:
    """Read the CSV folders of one plate; several folders may repeat ImageNumbers, they are kept apart.

    Each CSV is read once and staged as Parquet in the context's staging folder; the join then holds one
    window of images at a time.
    """
    connection = open_engine(context)
    findings = _check_folders(folders)
    if not any(folder.objects for folder in folders):
        raise MeasurementError(
            f"{context.plate_key}: {folders[0].path} has an image table ({folders[0].image_csv}) but no object tables. Expected CSVs "
            "with ImageNumber and ObjectNumber, such as Cells.csv, beside it; export the objects, too."
        )
    tables, wanted, odd = _stage_tables(connection, folders, context)
    findings += odd
    units = [folder.name for folder in folders]
    images = None
    image_files = [(u, folder.image_csv) for u, folder in enumerate(folders) if folder.image_csv]
    if image_files:
        columns, odd = read_image_csvs(image_files)
        findings += odd
        if len(columns) > 1:
            images, odd = build_image_table(columns, units, context, image_files[0][1])
            findings += odd
    read_files = tuple(
        path for folder in folders for path in (folder.image_csv, *(p for _, p in folder.objects)) if path
    )
    sources = ObjectSources(tuple(tables), images, tuple(units), read_files, "cellprofiler-csv", wanted)
    return read_objects(connection, sources, context, findings)


def _stage_tables(
    connection: duckdb.DuckDBPyConnection, folders: Sequence[CellProfilerFolder], context: PlateContext
) -> tuple[list[StagedTable], tuple[str, ...], list[Finding]]:
    """Stage all object tables by the dataset's engine; also gives the names of those that make up a cell."""
    is_cytotable = context.settings.measurement_engine == "cytotable"
    combined = [folder for folder in folders if WIDE_NAME in dict(folder.objects)]
    if not combined:
        if is_cytotable:
            places = [(unit, folder.path) for unit, folder in enumerate(folders)]
            table = stage_cytotable_outputs(connection, places, context)
            return [table], (table.name,), []
        tables, findings = _stage_objects(connection, folders, context)
        return tables, context.settings.compartments, findings
    other = next((one for one in folders if one.objects and one not in combined), None)
    if other is not None:
        raise MeasurementError(
            f"{context.plate_key}: expected one layout of CSVs in all folders of a plate, found a combined table of two header rows "
            f"in {combined[0].path} and one table per object type in {other.path}. Export both alike, or move one away."
        )
    tables, findings = _stage_objects(connection, folders, context)
    if is_cytotable:
        text = "The engine cytotable does not know combined tables of two header rows; the built-in one read them."
        findings.append(Finding("engine-not-used", "info", combined[0].name, text, combined[0].path))
    return tables, (WIDE_NAME,), findings


def _stage_objects(
    connection: duckdb.DuckDBPyConnection, folders: Sequence[CellProfilerFolder], context: PlateContext
) -> tuple[list[StagedTable], list[Finding]]:
    """Stage the CSVs of each compartment, over all folders."""
    tables: list[StagedTable] = []
    findings: list[Finding] = []
    for compartment in dict.fromkeys(name for folder in folders for name, _ in folder.objects):
        files = [
            (u, path)
            for u, folder in enumerate(folders)
            for name, path in folder.objects
            if name == compartment
        ]
        describe = partial(describe_column, compartment)
        if compartment == WIDE_NAME:
            describe = partial(describe_combined_column, _list_combined(files))
        staged, odd = stage_csv_files(
            connection, compartment, files, describe, context.staging_dir, context.limits.max_columns
        )
        tables.append(staged)
        findings += odd
        if compartment == WIDE_NAME:
            findings += check_wide_parents(connection, staged)
    return tables, findings


def _list_combined(files: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    """Objects of all combined files."""
    headers = (read_header(unit, path)[0] for unit, path in files)
    return tuple(dict.fromkeys(name for header in headers if header for name in header.objects))


def _check_folders(folders: Sequence[CellProfilerFolder]) -> list[Finding]:
    """Findings for folders that lack a table which other folders have."""
    wanted = dict.fromkeys(name for folder in folders for name, _ in folder.objects)
    findings = []
    for folder in folders:
        lacking = [name for name in wanted if name not in dict(folder.objects)]
        if lacking:
            text = f"The folder has no {' or '.join(lacking)} table, other folders of the plate have."
            findings.append(Finding("missing-compartment", "error", folder.name, text))
        if folder.image_csv is None:
            text = "No Image.csv: the cells have no file names, plate, well or site, and no promised counts. Copy it beside the other tables."
            if WIDE_NAME in dict(folder.objects):
                text = "No Image.csv: the cells have the plate, well and site that their own table has, and no promised counts."
            findings.append(Finding("missing-image-table", "warning", folder.name, text))
    return findings
