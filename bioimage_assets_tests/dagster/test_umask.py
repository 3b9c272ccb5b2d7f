"""What the project writes is as open to others as the umask says: no more, and no less."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bioimage_assets.core.discovery.dataset_template import write_dataset_template
from bioimage_assets.core.scratch import open_scratch
from bioimage_assets.headless import materialize_plates
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate


@pytest.fixture
def with_umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def list_modes(folder: Path) -> dict[str, int]:
    """Permission bits of everything below a folder."""
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode)
        for path in folder.rglob("*")
        if not path.is_symlink()
    }


def build_everything(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plate with measurements, all its tables, pages, views and Dagster's own files below ``folder``."""
    for name in ("data", "home", "tmp"):
        (folder / name).mkdir()
    monkeypatch.setenv("BIOIMAGE_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    dataset = folder / "data" / "incoming" / "screen"
    write_pixel_plate(dataset / "P1.ome.zarr", fields=1, levels=1)
    (dataset / "measurements").mkdir()
    wells = ["A01", "A01", "B02", "B02"]
    values = np.random.default_rng(1).normal(size=4)
    cells = {"Metadata_Well": wells, "Cells_AreaShape_Area": values, "Cells_Intensity_Mean_DNA": values[::-1]}
    pq.write_table(pa.table(cells), dataset / "measurements" / "P1.parquet")
    write_dataset_template(str(dataset))
    instance = dg.DagsterInstance.local_temp(str(folder / "home"))
    assert materialize_plates(instance, with_datasets=False).is_ok
    with open_scratch() as scratch:
        (scratch / "rows").touch()


@pytest.mark.slow
def test_everything_written_has_exactly_the_rights_that_the_umask_leaves(tmp_path, monkeypatch, with_umask):
    """Explicit rights would show here, and so would a private temporary file that took a table's place."""
    with_umask(0o027)
    build_everything(tmp_path, monkeypatch)
    modes = list_modes(tmp_path)
    kept = {name: mode for name, mode in modes.items() if not name.startswith("tmp/")}
    odd = {name: oct(mode) for name, mode in kept.items() if mode not in (0o640, 0o750)}
    assert odd == {}
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o027} == {}
    # What is meant: database, data files, tables, manifest, views, pages, Dagster's history, settings, scratch.
    text = "\n".join(modes)
    for part in (
        "catalog.db", ".parquet", "warehouse_manifest.json", "views.sql", "reports/", ".html", "home/", "dataset.toml",
        "tmp/bioimage-scratch-",
    ):  # fmt: skip
        assert part in text, part


def test_settings_that_were_written_follow_the_umask(tmp_path, with_umask):
    for umask, mode in ((0o077, 0o600), (0o022, 0o644), (0o002, 0o664)):
        folder = tmp_path / oct(umask)
        folder.mkdir()
        with_umask(umask)
        write_dataset_template(str(folder))
        assert oct(stat.S_IMODE((folder / "dataset.toml").stat().st_mode)) == oct(mode)
