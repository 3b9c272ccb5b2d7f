"""A warehouse and the key of a plate in, a SpatialData object of its fields of view and cells out, pixels and matrices unread.

https://spatialdata.scverse.org/en/stable/design_doc.html
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.anndata.library import require_spatialdata
from bioimage_assets.core.anndata.spatial_cells import FieldCells, open_field_cells
from bioimage_assets.core.anndata.spatial_elements import build_spatialdata, name_regions
from bioimage_assets.core.anndata.spatial_fields import open_fields
from bioimage_assets.core.catalog.session import table_exists
from bioimage_assets.core.errors import MissingTableError, UsageError
from bioimage_assets.core.model.identity import normalize_well
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.settings.project import (
    EMBEDDED_CATALOG,
    NO_CATALOG,
    is_same_place,
    read_project_settings,
)
from bioimage_assets.core.storage.open_tables import open_project_tables
from bioimage_assets.core.storage.outdated_scans import is_scan_outdated
from bioimage_assets.core.storage.tables import ProjectTables

if TYPE_CHECKING:
    from spatialdata import SpatialData

_Named = TypeVar("_Named", str, str | int)


def open_spatialdata(
    warehouse: str | Path,
    plate: str,
    *,
    cells: str | Path | None = None,
    wells: str | Collection[str] = (),
    sites: str | int | Collection[str | int] = (),
    level: int = 0,
) -> SpatialData:
    """Open fields of view of a stored plate, and their cells, as one SpatialData object in memory; pixels are read when they are computed.

    Each image is an element of axes c, y, x (c, z, y, x of a stack; one element per time point), named by its image id; label images are
    labels. An element lies in the coordinate system ``<name>_um``, in µm from the corner of its field, or ``<name>_px`` where the size of a
    pixel is not known, and in ``<well>_um`` where it is known how the fields of the well lie. Cells are circles ``<name>_cells``, annotated by
    the table ``table``. ``attrs["bioimage_assets"]`` has the plate, the image id of each element, and findings: what is not here, and why.

    Parameters
    ----------
    warehouse
        The warehouse root, or the data folder of a project. Settings are read from ``BIOIMAGE_*`` else.
    plate
        ``DATASET/PLATE``.
    cells
        An AnnData file, as ``bioimage-assets export-anndata --level cells`` writes them; None: no table.
    wells, sites
        Fields that are opened; none named is all of them.
    level
        Of the pyramid, 0 is full resolution. Images of fewer levels are left out, and said.

    Raises
    ------
    UsageError
        The plate has no such field, its files changed since they were scanned, or ``cells`` are none.
    MissingTableError
        No image of the plate is stored.
    MissingExtraError
        spatialdata is not installed.

    Examples
    --------
    >>> from bioimage_assets import export_store_to_cytomining_warehouse
    >>> _ = export_store_to_cytomining_warehouse("data/experiment.zarr", "spatial-root")
    >>> plate = open_spatialdata("spatial-root", "experiment/experiment")
    >>> dict(plate.images["experiment"].sizes)
    {'c': 2, 'y': 8, 'x': 8}
    """
    library = require_spatialdata()
    tables = _open_tables(str(warehouse))
    stored = _read_images(tables, plate)
    images = _choose(
        stored,
        plate,
        {normalize_well(well) or well for well in _list(wells)},
        {str(site) for site in _list(sites)},
    )
    if is_scan_outdated(tables, plate):
        raise UsageError(
            f"{plate}: its files, or settings of its scan, changed since they were scanned, so that the stored rows may lead to the wrong "
            f"bytes. Scan it again: bioimage-assets materialize --plates {plate}."
        )
    chunks = _iterate_chunks(tables, plate, images["image_id"])
    neighbours = stored.filter(pc.not_equal(stored["image_kind"], "label"))
    neighbours = neighbours.select(["image_id", "well_id", "acquisition"])
    options = tables.settings.storage_options
    fields, findings = open_fields(images, chunks, neighbours.to_pylist(), level, options)
    if not fields:
        reasons = "; ".join(finding.message for finding in findings[:3])
        raise UsageError(f"{plate}: none of {count_words(images.num_rows, 'image')} can be opened. {reasons}")
    owners = [field for field in fields if not field.is_label]
    regions = name_regions(fields)
    found = FieldCells(None) if cells is None else open_field_cells(cells, plate, owners, regions)
    return build_spatialdata(library, plate, fields, regions, found, [*findings, *found.findings])


def _open_tables(place: str) -> ProjectTables:
    """Tables below a data folder, or of a warehouse root, with their catalog: the one beside them, or that of the project whose root it is.

    No other catalog is asked: it may have a plate of the same key, and other images.
    """
    own, environ = read_project_settings(), dict(os.environ)
    has_neighbour = False
    if "://" not in place:
        path = Path(place)
        is_project = any((path / name).is_dir() for name in ("warehouse", "catalog"))
        folder = path if is_project else path.parent
        place = str(path / "warehouse") if is_project else place
        has_neighbour = (folder / "catalog").is_dir()
        if has_neighbour:
            environ["BIOIMAGE_DATA_DIR"] = str(folder)
    if not is_same_place(place, own.warehouse_uri):
        environ["BIOIMAGE_CATALOG"] = EMBEDDED_CATALOG if has_neighbour else NO_CATALOG
    return open_project_tables(read_project_settings(environ | {"BIOIMAGE_WAREHOUSE": place}))


def _read_images(tables: ProjectTables, plate: str) -> pa.Table:
    images = tables.find("image_assets", plate) if _is_in_catalog(tables, "image_assets") else None
    if images is None and tables.warehouse.has_table("image_assets"):
        images = tables.warehouse.read("image_assets", plate_keys=[plate])
    if images is None or not images.num_rows:
        raise MissingTableError(
            f"No image of {plate} is stored in {tables.settings.warehouse_uri} or the catalog beside it. 'bioimage-assets status' lists the "
            "plates."
        )
    return images


def _iterate_chunks(
    tables: ProjectTables, plate: str, image_ids: pa.ChunkedArray
) -> Iterator[pa.RecordBatch]:
    """Rows of the chunk index of some images."""
    wanted = image_ids.combine_chunks()
    if _is_in_catalog(tables, "chunk_index"):
        batches: Iterable[pa.RecordBatch] = tables.stream("chunk_index", plate)
    else:
        batches = tables.warehouse.batches("chunk_index", plate_keys=[plate])
    for batch in batches:
        yield batch.filter(pc.is_in(batch["image_id"], value_set=wanted))


def _is_in_catalog(tables: ProjectTables, name: str) -> bool:
    """Whether the catalog has a table; a warehouse root may be read without it, whatever the settings say of a catalog."""
    return tables.is_in_catalog(name) and tables.is_catalog_there() and table_exists(*tables.identify(name))


def _list(named: _Named | Collection[_Named]) -> Collection[_Named]:
    """Names, of which a single one may stand for itself."""
    return (named,) if isinstance(named, str | int) else named


def _choose(images: pa.Table, plate: str, wells: set[str], sites: set[str]) -> pa.Table:
    """Rows of the wells and sites that are meant, with their label images."""
    chosen = pa.array([True] * images.num_rows)
    for column, meant in (("well_id", wells), ("site_id", sites)):
        known = set(images[column].to_pylist())
        if unknown := sorted(meant - known):
            listed = ", ".join(sorted(str(name) for name in known)[:12])
            raise UsageError(f"{plate} has no image with {column} {unknown[0]!r}; there are {listed}.")
        if meant:
            chosen = pc.and_(chosen, pc.is_in(images[column], value_set=pa.array(sorted(meant))))
    found = images.filter(chosen)
    if not found.num_rows:
        raise UsageError(f"{plate} has no image of these sites in these wells.")
    return found
