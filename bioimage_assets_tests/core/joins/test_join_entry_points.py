"""What every entry point accepts alike: kinds of tables, declared aliases, and payloads that no frame library touches."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import zarr

from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.catalog.session import open_catalog
from bioimage_assets.core.joins.contract import validate_microscopy_profile_table
from bioimage_assets.core.joins.join import join_plate
from bioimage_assets.core.joins.query import query_metadata_table
from bioimage_assets.core.model.scan_result import build_scan_result
from bioimage_assets.core.public_api.join import (
    join_catalog_image_assets_with_profiles,
    join_image_assets_with_profiles,
    join_profiles_with_scan_result,
    join_profiles_with_store,
)
from bioimage_assets.core.scan.scanner import scan_store_records
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.core.joins.join_builders import plate_images

PROJECT, IMAGE = "experiment", "experiment"  # what a store with one array at its root is called
CELLS = pa.table({"ProjectCode": [PROJECT] * 2, "PictureKey": [IMAGE, "other"], "Cells_Area": [1.5, 2.5]})
ALIASES = {"dataset_id": ["ProjectCode"], "image_id": ["PictureKey"]}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.zarr"
    zarr.create_array(path, shape=(8, 8), chunks=(4, 4), dtype="u2")[...] = 1
    return path


def forms(folder: Path) -> dict[str, object]:
    """The same two rows in every accepted form."""
    parts = folder / "parts"
    parts.mkdir(parents=True)
    for row in (0, 1):
        pq.write_table(CELLS.slice(row, 1), parts / f"{row}.parquet")
    pq.write_table(CELLS, folder / "cells.parquet")
    pa_csv.write_csv(CELLS, folder / "cells.csv")
    return {
        "path": folder / "cells.parquet", "text": str(folder / "cells.parquet"), "folder": parts,
        "glob": str(parts / "*.parquet"), "csv": folder / "cells.csv", "arrow": CELLS, "pandas": CELLS.to_pandas(),
        "polars": pl.from_arrow(CELLS), "rows": CELLS.to_pylist(),
    }  # fmt: skip


def entry_points(store: Path, folder: Path) -> dict[str, Callable[[object], list[object]]]:
    """Every function that joins, each giving the linking rules of the rows."""
    scan = scan_store_records(str(store))
    images = [{"dataset_id": i.dataset_id, "image_id": i.image_id, "uri": i.uri} for i in scan.images]
    properties = {"type": "sql", "uri": f"sqlite:///{folder}/c.db", "warehouse": folder.as_uri()}
    catalog = open_catalog("entry", properties)
    table = plate_images().slice(0, 1)
    for name, value in (("dataset_id", PROJECT), ("image_id", scan.images[0].image_id)):
        table = table.set_column(table.schema.names.index(name), table.schema.field(name), pa.array([value]))
    replace_partitions(catalog, ("bio", "image_assets"), table, ["ds/P1"])
    options = {"alias_map": ALIASES}
    return {
        "images": lambda cells: join_image_assets_with_profiles(images, cells, **options),
        "store": lambda cells: join_profiles_with_store(str(store), cells, **options),
        "scan": lambda cells: join_profiles_with_scan_result(build_scan_result(scan), cells, **options),
        "catalog": lambda cells: join_catalog_image_assets_with_profiles(catalog, "bio", cells, **options),
        "plate": lambda cells: join_plate(
            pa.Table.from_pylist(images), cells,
            settings=DatasetSettings(aliases={key: tuple(names) for key, names in ALIASES.items()}),
        ).table(),
    }  # fmt: skip


@pytest.mark.slow
def test_every_join_takes_every_kind_of_table_under_declared_names(tmp_path: Path, store: Path) -> None:
    tables = forms(tmp_path / "forms")
    image_id = scan_store_records(str(store)).images[0].image_id
    assert image_id == IMAGE
    for point, join in entry_points(store, tmp_path).items():
        for form, cells in tables.items():
            joined = join(cells)
            assert joined["join_rule"].to_pylist() == ["image_id", None], (point, form)
            assert joined["Cells_Area"].to_pylist() == [1.5, 2.5], (point, form)


def test_contract_and_query_take_every_kind_of_table(tmp_path: Path) -> None:
    for form, cells in forms(tmp_path / "forms").items():
        assert validate_microscopy_profile_table(cells, alias_map=ALIASES).is_valid, form
        assert not validate_microscopy_profile_table(cells).is_valid, form
        found = query_metadata_table(cells, columns="PictureKey", filters=[("Cells_Area", ">", 2)])
        assert found.to_pylist() == [{"PictureKey": "other"}], form


def test_payloads_pass_measurements_and_join_where_no_frame_library_can_be_loaded(tmp_path: Path) -> None:
    payload = pa.array(
        [{"type": "ome.arrow", "planes": [{"z": 0, "pixels": [1, 2]}]}, None],
        pa.struct([("type", pa.string()), ("planes", pa.list_(pa.struct([("z", pa.uint16()), ("pixels", pa.list_(pa.uint16()))])))]),
    )  # fmt: skip
    cells = pa.table(
        {"Metadata_Well": ["A01", "Z9"], "Metadata_Site": ["0", "0"], "ome_arrow_image": payload}
    )
    pq.write_table(cells, tmp_path / "cells.parquet")
    pq.write_table(plate_images(), tmp_path / "images.parquet")
    script = f"""
import sys
class NoFrames:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pandas", "polars"):
            raise ImportError(name)
sys.meta_path.insert(0, NoFrames())
import pyarrow.parquet as pq
from bioimage_assets.core.joins.join import join_plate
from bioimage_assets.core.measurements.read import read_measurements
from bioimage_assets.core.settings.dataset import DatasetSettings
cells = read_measurements([{str(tmp_path / "cells.parquet")!r}], plate_key="ds/P1", dataset_id="ds", plate_name="P1",
                          settings=DatasetSettings())
result = join_plate(pq.read_table({str(tmp_path / "images.parquet")!r}), cells.reader, plate_key="ds/P1")
result.write_parquet({str(tmp_path / "joined.parquet")!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    joined = pq.read_table(tmp_path / "joined.parquet")["ome_arrow_image"].combine_chunks()
    assert joined.type == payload.type
    assert joined.equals(payload)


def test_the_row_index_of_a_frame_is_no_column() -> None:
    frame = pd.DataFrame({"Metadata_Well": ["A1"], "Metadata_Site": ["0"]}, index=[17])
    joined = join_plate(plate_images(), frame, plate_key="ds/P1").table()
    assert [name for name in joined.column_names if "index" in name] == []
