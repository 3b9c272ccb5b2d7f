"""How planes were taken goes with the images: into the catalog, out of it, and into a warehouse root."""

from __future__ import annotations

from pathlib import Path

import duckdb
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.browse import catalog_table_to_arrow, list_catalog_tables
from bioimage_assets.core.catalog.deregister import deregister_store
from bioimage_assets.core.catalog.publish import ingest_stores_to_warehouse, register_store
from bioimage_assets.core.public_api.export import (
    export_catalog_to_cytomining_warehouse,
    export_store_to_cytomining_warehouse,
)
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.builders.tiff_files import write_taken
from bioimage_assets_tests.core.catalog.stores import write_tiff, write_zarr_image

NAMESPACE = "bioimage.cytotable"


def planes_of(catalog: Catalog) -> list[tuple[str, int, float]]:
    rows = catalog_table_to_arrow(catalog, NAMESPACE, "acquisition_planes").to_pylist()
    return sorted((row["image_id"], row["c"], row["exposure_s"]) for row in rows)


def test_a_store_is_registered_with_its_planes_and_leaves_with_them(catalog: Catalog, tmp_path: Path) -> None:
    stores = [str(write_taken(tmp_path / f"{name}.ome.tif")) for name in "ab"]
    ingest_stores_to_warehouse(stores, catalog, NAMESPACE)
    register_store(stores[0], catalog, NAMESPACE)
    both = [(name, c, (c + 1) / 10) for name in "ab" for c in range(2)]
    assert planes_of(catalog) == both
    deregister_store(stores[0], catalog, NAMESPACE)
    assert planes_of(catalog) == both[2:]
    write_tiff(Path(stores[1]))
    register_store(stores[1], catalog, NAMESPACE)
    assert planes_of(catalog) == []


def test_stores_that_say_nothing_make_no_such_table(catalog: Catalog, tmp_path: Path) -> None:
    register_store(str(write_zarr_image(tmp_path / "cells.ome.zarr")), catalog, NAMESPACE)
    assert list_catalog_tables(catalog, NAMESPACE) == ["chunk_index", "image_assets"]


def test_an_export_has_the_planes_and_duckdb_joins_them_to_their_field(
    catalog: Catalog, tmp_path: Path
) -> None:
    store = str(write_taken(tmp_path / "a.ome.tif"))
    register_store(store, catalog, NAMESPACE)
    roots = [tmp_path / "from-store", tmp_path / "from-catalog"]
    written = [
        export_store_to_cytomining_warehouse(store, roots[0]),
        export_catalog_to_cytomining_warehouse(catalog, NAMESPACE, roots[1]),
    ]
    for root, result in zip(roots, written, strict=True):
        assert result.row_counts["acquisition_planes"] == 2
        entry = next(
            t for t in open_warehouse(root).manifest().tables if t.table_name == "acquisition_planes"
        )
        assert (entry.role, tuple(entry.join_keys)) == ("annotations", ("dataset_id", "image_id"))
        found = duckdb.sql(
            f"SELECT p.channel, p.exposure_s, i.acquisition.stage_x_um, i.acquisition.emission_nm[p.c + 1] FROM '{root}/acquisition_planes/*.parquet' p "
            f"JOIN '{root}/image_assets/*.parquet' i USING (dataset_id, image_id) ORDER BY p.c"
        ).fetchall()
        assert found == [("DNA", 0.1, -1250.0, 450.0), ("ER", 0.2, -1250.0, 525.0)]


def test_an_export_without_planes_empties_what_an_earlier_one_left(tmp_path: Path) -> None:
    root, store = tmp_path / "root", write_taken(tmp_path / "a.ome.tif")
    export_store_to_cytomining_warehouse(str(store), root)
    write_tiff(store)
    assert export_store_to_cytomining_warehouse(str(store), root).row_counts["acquisition_planes"] == 0
    other = tmp_path / "other"
    assert "acquisition_planes" not in export_store_to_cytomining_warehouse(str(store), other).row_counts


def test_a_namespaced_root_takes_the_planes_as_annotations(tmp_path: Path) -> None:
    store = write_taken(tmp_path / "a.ome.tif")
    result = export_store_to_cytomining_warehouse(
        str(store), tmp_path / "root", image_assets_table_name="images.image_assets", chunk_index_table_name="images.chunk_index"
    )  # fmt: skip
    assert result.row_counts["annotations.acquisition_planes"] == 2
