"""What looks at a case, and what must hold of the answer; an answer is the number of findings."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.discovery.dataset_file import read_dataset_settings
from bioimage_assets.core.discovery.gallery_channels import name_channels
from bioimage_assets.core.discovery.gallery_check import check_gallery
from bioimage_assets.core.discovery.gallery_scan import ImageLists, find_list_gaps, read_lists
from bioimage_assets.core.discovery.roots import discover_roots
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.profiling.platemap import read_platemap
from bioimage_assets.core.scan.scanner import (
    PlateScan,
    scan_chunk_index,
    scan_plate_source,
    scan_store_records,
)
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.stores.key_tree import list_key_tree
from bioimage_assets.core.tables.image_assets import build_image_assets
from bioimage_assets.core.virtual.ome_metadata import OmeZarrVersion, build_group_documents
from bioimage_assets.core.virtual.plan import plan_virtual_plate
from bioimage_assets.core.virtual.write_json import build_kerchunk_json
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest

MAX_CHUNK_ROWS = 20_000
# A file of a few kilobytes holds no more rows than this, however it is written.
_MAX_ROWS = 200_000


class InconsistentError(AssertionError):
    """The answer contradicts itself or the file."""


def _expect(holds: bool, text: str) -> None:
    if not holds:
        raise InconsistentError(text)


def _check_findings(findings: Iterable[Finding]) -> int:
    """Each finding says what it is in text that a table can hold."""
    all_findings = list(findings)
    for finding in all_findings:
        _expect(bool(finding.code and finding.message), f"an empty finding: {finding!r}")
        try:
            "".join((finding.code, finding.severity, finding.location, finding.message)).encode()
        except UnicodeEncodeError as error:
            raise InconsistentError(f"no table can hold the finding {finding!r}") from error
    return len(all_findings)


def _check_table(table: pa.Table) -> None:
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        raise InconsistentError(f"the table is not valid: {error}") from error


def look_at_images(folder: Path) -> int:
    """Scan the store, file or folder as ``scan`` does."""
    items = [path for path in sorted(folder.iterdir()) if path.suffix in (".zarr", ".ozx")]
    target = items[0] if len(items) == 1 and len(list(folder.iterdir())) == 1 else folder
    scan = scan_store_records(str(target))
    images = build_image_assets(scan.images)
    _expect(images.num_rows == len(scan.images), "rows and images differ in number")
    _check_table(images)
    options = ScanOptions(max_chunk_rows=MAX_CHUNK_ROWS)
    chunks = scan_chunk_index(str(target), options=options).read_all()
    _check_table(chunks)
    _expect(chunks.num_rows <= MAX_CHUNK_ROWS, f"{chunks.num_rows} chunk rows, more than allowed")
    known = set(images["image_id"].to_pylist())
    _expect(set(chunks["image_id"].to_pylist()) <= known, "chunks of images that are not there")
    return _check_findings([*scan.findings, *_look_at_virtual_plate(images, chunks)])


def _look_at_virtual_plate(images: pa.Table, chunks: pa.Table) -> list[Finding]:
    """Every image is in the virtual plate or refused by name, and no reference leads out of its file."""
    found: list[Finding] = []
    versions: tuple[OmeZarrVersion, ...] = ("0.5", "0.4")
    for version in versions:
        plate = plan_virtual_plate(images, chunks.to_batches(), version=version)
        build_kerchunk_json(plate, build_group_documents(images, plate, version), "/plate.json", version)
        named = {image.image_id for image in plate.images} | {finding.location for finding in plate.refused}
        _expect(
            named == set(images["image_id"].to_pylist()), f"images that nothing is said of: {plate.refused}"
        )
        sizes = np.array([source.size_bytes for source in plate.sources], np.int64)
        for array in (array for image in plate.images for array in image.arrays):
            for refs in (array.refs, array.inner_refs):
                ends = None if refs is None else refs.offset + np.maximum(refs.size, 0)
                _expect(
                    refs is None or bool((ends <= sizes[refs.source]).all()), f"{array.path}: beyond its file"
                )
        found += plate.refused
    return found


def look_at_measurements(folder: Path, settings: DatasetSettings | None = None) -> int:
    """Read the cells to the end; there are no more than rows in the files."""
    sources = [str(path) for path in sorted(folder.iterdir())]
    result = read_measurements(
        sources, plate_key="d/P1", dataset_id="d", plate_name="P1", settings=settings or DatasetSettings()
    )
    rows = 0
    for batch in result.reader:
        batch.validate(full=True)
        rows += batch.num_rows
    _expect(result.row_count in (None, rows), f"{rows} rows, {result.row_count} announced")
    most = _count_rows(folder)
    _expect(rows <= most, f"{rows} rows from files of {most}")
    if result.image_table is not None:
        _check_table(result.image_table)
    return _check_findings(result.findings)


def _count_rows(folder: Path) -> int:
    """How many rows the files of a folder hold at most, counted without this package."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += _COUNTERS.get(path.suffix.lower(), lambda _: _MAX_ROWS)(path) if path.is_file() else 0
        except (OSError, sqlite3.Error, pa.ArrowException):
            total += _MAX_ROWS
    return total


