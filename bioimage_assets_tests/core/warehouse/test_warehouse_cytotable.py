"""CytoTable warehouses are opened by their folders and their tables join a root unchanged."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse.cytotable import import_cytotable_warehouse, open_cytotable_warehouse
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validate import validate_warehouse_manifest

CELLS = pa.table(
    {
        "Metadata_ObjectID": ["obj-1", "obj-2"],
        "Metadata_ImageNumber": pa.array([1, 1], pa.int64()),
        "Image_FileName_DNA": ["d0.tif", "d0.tif"],
        "Cells_AreaShape_Area": [1.5, 2.5],
    }
)
CROPS = pa.table({"Metadata_ObjectID": ["obj-1"], "ome_arrow_image": pa.array([{"raw": b"\x01"}])})


@pytest.fixture
def source(tmp_path):
    """Written by PyIceberg in CytoTable's folders, with absolute paths in its catalog file as CytoTable has them."""
    root = tmp_path / "cytotable" / "warehouse"
    root.mkdir(parents=True)
    catalog = SqlCatalog("tiny", uri=f"sqlite:///{tmp_path / 'c.db'}", warehouse=root.as_uri())
    registry = {}
    for namespace, name, table in (("profiles", "joined_profiles", CELLS), ("images", "image_crops", CROPS)):
        catalog.create_namespace_if_not_exists(namespace)
        made = catalog.create_table(
            (namespace, name), table.schema, location=(root / namespace / name).as_uri()
        )
        made.append(table)
        registry[f"{namespace}.{name}"] = catalog.load_table((namespace, name)).metadata_location
    (root / "catalog.json").write_text(json.dumps({"tables": registry, "views": {}}))
    return root


def test_tables_are_listed_with_their_rows_from_the_folder_or_its_parent(source):
    for root in (source, source.parent):
        assert {table.name: table.row_count for table in open_cytotable_warehouse(root)} == {
            "images.image_crops": 1, "profiles.joined_profiles": 2,
        }  # fmt: skip


@pytest.mark.parametrize("layout", ["flat", "namespaced"])
def test_tables_are_brought_in_with_roles_and_payloads(source, tmp_path, layout):
    open_warehouse(tmp_path / "root", layout=layout).append("reports.notes" if layout == "namespaced" else "notes",
                                                            pa.table({"dataset_id": ["d"]}), role="reports")  # fmt: skip
    result = import_cytotable_warehouse(source, tmp_path / "root")
    assert sorted(result.row_counts.values()) == [1, 2]
    warehouse = open_warehouse(tmp_path / "root")
    assert warehouse.read("joined_profiles").to_pylist() == CELLS.to_pylist()
    assert warehouse.read("image_crops").column("ome_arrow_image").to_pylist() == [{"raw": b"\x01"}]
    roles = {entry.table_name.rsplit(".", 1)[-1]: entry.role for entry in warehouse.manifest().tables}
    assert roles == {"notes": "reports", "joined_profiles": "joined_profiles", "image_crops": "image_crops"}
    assert validate_warehouse_manifest(tmp_path / "root").errors == []


def test_a_moved_warehouse_is_read_all_the_same(source, tmp_path):
    moved = source.rename(tmp_path / "moved")
    assert {table.row_count for table in open_cytotable_warehouse(moved)} == {1, 2}


def test_rows_that_the_metadata_do_not_promise_are_refused(source):
    pq.write_table(CELLS, source / "profiles" / "joined_profiles" / "data" / "stray.parquet")
    with pytest.raises(WarehouseError, match="promise 2 rows, its files hold 4"):
        open_cytotable_warehouse(source)


def test_a_folder_without_catalog_file_is_no_cytotable_warehouse(tmp_path):
    with pytest.raises(WarehouseError, match="is no CytoTable warehouse"):
        open_cytotable_warehouse(tmp_path)
