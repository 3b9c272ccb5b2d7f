"""Registering stores: their rows once, one commit per table, nobody else's rows touched."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog

from bioimage_assets.core.catalog.browse import (
    CatalogScanOptions,
    catalog_table_to_arrow,
    list_catalog_tables,
    load_catalog_table,
)
from bioimage_assets.core.catalog.deregister import deregister_dataset, deregister_plates, deregister_store
from bioimage_assets.core.catalog.history import list_snapshots
from bioimage_assets.core.catalog.profile_tables import register_profile_table
from bioimage_assets.core.catalog.publish import (
    ingest_stores_to_warehouse,
    publish_chunk_index,
    publish_image_assets,
    register_directory,
    register_store,
)
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.store_glob import build_glob
from bioimage_assets.core.errors import (
    IdentityError,
    MeasurementError,
    MissingTableError,
    StoreError,
    StoreNotFoundError,
)
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets_tests.core.catalog.plates import build_plates
from bioimage_assets_tests.core.catalog.stores import write_tiff, write_zarr_image

NAMESPACE = "bioimage.cytotable"


def rows(catalog: Catalog, table: str) -> pa.Table:
    return catalog_table_to_arrow(catalog, NAMESPACE, table)


def test_a_store_is_registered_with_its_images_and_chunks(catalog: Catalog, tmp_path: Path) -> None:
    store = write_zarr_image(tmp_path / "cells.ome.zarr")
    result = register_store(str(store), catalog, NAMESPACE)
    images, chunks = rows(catalog, "image_assets"), rows(catalog, "chunk_index")
    assert (result.image_assets_rows_published, result.chunk_rows_published) == (1, chunks.num_rows)
    assert images["plate_key"].to_pylist() == ["cells/cells"]
    assert images["uri"].to_pylist() == [str(store)]
    on_disk = {
        path.relative_to(store).as_posix()
        for path in store.rglob("*")
        if path.is_file() and path.name[0] != "."
    }
    assert len(on_disk) == chunks.num_rows
    assert json.loads(result.to_json()) == result.to_dict()


def test_registering_twice_changes_no_row(catalog: Catalog, tmp_path: Path) -> None:
    store = str(write_zarr_image(tmp_path / "cells.ome.zarr"))
    first = register_store(store, catalog, NAMESPACE)
    images, chunks = rows(catalog, "image_assets"), rows(catalog, "chunk_index")
    assert register_store(store, catalog, NAMESPACE) == first
    assert rows(catalog, "image_assets").equals(images)
    assert rows(catalog, "chunk_index").equals(chunks)


def test_two_stores_of_one_name_are_refused_by_both_uris(catalog: Catalog, tmp_path: Path) -> None:
    one = write_zarr_image(tmp_path / "plate1" / "f0.ome.zarr")
    two = write_zarr_image(tmp_path / "plate2" / "f0.ome.zarr")
    register_store(str(one), catalog, NAMESPACE)
    with pytest.raises(IdentityError, match=r"plate2.*plate1.*dataset_id"):
        register_store(str(two), catalog, NAMESPACE)
    assert rows(catalog, "image_assets")["uri"].to_pylist() == [str(one)]
    register_store(str(two), catalog, NAMESPACE, dataset_id="second")
    assert rows(catalog, "image_assets").num_rows == 2
    with pytest.raises(IdentityError):
        ingest_stores_to_warehouse([str(one), str(two)], catalog, NAMESPACE)


def test_a_moved_store_takes_its_identity_over_when_asked(catalog: Catalog, tmp_path: Path) -> None:
    old = write_zarr_image(tmp_path / "old" / "f0.ome.zarr")
    register_store(str(old), catalog, NAMESPACE)
    new = tmp_path / "new" / "f0.ome.zarr"
    new.parent.mkdir()
    old.rename(new)
    register_store(str(new), catalog, NAMESPACE, replace=True)
    assert rows(catalog, "image_assets")["uri"].to_pylist() == [str(new)]


def test_many_stores_are_one_commit_per_table(catalog: Catalog, tmp_path: Path) -> None:
    uris = [str(write_zarr_image(tmp_path / f"s{i}.ome.zarr")) for i in range(6)]
    result = ingest_stores_to_warehouse(uris, catalog, NAMESPACE)
    again = ingest_stores_to_warehouse(uris, catalog, NAMESPACE)
    assert result == again
    assert (
        result.dataset_count
        == result.image_assets_rows_published
        == rows(catalog, "image_assets").num_rows
        == 6
    )
    assert result.chunk_rows_published == rows(catalog, "chunk_index").num_rows
    for table in ("image_assets", "chunk_index"):
        assert len(list_snapshots(catalog, f"{NAMESPACE}.{table}")) == 2
    described = result.to_dict()
    assert described["namespace"] == ["bioimage", "cytotable"]
    assert described["catalog"] == "SqlCatalog"


def test_a_broken_store_is_a_warning_and_costs_no_other(catalog: Catalog, tmp_path: Path) -> None:
    good = str(write_zarr_image(tmp_path / "good.ome.zarr"))
    missing = str(tmp_path / "missing.ome.zarr")
    result = ingest_stores_to_warehouse([missing, good], catalog, NAMESPACE)
    assert result.dataset_count == 1
    assert any("missing.ome.zarr" in warning for warning in result.warnings)
    with pytest.raises(StoreError):
        ingest_stores_to_warehouse([missing], catalog, NAMESPACE)
    with pytest.raises(StoreNotFoundError):
        register_store(missing, catalog, NAMESPACE)


def test_chunks_can_be_left_out_and_published_later(catalog: Catalog, tmp_path: Path) -> None:
    store = str(write_zarr_image(tmp_path / "cells.ome.zarr"))
    assert register_store(store, catalog, NAMESPACE, chunk_index_table=None).chunk_rows_published == 0
    assert list_catalog_tables(catalog, NAMESPACE) == ["image_assets"]
    scan = scan_store_records(store)
    assert publish_image_assets(catalog, NAMESPACE, "image_assets", scan) == 1
    assert (
        publish_chunk_index(catalog, NAMESPACE, "chunk_index", scan)
        == rows(catalog, "chunk_index").num_rows
        > 0
    )
    assert list_catalog_tables(catalog, "bioimage") == ["chunk_index", "image_assets"]


def test_a_directory_is_registered_with_its_folders_as_datasets(catalog: Catalog, tmp_path: Path) -> None:
    for name in ("screenA/P1.ome.zarr", "screenA/P2.ome.zarr", "screenB/x/P1.ome.zarr", "lone.ome.zarr"):
        write_zarr_image(tmp_path / "in" / name)
    result = register_directory(str(tmp_path / "in"), catalog, NAMESPACE)
    register_directory(str(tmp_path / "in"), catalog, NAMESPACE)
    assert result.dataset_count == 4
    assert sorted(rows(catalog, "image_assets")["plate_key"].to_pylist()) == [
        "lone/lone", "screenA/P1", "screenA/P2", "screenB/P1",
    ]  # fmt: skip
    assert len(list_snapshots(catalog, f"{NAMESPACE}.image_assets")) == 2


def test_a_directory_without_stores_says_so(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    result = register_directory(str(tmp_path), catalog, NAMESPACE)
    assert result.dataset_count == 0
    assert "nothing matches" in result.warnings[0]
    with pytest.raises(StoreNotFoundError):
        register_directory(str(tmp_path / "none"), catalog, NAMESPACE)


@pytest.mark.parametrize(
    ("pattern", "path", "is_match"),
    [
        ("**/*.ome.zarr", "a/b/c.ome.zarr", True),
        ("**/*.ome.zarr", "c.ome.zarr", True),
        ("*.ome.zarr", "a/c.ome.zarr", False),
        ("a/*/c.tif", "a/b/c.tif", True),
        ("P?.[tz]*", "P1.zarr", True),
        ("P[!1].zarr", "P1.zarr", False),
        ("a+b.zarr", "aab.zarr", False),
    ],
)
def test_patterns_match_like_a_shell(pattern: str, path: str, is_match: bool) -> None:
    assert bool(build_glob(pattern).fullmatch(path)) is is_match


def test_a_tiff_is_found_by_its_pattern(catalog: Catalog, tmp_path: Path) -> None:
    write_tiff(tmp_path / "in" / "a.ome.tiff")
    result = register_directory(str(tmp_path / "in"), catalog, NAMESPACE, glob="**/*.ome.tiff")
    assert result.image_assets_rows_published == 1
    assert rows(catalog, "image_assets")["format_family"].to_pylist() == ["ome-tiff"]


def test_deregistering_a_store_leaves_its_namesake_alone(catalog: Catalog, tmp_path: Path) -> None:
    one = write_zarr_image(tmp_path / "plate1" / "f0.ome.zarr")
    two = write_zarr_image(tmp_path / "plate2" / "f0.ome.zarr")
    register_store(str(one), catalog, NAMESPACE)
    register_store(str(two), catalog, NAMESPACE, dataset_id="second")
    deregister_store(str(tmp_path / "elsewhere" / "f0.ome.zarr"), catalog, NAMESPACE)
    assert rows(catalog, "image_assets").num_rows == 2
    deregister_store(str(one), catalog, NAMESPACE)
    deregister_store(str(one), catalog, NAMESPACE)
    assert rows(catalog, "image_assets")["uri"].to_pylist() == [str(two)]
    assert set(rows(catalog, "chunk_index")["dataset_id"].to_pylist()) == {"second"}


def test_a_store_leaves_a_partition_that_it_shares(catalog: Catalog, tmp_path: Path) -> None:
    folder = tmp_path / "fields"
    for name in ("a.ome.zarr", "b.ome.zarr"):
        write_zarr_image(folder / name)
    register_store(str(folder), catalog, NAMESPACE)
    assert rows(catalog, "image_assets").num_rows == 2
    deregister_store(str(folder / "a.ome.zarr"), catalog, NAMESPACE)
    left = rows(catalog, "image_assets")
    assert left["uri"].to_pylist() == [str(folder / "b.ome.zarr")]
    assert set(rows(catalog, "chunk_index")["image_id"].to_pylist()) == set(left["image_id"].to_pylist())


def test_deregistering_from_an_empty_catalog_is_no_error(catalog: Catalog, tmp_path: Path) -> None:
    deregister_store(str(tmp_path / "x.ome.zarr"), catalog, NAMESPACE)
    assert deregister_dataset(catalog, NAMESPACE, "nothing") == {}


def test_plates_and_datasets_leave_every_table(catalog: Catalog) -> None:
    plates = build_plates(["s1/P1", "s1/P2", "s2/P1"])
    plates = plates.append_column(
        "dataset_id", pa.array([key.split("/")[0] for key in plates["plate_key"].to_pylist()])
    )
    for table in ("image_assets", "joined_profiles"):
        replace_partitions(catalog, f"{NAMESPACE}.{table}", plates, ["s1/P1", "s1/P2", "s2/P1"])
    assert deregister_plates(catalog, NAMESPACE, ["s1/P1"]) == {"image_assets": 10, "joined_profiles": 10}
    assert deregister_dataset(catalog, "bioimage", "s1") == {"image_assets": 10, "joined_profiles": 10}
    assert set(rows(catalog, "joined_profiles")["plate_key"].to_pylist()) == {"s2/P1"}


def test_a_profile_table_is_registered_once_however_often(catalog: Catalog, tmp_path: Path) -> None:
    for name in ("one", "two"):
        pq.write_table(
            pa.table({"Metadata_Well": ["A01", "A02"], "Cells_Area": [1.0, 2.0]}),
            tmp_path / f"{name}.parquet",
        )
    for _ in range(2):
        assert register_profile_table(str(tmp_path / "one.parquet"), catalog, NAMESPACE) == 2
    register_profile_table(str(tmp_path / "two.parquet"), catalog, NAMESPACE)
    table = rows(catalog, "profiles")
    assert table.num_rows == 4
    assert set(table["profile_source"].to_pylist()) == {
        str(tmp_path / "one.parquet"),
        str(tmp_path / "two.parquet"),
    }


def test_a_profile_table_with_plates_replaces_those_plates(catalog: Catalog, tmp_path: Path) -> None:
    pq.write_table(build_plates(["s/P1", "s/P2"]), tmp_path / "p.parquet")
    for _ in range(2):
        register_profile_table(str(tmp_path / "p.parquet"), catalog, NAMESPACE)
    assert rows(catalog, "profiles").num_rows == 20
    with pytest.raises(MeasurementError):
        register_profile_table(str(tmp_path / "none.parquet"), catalog, NAMESPACE)


def test_tables_are_listed_loaded_and_read_by_name(catalog: Catalog, tmp_path: Path) -> None:
    register_store(str(write_zarr_image(tmp_path / "cells.ome.zarr")), catalog, "bioimage")
    assert load_catalog_table(catalog, "bioimage", "image_assets").name() == (
        "bioimage",
        "cytotable",
        "image_assets",
    )
    options = CatalogScanOptions(columns="uri", where="image_kind = 'image'", limit=1)
    assert catalog_table_to_arrow(catalog, "bioimage", "image_assets", scan_options=options).column_names == [
        "uri"
    ]
    snapshot = list_snapshots(catalog, f"{NAMESPACE}.image_assets")[0].snapshot_id
    options = CatalogScanOptions(snapshot_id=snapshot)
    assert catalog_table_to_arrow(catalog, "bioimage", "image_assets", scan_options=options).num_rows == 1
    with pytest.raises(MissingTableError):
        load_catalog_table(catalog, "bioimage", "nope")


def test_plate_keys_with_long_foreign_names_are_stored(catalog: Catalog) -> None:
    key = f"{'%C3%BC' * 19}/{'%E2%82%AC' * 13}"
    replace_partitions(catalog, f"{NAMESPACE}.rows", build_plates([key]), [key])
    assert catalog_table_to_arrow(catalog, NAMESPACE, "rows")["plate_key"].to_pylist() == [key] * 10
