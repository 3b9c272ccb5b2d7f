"""Links that lead in a circle and footers whose names are no text are told in the project's words."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from bioimage_assets.core.errors import WarehouseError
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    cells = {"dataset_id": ["s"], "image_id": ["a"], "object_id": ["x"], "Cells_AreaShape_Area": [1.0]}
    open_warehouse(tmp_path / "root").replace_partitions("joined_profiles", pa.table(cells), ["s/P1"])
    return tmp_path / "root"


def only_part(root: Path) -> Path:
    (part,) = (root / "joined_profiles").glob("part-*.parquet")
    return part


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def test_a_part_that_is_a_link_in_a_circle_is_a_part_that_is_gone(root: Path) -> None:
    part = only_part(root)
    loop(part)
    said = validate_warehouse_manifest(root)
    assert not said.is_valid
    assert any("joined_profiles" in error for error in said.errors), said.errors


def test_a_manifest_that_is_a_link_in_a_circle_is_refused(root: Path) -> None:
    loop(root / "warehouse_manifest.json")
    with pytest.raises(WarehouseError, match="no regular file"):
        open_warehouse(root).read("joined_profiles")


def test_a_footer_with_a_name_that_is_no_text_is_no_readable_file(root: Path) -> None:
    part = only_part(root)
    payload = part.read_bytes()
    assert b"Cells_AreaShape_Area" in payload
    part.write_bytes(payload.replace(b"Cells_AreaShape_Area", b"Cells_AreaShape_Are\x9c"))
    said = validate_warehouse_manifest(root)
    assert not said.is_valid
    assert any(part.name in error for error in said.errors)