def _count_lines(path: Path) -> int:
    raw = path.read_bytes()
    return raw.count(b"\n") + raw.count(b"\r") + 1


def _count_sqlite(path: Path) -> int:
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return sum(
            database.execute('SELECT count(*) FROM "{}"'.format(name.replace('"', '""'))).fetchone()[0]
            for name in names
        )
    finally:
        database.close()


_COUNTERS: dict[str, Callable[[Path], int]] = {
    ".csv": _count_lines,
    ".sqlite": _count_sqlite,
    ".parquet": lambda path: pq.read_metadata(path).num_rows,
}


def look_at_platemap(folder: Path) -> int:
    """Read the platemap of a plate as the profiles do."""
    platemap = read_platemap(folder, "P1", read_dataset_settings(str(folder)))
    if platemap is None:
        return 0
    _check_table(platemap.table)
    _expect(len(set(platemap.wells)) == len(platemap.wells), "a well has two rows")
    return _check_findings(platemap.findings)


def look_at_settings(folder: Path) -> int:
    """Read a ``dataset.toml``, and scan and read with what it says."""
    settings = read_dataset_settings(str(folder))
    options = ScanOptions(file_pattern=settings.file_pattern, max_chunk_rows=MAX_CHUNK_ROWS)
    count = _check_findings(scan_store_records(str(folder / "P1"), options).findings)
    return count + look_at_measurements(folder / "measurements", settings)


def look_at_dataset(folder: Path) -> int:
    """Discover the plates of a watched root and scan each."""
    found = discover_roots([str(folder)])
    count = _check_findings(found.findings)
    for source in found.sources:
        scan: PlateScan = scan_plate_source(source, ScanOptions(max_chunk_rows=MAX_CHUNK_ROWS))
        _check_table(scan.images)
        count += _check_findings(scan.findings)
    return count


def look_at_gallery(folder: Path) -> int:
    """Check a gallery as ``gallery`` does, and scan its plates as a run does."""
    checked = check_gallery(list_key_tree(str(folder)))
    for plate in checked.plates:
        _expect(plate.absent_count <= (plate.named_count or 0), f"more images absent than named: {plate!r}")
    found = discover_roots([str(folder)])
    _expect(len(found.sources) >= len(checked.plates), "a run sees fewer plates than the check")
    count = _check_findings([*checked.all_findings, *found.findings])
    for source in found.sources:
        lists = ImageLists()
        if source.gallery is not None:
            lists = read_lists(source.gallery.image_list_uris, ScanOptions())
        options = ScanOptions(max_chunk_rows=MAX_CHUNK_ROWS, channel_names=name_channels(lists.images))
        images = scan_plate_source(source, options, with_chunks=False).images
        _check_table(images)
        count += _check_findings(find_list_gaps(source, images, lists))
    return count


def look_at_warehouse(folder: Path) -> int:
    """Validate a root, read all tables, and mend it: only here files may change, and only below the root."""
    root = folder / "root"
    result = validate_warehouse_manifest(root, strict=True)
    warehouse = open_warehouse(root)
    for name in warehouse.tables():
        table = warehouse.read(name)
        _check_table(table)
        _expect(
            table.num_rows == warehouse.row_count(name) or not result.is_valid,
            f"{name}: rows and manifest differ in a valid root",
        )
    maintain_warehouse(root)
    return len(result.errors) + len(result.warnings)


TARGETS: dict[str, Callable[[Path], int]] = {
    "images": look_at_images,
    "measurements": look_at_measurements,
    "platemap": look_at_platemap,
    "settings": look_at_settings,
    "discovery": look_at_dataset,
    "gallery": look_at_gallery,
    "warehouse": look_at_warehouse,
}
