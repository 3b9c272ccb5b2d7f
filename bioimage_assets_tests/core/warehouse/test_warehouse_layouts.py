"""Flat and namespaced roots, those of other writers too, are opened as they are and converted as a whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pycytominer
import pytest
from pycytominer.cyto_utils import load_cytotable_profiles

from bioimage_assets.core.errors import UsageError, WarehouseRoleError
from bioimage_assets.core.warehouse.changes import journal
from bioimage_assets.core.warehouse.convert import convert_layout
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.core.warehouse.tables import cells

A, B = "screen/BR1", "screen/BR2"


def write_foreign_root(
    root: Path, tables: dict[str, list[pa.Table]], *, names=None, version="1.0.0", rows=None
):
    """A root as iceberg-bioimage 0.1.0 (dotted names) or its first version (bare names) leaves it: random part
    names, null-typed columns, no files in the manifest, and row counts of the last append only."""
    entries = []
    for folder, parts in tables.items():
        target = root / folder
        target.mkdir(parents=True)
        for number, part in enumerate(parts):
            pq.write_table(part, target / f"part-{os.urandom(8).hex()}{number}.parquet")
        name = (names or {}).get(folder, folder.replace("/", "."))
        leaf = name.rsplit(".", 1)[-1]
        entries.append(
            {
                "table_name": name, "role": {"joined_profiles": "joined_profiles", "chunk_index": "chunk_index",
                "image_assets": "image_assets", "embeddings": "embeddings"}.get(leaf, "profiles"),
                "format": "parquet", "join_keys": ["dataset_id", "image_id"], "columns": parts[-1].column_names,
                "row_count": (rows or {}).get(folder, sum(p.num_rows for p in parts)), "source_ref": "ord.zarr",
                "source_type": "scan_result",
            }
        )  # fmt: skip
    manifest = {"tables": entries, "warehouse_root": str(root)} | (
        {"warehouse_spec_version": version} if version else {}
    )
    (root / "warehouse_manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True))


def images(stem: str, array_path: str | None) -> pa.Table:
    path = pa.nulls(1) if array_path is None else pa.array([array_path])
    return pa.table({"dataset_id": [stem], "image_id": [stem], "uri": [f"{stem}.zarr"], "array_path": path})


def test_a_namespaced_root_of_upstream_is_read_appended_to_and_loses_nothing(tmp_path):
    write_foreign_root(
        tmp_path, {"images/image_assets": [images("a", None), images("b", "0"), images("c", None)]},
        rows={"images/image_assets": 1},
    )  # fmt: skip
    before = set(os.listdir(tmp_path / "images/image_assets"))
    warehouse = open_warehouse(tmp_path)
    assert warehouse.layout == "namespaced"
    assert sorted(warehouse.read("image_assets").column("array_path").to_pylist(), key=str) == [
        "0",
        None,
        None,
    ]
    assert "row_count 1; its files hold 3" in validate_warehouse_manifest(tmp_path).errors[0]
    warehouse.append("image_assets", images("d", "1"))
    assert before < set(os.listdir(tmp_path / "images/image_assets"))
    assert warehouse.manifest().entry("images.image_assets").row_count == 4
    assert validate_warehouse_manifest(tmp_path).errors == []
    maintain_warehouse(tmp_path)
    assert pq.read_table(tmp_path / "images/image_assets").num_rows == 4
    assert before < set(os.listdir(tmp_path / "images/image_assets"))
    assert validate_warehouse_manifest(tmp_path).errors == []


def test_a_flat_root_of_the_seeds_keeps_its_names(tmp_path):
    write_foreign_root(tmp_path, {"image_assets": [images("a", "0")], "my_tool": [cells(A)]}, version=None)
    warehouse = open_warehouse(tmp_path)
    assert warehouse.layout == "flat"
    warehouse.append("image_assets", images("b", "0"))
    warehouse.overwrite("pycytominer_profiles", cells(A), role="profiles")
    assert warehouse.tables() == ("image_assets", "my_tool", "pycytominer_profiles")
    assert warehouse.row_count("image_assets") == 2
    assert warehouse.read("my_tool").num_rows == 3
    assert validate_warehouse_manifest(tmp_path).errors == []


def test_a_flat_root_whose_manifest_was_renamed_without_moving_data_is_forgiven_and_put_right(tmp_path):
    write_foreign_root(
        tmp_path, {"image_assets": [images("a", "0")], "embeddings": [cells(A)]},
        names={"image_assets": "images.image_assets", "embeddings": "legacy.embeddings"},
    )  # fmt: skip
    warehouse = open_warehouse(tmp_path)
    assert warehouse.read("image_assets").num_rows == 1
    assert "lies in the folder 'image_assets'" in "".join(validate_warehouse_manifest(tmp_path).errors)
    convert_layout(tmp_path, "namespaced")
    assert warehouse.tables() == ("embeddings.embeddings", "images.image_assets")
    assert (tmp_path / "images/image_assets").is_dir()
    assert (tmp_path / "embeddings/embeddings").is_dir()
    assert open_warehouse(tmp_path).read("embeddings.embeddings").num_rows == 3
    assert validate_warehouse_manifest(tmp_path).errors == []


def test_a_bare_name_in_a_namespaced_root_takes_the_namespace_of_its_role(tmp_path):
    warehouse = open_warehouse(tmp_path, layout="namespaced")
    names = [
        warehouse.append("image_assets", images("a", "0")).table_name,
        warehouse.append("cosmicqc_profiles", cells(A)).table_name,
        warehouse.append("mine", cells(A), role="embeddings").table_name,
        warehouse.append("profiles.mine", cells(A), role="embeddings").table_name,
        warehouse.append("plate_completeness", pa.table({"dataset_id": ["d"]})).table_name,
    ]
    assert names == ["images.image_assets", "quality_control.cosmicqc_profiles", "embeddings.mine", "profiles.mine",
                     "reports.plate_completeness"]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "role", "message"),
    [
        ("profiles.qc", "quality_control", "quality_control role must use the quality_control namespace."),
        ("images.cells", "profiles", "belongs in namespace profiles"),
        ("cells", "banana", "not in the warehouse vocabulary"),
    ],
)
def test_roles_that_contradict_a_namespace_are_refused(tmp_path, name, role, message):
    with pytest.raises(WarehouseRoleError, match=message):
        open_warehouse(tmp_path, layout="namespaced").append(name, cells(A), role=role)
    assert not (tmp_path / "warehouse_manifest.json").exists()


def test_an_existing_root_keeps_its_layout_whatever_is_asked_for(tmp_path):
    open_warehouse(tmp_path, layout="namespaced").append("image_assets", images("a", "0"))
    assert open_warehouse(tmp_path, layout="flat").layout == "namespaced"


def build_root(root: Path) -> None:
    warehouse = open_warehouse(root)
    for key in (A, B):
        warehouse.replace_partitions("single_cells", cells(key), [key])
        warehouse.replace_partitions("joined_profiles", cells(key), [key])
    warehouse.append("cosmicqc_profiles", cells(A, is_bad=pa.array([True, False, False])))
    warehouse.append("image_assets", images("a", "0"))


def test_a_root_converts_to_the_other_layout_and_back_with_all_its_data(tmp_path):
    build_root(tmp_path)
    before = {name: open_warehouse(tmp_path).read(name) for name in open_warehouse(tmp_path).tables()}
    moved = convert_layout(tmp_path, "namespaced")
    assert moved["cosmicqc_profiles"] == "quality_control.cosmicqc_profiles"
    assert not (tmp_path / "single_cells").exists()
    result = validate_warehouse_manifest(tmp_path, strict=True)
    assert result.errors == []
    assert convert_layout(tmp_path, "namespaced") == {}
    warehouse = open_warehouse(tmp_path)
    for name, table in before.items():
        assert warehouse.read(name).equals(table)
    warehouse.replace_partitions("single_cells", cells(A, 8), [A])
    assert warehouse.row_count("profiles.single_cells") == 11
    convert_layout(tmp_path, "flat")
    assert open_warehouse(tmp_path).tables() == tuple(sorted(before))
    assert validate_warehouse_manifest(tmp_path).errors == []


def test_a_conversion_cut_off_in_the_middle_is_finished_by_the_next_open(tmp_path, monkeypatch):
    build_root(tmp_path)
    real, moved = os.replace, []

    def fail(source, target):
        if Path(source).is_dir():
            moved.append(source)
            if len(moved) == 3:
                raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(journal.os, "replace", fail)
        with pytest.raises(KeyboardInterrupt):
            convert_layout(tmp_path, "namespaced")
    warehouse = open_warehouse(tmp_path)
    assert warehouse.layout == "namespaced"
    assert warehouse.read("single_cells").num_rows == 6
    assert validate_warehouse_manifest(tmp_path).errors == []


def test_a_table_without_a_namespace_stops_a_conversion_before_anything_moves(tmp_path):
    build_root(tmp_path)
    open_warehouse(tmp_path).append("mystery", cells(A), role="segmentation")
    with pytest.raises(WarehouseRoleError, match="segmentation"):
        convert_layout(tmp_path, "namespaced")
    assert (tmp_path / "single_cells").is_dir()
    assert validate_warehouse_manifest(tmp_path).errors == []


def test_two_tables_that_would_share_a_name_stop_a_conversion(tmp_path):
    warehouse = open_warehouse(tmp_path, layout="namespaced")
    warehouse.append("profiles.x", cells(A), role="profiles")
    warehouse.append("embeddings.x", cells(A), role="embeddings")
    with pytest.raises(UsageError, match="both be named 'x'"):
        convert_layout(tmp_path, "flat")


def test_pycytominer_loads_a_namespaced_root(tmp_path):
    warehouse = open_warehouse(tmp_path, layout="namespaced")
    for key, shift in ((A, 0.0), (B, 5.0)):
        table = cells(key, 10).append_column("Metadata_Plate", pa.array([key] * 10))
        area = pa.array([float(i) + shift for i in range(10)])
        warehouse.replace_partitions(
            "joined_profiles", table.set_column(4, "Cells_AreaShape_Area", area), [key]
        )
    warehouse.append("cosmicqc_profiles", cells(A))
    frame = load_cytotable_profiles(tmp_path)
    assert len(frame) == 20
    normalized = pycytominer.normalize(
        str(tmp_path),
        features=["Cells_AreaShape_Area"],
        meta_features=["Metadata_Plate"],
        samples="all",
        method="standardize",
    )
    assert len(normalized) == 20
    assert abs(normalized["Cells_AreaShape_Area"].mean()) < 1e-9


def test_strict_validation_names_each_broken_producer_rule(tmp_path):
    warehouse = open_warehouse(tmp_path, layout="namespaced")
    warehouse.append("joined_profiles", cells(A))
    path = tmp_path / "warehouse_manifest.json"
    assert validate_warehouse_manifest(tmp_path, strict=True).errors == []

    def errors_after(**changes):
        content = json.loads(path.read_text())
        original = json.dumps(content)
        entry = content["tables"][0]
        for key, value in changes.items():
            target = content if key in ("warehouse_spec_version",) else entry
            if value is None:
                target.pop(key)
            else:
                target[key] = value
        path.write_text(json.dumps(content))
        found = "\n".join(validate_warehouse_manifest(tmp_path, strict=True).errors)
        path.write_text(original)
        return found

    assert "no semantic version" in errors_after(warehouse_spec_version="banana")
    assert "unknown major version" in errors_after(warehouse_spec_version="2.0.0")
    assert "must declare warehouse_spec_version" in errors_after(warehouse_spec_version=None)
    assert "not in the warehouse vocabulary" in errors_after(role="banana")
    assert "was written with role 'joined_profiles'" in errors_after(role="profiles")
    assert "format 'xlsx'" in errors_after(format="xlsx")
    assert "must declare join_keys" in errors_after(join_keys=None)
    assert "joins on column(s) it does not have: nothing" in errors_after(join_keys=["nothing"])
    assert "must declare columns" in errors_after(columns=None)
    assert "must declare analysis_level" in errors_after(analysis_level=None)
    no_ids = [name for name in cells(A).column_names if name not in ("image_id", "Metadata_ObjectID")]
    found = errors_after(columns=no_ids)
    assert "no object identifier" in found
    assert "no image identifier" in found
    content = json.loads(path.read_text())
    content["tables"] *= 2
    path.write_text(json.dumps(content))
    assert (
        "Duplicate table_name in manifest: profiles.joined_profiles"
        in validate_warehouse_manifest(tmp_path).errors
    )


def test_validation_of_nothing_says_what_is_missing(tmp_path):
    assert validate_warehouse_manifest(tmp_path / "none").errors == ["warehouse_manifest.json is missing."]
    open_warehouse(tmp_path).append("single_cells", cells(A))
    assert "flat layout" in validate_warehouse_manifest(tmp_path, strict=True).errors[0]


def test_a_role_that_the_specification_does_not_know_stops_a_conversion_with_the_tables_name(tmp_path):
    warehouse = open_warehouse(tmp_path)
    warehouse.replace_partitions("single_cells", cells(A), [A])
    warehouse.append("odd", cells(A), role="banana")
    with pytest.raises(
        WarehouseRoleError, match=r"Table 'odd' has no place in the namespaced layout.*Nothing was moved"
    ):
        convert_layout(tmp_path, "namespaced")
    assert open_warehouse(tmp_path).tables() == ("odd", "single_cells")
    assert warehouse.read("single_cells").num_rows == 3
