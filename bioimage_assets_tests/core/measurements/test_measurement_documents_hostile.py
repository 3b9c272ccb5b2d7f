"""Small documents beside measurements (settings, catalogs, platemaps): too long, too deep or leading elsewhere, they say so."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.discovery.dataset_file import parse_dataset_settings, read_dataset_settings
from bioimage_assets.core.errors import BioimageError, MeasurementError, ProfilingError, SettingsError
from bioimage_assets.core.measurements import cytotable_files
from bioimage_assets.core.profiling.platemap import read_platemap
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets_tests.builders.measurement_plates import write_warehouse
from bioimage_assets_tests.core.measurements.conftest import Reader
from bioimage_assets_tests.core.measurements.test_measurement_parquet_hostile import COLUMNS


@pytest.mark.parametrize(
    "value", ["[" * 100_000, "9" * 5_000, "{a=" * 50_000, "1e999999999", "nan", '"\\ud800"']
)
def test_a_setting_that_cannot_be_is_a_settings_error_that_names_the_file(value: str) -> None:
    with pytest.raises(SettingsError, match=r"screen/dataset\.toml"):
        parse_dataset_settings(f"[measurements]\nduplicates = {value}\n", "screen/dataset.toml")


def test_settings_of_more_than_a_megabyte_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text("#" * ((1 << 20) + 1))
    with pytest.raises(BioimageError, match="limit"):
        read_dataset_settings(str(tmp_path))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{}", '{"tables": 7}', '{"tables": {"profiles./etc/x": {}}}', "9" * 5_000]
)
def test_a_catalog_that_cannot_be_or_leads_elsewhere_is_an_error(
    tmp_path: Path, read_plate: Reader, text: str
) -> None:
    root = write_warehouse(tmp_path / "P1", pa.table(COLUMNS))
    (root / "catalog.json").write_text(text)
    with pytest.raises(MeasurementError, match=r"catalog\.json"):
        read_plate(tmp_path / "P1")


def test_a_catalog_that_names_a_folder_elsewhere_gives_none_of_its_rows(
    tmp_path: Path, read_plate: Reader
) -> None:
    root = write_warehouse(tmp_path / "P1", pa.table(COLUMNS))
    (tmp_path / "other" / "data").mkdir(parents=True)
    pq.write_table(pa.table(COLUMNS), tmp_path / "other" / "data" / "a.parquet")
    (root / "catalog.json").write_text(json.dumps({"tables": {f"profiles.{tmp_path / 'other'}": {}}}))
    with pytest.raises(MeasurementError, match="leads elsewhere"):
        read_plate(tmp_path / "P1")


def test_documents_beyond_the_cap_are_not_read(
    tmp_path: Path, read_plate: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_warehouse(tmp_path / "P1", pa.table(COLUMNS))
    monkeypatch.setattr(cytotable_files, "MAX_DOCUMENT_BYTES", 10)
    with pytest.raises(MeasurementError, match="at most 10 bytes"):
        read_plate(tmp_path / "P1")


def test_a_sparse_row_of_far_more_values_than_columns_is_refused_before_it_is_read(
    tmp_path: Path, read_plate: Reader
) -> None:
    with h5py.File(tmp_path / "P1.h5ad", "w") as file:
        for name, index in (("obs", ["a", "b"]), ("var", ["Cells_A", "Cells_B"])):
            group = file.create_group(name)
            group.attrs.update({"_index": "_index", "column-order": np.array([], "S1")})
            group["_index"] = np.array(index, "S9")
        sparse = file.create_group("X")
        sparse.attrs.update({"encoding-type": "csr_matrix", "shape": np.array([2, 2])})
        count = 5_000_000
        sparse["indptr"] = np.array([0, count, count])
        for part in ("data", "indices"):
            sparse.create_dataset(part, (count,), "i4", chunks=(1 << 16,), compression="gzip")
    assert (tmp_path / "P1.h5ad").stat().st_size < 1 << 16
    with pytest.raises(MeasurementError, match=r"expected at most 4 values in 2 lines of 2, found 5000000"):
        read_plate(tmp_path / "P1.h5ad")


def test_a_platemap_of_many_equal_wells_is_refused_in_time_that_grows_with_its_rows(tmp_path: Path) -> None:
    """Each well was compared with all others: a file within the limit took hours."""
    folder = tmp_path / "platemaps"
    folder.mkdir()
    (folder / "P1.txt").write_text("well_position\tcompound\n" + "A01\ta\nB02\tb\n" * 15_000)
    with pytest.raises(ProfilingError, match=r"describes well\(s\) \['A01', 'B02'\] more than once"):
        read_platemap(tmp_path, "P1", DatasetSettings())
