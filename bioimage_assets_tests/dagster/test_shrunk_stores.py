"""Images that a plate had at its last scan and has no longer are named, until there are more images again."""

import shutil
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from bioimage_assets.assets.shrunk_stores import find_gone_images
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.tables.findings import build_scan_findings
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS
from bioimage_assets.headless import materialize_plates
from bioimage_assets.plate_lists import add_upstream
from bioimage_assets_tests.core.tables.test_completeness import image
from bioimage_assets_tests.dagster.step_inputs import give_inputs, store_table
from bioimage_assets_tests.dagster.store_ticks import write_plate

KEY = "scr/P1"


def _images(*wells: str) -> pa.Table:
    rows = [image(well, "0", plate_key=KEY, dataset_id="scr") for well in wells]
    return pa.Table.from_pylist(rows, schema=IMAGE_ASSETS)


@pytest.fixture
def project(tmp_path, use_data_dir):
    write_plate(tmp_path / "data" / "incoming" / "scr" / "P1.zarr")
    project = use_data_dir(tmp_path / "data")
    store_table(project, "image_assets", KEY, PlateTable(_images("A01", "A02", "B01")))
    return project


def _inputs(project, **rows: int):
    return replace(give_inputs(project, KEY), stored_rows=rows)


def test_images_that_are_gone_are_counted_and_their_wells_named(project):
    (found,) = find_gone_images(_inputs(project, image_assets=3), _images("A01"))
    assert (found.code, found.severity, found.location) == ("images-gone", "error", "A02, B01")
    assert "had 3 images at its last scan and has 1 now; 2 are gone (wells A02, B01)" in found.message
    assert "partitions remove scr/P1" in found.message


@pytest.mark.parametrize("had", [0, 3])
def test_nothing_is_said_of_a_plate_that_is_new_or_has_what_it_had(project, had):
    assert find_gone_images(_inputs(project, image_assets=had), _images("A01", "A02", "B01")) == ()


def test_what_was_said_stands_until_there_are_more_images(project):
    (found,) = find_gone_images(_inputs(project, image_assets=3), _images("A01"))
    store_table(project, "image_assets", KEY, PlateTable(_images("A01")))
    rows = build_scan_findings([found], plate_key=KEY, dataset_id="scr")
    store_table(project, "scan_findings", KEY, PlateTable(rows))
    again = _inputs(project, image_assets=1, scan_findings=1)
    assert [one.message for one in find_gone_images(again, _images("A01"))] == [found.message]
    assert find_gone_images(again, _images("A01", "A02")) == ()


def test_files_that_a_pattern_made_channels_of_fields_are_not_gone(project):
    files = [image(None, None, plate_key=KEY, dataset_id="scr", image_id=f"f{number}") for number in range(4)]
    store_table(project, "image_assets", KEY, PlateTable(pa.Table.from_pylist(files, schema=IMAGE_ASSETS)))
    inputs = _inputs(project, image_assets=4)
    assert find_gone_images(inputs, _images("A01", "A02")) == ()
    fewer = pa.Table.from_pylist(files[:2], schema=IMAGE_ASSETS)
    assert [found.code for found in find_gone_images(inputs, fewer)] == ["images-gone"]


def test_a_selection_of_images_stores_what_their_scan_found_too(project):
    """The store has one image, two fewer than its last scan found."""
    with dg.DagsterInstance.ephemeral() as instance:
        materialize_plates(instance, select=["image_assets"], with_datasets=False)
    assert "images-gone" in project.tables().read("scan_findings", KEY)["code"].to_pylist()
    assert add_upstream(["chunk_index"]) == ("chunk_index",)


@pytest.mark.slow
def test_a_store_that_has_other_images_now_is_built_once(tmp_path: Path, use_data_dir) -> None:
    store = tmp_path / "data" / "incoming" / "scr" / "P1.zarr"
    project = use_data_dir(tmp_path / "data")
    write_plate(store, fields=3)
    with dg.DagsterInstance.ephemeral() as instance:
        materialize_plates(instance, with_datasets=False)
        shutil.rmtree(store)
        write_plate(store, wells=("A/1", "A/2"), fields=4)
        again = materialize_plates(instance, with_datasets=False)
        assert [outcome.status for outcome in again.plates] == ["built"]
        assert project.tables().warehouse.read("image_assets").num_rows == 8
        third = materialize_plates(instance, with_datasets=False)
    assert [outcome.status for outcome in third.plates] == ["current"]
