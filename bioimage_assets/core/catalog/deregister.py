"""Remove stores, plates and whole datasets from the catalog; earlier snapshots and the images themselves stay."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import EqualTo, Or, StartsWith

from bioimage_assets.core.catalog.evolution import PARTITION_COLUMN, identity_column
from bioimage_assets.core.catalog.publish_stores import PLANES
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import remove_partitions, replace_partitions
from bioimage_assets.core.catalog.retry import catalog_errors
from bioimage_assets.core.catalog.session import (
    CatalogLike,
    Identifier,
    candidate_namespaces,
    list_leaf_names,
    open_catalog,
    resolve_identifier,
    table_exists,
)
from bioimage_assets.core.stores.open import absolute_uri

Namespace = str | Sequence[str]


def deregister_store(
    uri: str,
    catalog: CatalogLike,
    namespace: Namespace,
    *,
    image_assets_table: str = "image_assets",
    chunk_index_table: str | None = "chunk_index",
) -> None:
    """Remove the rows of exactly this store, found by its URI; other stores of the same name are not affected.

    A store that is not in the catalog, and a missing table, are not an error. One commit per table.

    Examples
    --------
    >>> from bioimage_assets import register_store
    >>> _ = register_store("data/experiment.zarr", "embedded", "bioimage.cytotable")
    >>> deregister_store("data/experiment.zarr", "embedded", "bioimage.cytotable")
    """
    opened = open_catalog(catalog)
    location = absolute_uri(uri)
    images = resolve_identifier(opened, namespace, image_assets_table)
    if not table_exists(opened, images):
        return
    of_store = Or(EqualTo("uri", location), StartsWith("uri", f"{location}/"))  # type: ignore[call-arg,arg-type]
    leaving = read_table(opened, images, columns=["plate_key", "image_id"], where=of_store)
    keys = sorted(set(leaving["plate_key"].to_pylist()))
    if not keys:
        return
    for name in (chunk_index_table, PLANES):
        identifier = None if name is None else resolve_identifier(opened, namespace, name)
        if identifier is not None and table_exists(opened, identifier):
            _remove_images(opened, identifier, keys, leaving)
    _remove_images(opened, images, keys, leaving)


def _remove_images(catalog: Catalog, identifier: Identifier, keys: Sequence[str], leaving: pa.Table) -> None:
    """Rewrite the partitions without some images; a partition may hold several stores."""
    rows = read_table(catalog, identifier, plate_keys=keys)
    staying = _anti_join(rows, leaving)
    replace_partitions(catalog, identifier, staying, keys)


def _anti_join(rows: pa.Table, leaving: pa.Table) -> pa.Table:
    # A join would have to carry list and struct columns, which Arrow refuses; a mask does not.
    gone = pc.is_in(_image_keys(rows), value_set=_image_keys(leaving).combine_chunks())
    return rows.filter(pc.invert(gone))


def _image_keys(rows: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(rows["plate_key"], rows["image_id"], "\n")


def deregister_plates(
    catalog: CatalogLike,
    namespace: Namespace,
    plate_keys: Sequence[str],
    *,
    tables: Sequence[str] | None = None,
) -> dict[str, int]:
    """Remove plates from every table of a namespace that is kept by plate; give the rows removed per table.

    Examples
    --------
    >>> from bioimage_assets import register_store
    >>> _ = register_store("data/experiment.zarr", "embedded", "bioimage.cytotable")
    >>> deregister_plates("embedded", "bioimage.cytotable", ["experiment/experiment"])["image_assets"]
    1
    """
    opened = open_catalog(catalog)
    removed: dict[str, int] = {}
    for identifier in _plate_tables(opened, namespace, tables):
        present = read_table(opened, identifier, columns=[PARTITION_COLUMN], plate_keys=plate_keys)
        if present.num_rows:
            remove_partitions(opened, identifier, sorted(set(present[PARTITION_COLUMN].to_pylist())))
            removed[identifier[-1]] = present.num_rows
    return removed


def deregister_dataset(
    catalog: CatalogLike, namespace: Namespace, dataset_id: str, *, tables: Sequence[str] | None = None
) -> dict[str, int]:
    """Remove all plates of a dataset from every table of a namespace; give the rows removed per table.

    Examples
    --------
    >>> from bioimage_assets import register_store
    >>> _ = register_store("data/experiment.zarr", "embedded", "bioimage.cytotable")
    >>> deregister_dataset("embedded", "bioimage.cytotable", "experiment")["image_assets"]
    1
    """
    opened = open_catalog(catalog)
    keys: set[str] = set()
    for identifier in _plate_tables(opened, namespace, tables):
        if "dataset_id" in opened.load_table(identifier).schema().column_names:
            of_dataset = EqualTo("dataset_id", dataset_id)  # type: ignore[call-arg,arg-type]
            rows = read_table(opened, identifier, columns=[PARTITION_COLUMN], where=of_dataset)
            keys.update(rows[PARTITION_COLUMN].to_pylist())
    return deregister_plates(opened, namespace, sorted(keys), tables=tables) if keys else {}


def _plate_tables(catalog: Catalog, namespace: Namespace, tables: Sequence[str] | None) -> list[Identifier]:
    with catalog_errors(f"Listing {namespace}"):
        found = [
            (*one, name) for one in candidate_namespaces(namespace) for name in list_leaf_names(catalog, one)
        ]
        return [
            identifier
            for identifier in found
            if (tables is None or identifier[-1] in tables)
            and identity_column(catalog.load_table(identifier)) == PARTITION_COLUMN
        ]
