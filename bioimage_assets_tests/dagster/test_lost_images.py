"""A plate never loses stored images because only its measurements, or a table that names them, are left."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from bioimage_assets.assets.scanning import build_scan_options, require_images
from bioimage_assets.core.errors import StoreNotFoundError
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.scan.scanner import scan_plate_source
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.builders.tiff_plates import write_plane
from bioimage_assets_tests.dagster.step_inputs import give_inputs

KEY = "screen/P1"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_data_dir) -> ProjectResource:
    monkeypatch.setenv("BIOIMAGE_CATALOG", "none")
    return use_data_dir(tmp_path)


def _write_load_data(tmp_path: Path, folder: str) -> None:
    table = tmp_path / "incoming" / "screen" / "load_data" / "P1.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(
        "Metadata_Plate,Metadata_Well,Metadata_Site,FileName_DNA,PathName_DNA\n"
        f"P1,A01,1,P1_A01_s1_w1.tif,{folder}\n"
    )


def _source(project: ProjectResource) -> PlateSource:
    return project.plate_sources([KEY])[KEY]


def _scan(project: ProjectResource) -> tuple[PlateSource, pa.Table]:
    source = _source(project)
    return source, scan_plate_source(source, build_scan_options(give_inputs(project, KEY))).images


def _store(project: ProjectResource, images: pa.Table) -> None:
    project.warehouse().replace_partitions(
        "image_assets", images, [KEY], source_type="test", source_ref="test"
    )


def test_images_that_are_only_named_any_more_do_not_replace_opened_ones(project, tmp_path):
    store = tmp_path / "incoming" / "screen" / "P1"
    write_plane(store / "P1_A01_s1_w1.tif")
    source, opened = _scan(project)
    require_images(project.tables(), source, opened)
    _store(project, opened)
    (store / "P1_A01_s1_w1.tif").unlink()
    _write_load_data(tmp_path, "s3://archive/P1")
    source, named = _scan(project)
    assert named["scan_status"].to_pylist() == ["listed"]
    with pytest.raises(StoreNotFoundError, match="1 stored image rows are kept"):
        require_images(project.tables(), source, named)


def test_images_that_a_table_names_here_are_stored_again_and_again(project, tmp_path):
    write_plane(tmp_path / "incoming" / "screen" / "metadata" / "P1_A01_s1_w1.tif")
    _write_load_data(tmp_path, "../metadata")
    source, opened = _scan(project)
    assert opened["scan_status"].to_pylist() == ["ok"]
    _store(project, opened)
    require_images(project.tables(), source, opened)


def test_named_images_are_kept_when_their_table_goes_and_give_way_to_real_ones(project, tmp_path):
    _write_load_data(tmp_path, "s3://archive/P1")
    source, named = _scan(project)
    require_images(project.tables(), source, named)
    _store(project, named)
    gone = replace(source, store_uris=())
    with pytest.raises(StoreNotFoundError, match="partitions remove"):
        require_images(project.tables(), gone, named.slice(0, 0))
    write_plane(tmp_path / "incoming" / "screen" / "P1" / "P1_A01_s1_w1.tif")
    source, opened = _scan(project)
    assert opened["image_id"].equals(named["image_id"])
    require_images(project.tables(), source, opened)
