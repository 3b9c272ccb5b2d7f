"""Tables of a namespace by name: list them, load them, read them into Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.expressions import BooleanExpression
from pyiceberg.table import Table

from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.retry import catalog_errors
from bioimage_assets.core.catalog.session import (
    CatalogLike,
    candidate_namespaces,
    list_leaf_names,
    open_catalog,
    resolve_identifier,
)


@dataclass(frozen=True, slots=True)
class CatalogScanOptions:
    """Which part of a table to read: columns, a row filter in PyIceberg's syntax, a snapshot, a number of rows."""

    columns: str | Sequence[str] | None = None
    where: str | BooleanExpression | None = None
    snapshot_id: int | None = None
    limit: int | None = None


def load_catalog_table(catalog: CatalogLike, namespace: str | Sequence[str], table_name: str) -> Table:
    """Load a table as PyIceberg's own object; MissingTableError where it is in neither layout.

    Examples
    --------
    >>> from bioimage_assets import register_store
    >>> _ = register_store("data/experiment.zarr", "embedded", "bioimage.cytotable")
    >>> load_catalog_table("embedded", "bioimage.cytotable", "image_assets").name()
    ('bioimage', 'cytotable', 'image_assets')
    """
    opened = open_catalog(catalog)
    identifier = resolve_identifier(opened, namespace, table_name)
    with catalog_errors(f"Loading {'.'.join(identifier)}"):
        return opened.load_table(identifier)


def list_catalog_tables(catalog: CatalogLike, namespace: str | Sequence[str]) -> list[str]:
    """Sorted names of all tables of a namespace, those of older layouts included.

    Examples
    --------
    >>> from bioimage_assets import register_store
    >>> _ = register_store("data/experiment.zarr", "embedded", "bioimage.cytotable")
    >>> "image_assets" in list_catalog_tables("embedded", "bioimage.cytotable")
    True
    """
    opened = open_catalog(catalog)
    with catalog_errors(f"Listing {namespace}"):
        found = {name for one in candidate_namespaces(namespace) for name in list_leaf_names(opened, one)}
    return sorted(found)


def catalog_table_to_arrow(
    catalog: CatalogLike,
    namespace: str | Sequence[str],
    table_name: str,
    *,
    scan_options: CatalogScanOptions | None = None,
) -> pa.Table:
    """Read a table into memory; MissingTableError where it is in neither layout.

    Examples
    --------
    >>> from bioimage_assets import register_store
    >>> _ = register_store("data/experiment.zarr", "embedded", "bioimage.cytotable")
    >>> wanted = CatalogScanOptions(columns=["image_id"], where="dataset_id = 'experiment'")
    >>> catalog_table_to_arrow("embedded", "bioimage.cytotable", "image_assets", scan_options=wanted).to_pylist()
    [{'image_id': 'experiment'}]
    """
    options = scan_options or CatalogScanOptions()
    opened = open_catalog(catalog)
    return read_table(
        opened,
        resolve_identifier(opened, namespace, table_name),
        columns=[options.columns] if isinstance(options.columns, str) else options.columns,
        where=options.where,
        as_of=options.snapshot_id,
        limit=options.limit,
    )
