"""Virtual plates as assets: of datasets that ask for them alone, made again when the plate changed, gone when nobody asks any more."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import numpy as np
import pytest
import tifffile
import zarr

from bioimage_assets.cli.main import main
from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.model.table_specs import list_steps
from bioimage_assets.core.storage import stale
from bioimage_assets.core.storage.plate_files import find_files
from bioimage_assets.core.storage.stale import explain_stale
from bioimage_assets.core.storage.state import look_at_stored
from bioimage_assets.core.virtual.open import open_virtual_plate
from bioimage_assets.headless import HeadlessReport, materialize_plates
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.retire import retire_plates
from bioimage_assets_tests.builders.browse_thread import run_in_thread
from bioimage_assets_tests.builders.s3_server import create_bucket, run_s3, storage_options
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, write_htd, write_plane

pytestmark = pytest.mark.slow

KEY = "screen/P1"
NEEDED = ["image_assets", "chunk_index", "virtual_plates"]
CHECK = dg.AssetCheckKey(dg.AssetKey("virtual_plates"), "virtual_plate_opens")


@pytest.fixture
def folder(tmp_path: Path, use_data_dir: Callable[[Path], ProjectResource]) -> Path:
    """A project with one ImageXpress plate: two wells of one field of two channels, whose pixels differ."""
    plate = tmp_path / "data" / "incoming" / "screen" / "P1"
    for number, well in enumerate(("A01", "B02")):
        for channel in (1, 2):
            path = write_plane(plate / imagexpress_name(well, 1, channel))
            tifffile.imwrite(path, _pixels(number, channel), metadata=None)
    write_htd(plate / "P1.HTD", ["DAPI", "GFP"], wells=("A01", "B02"), sites=(True,))
    use_data_dir(tmp_path / "data")
    return tmp_path / "data"


def _pixels(well: int, channel: int) -> np.ndarray:
    return np.arange(12 * 16, dtype=np.uint16).reshape(12, 16) + 1000 * well + 300 * channel


def ask(folder: Path, text: str = "write = true") -> None:
    (folder / "incoming" / "screen" / "dataset.toml").write_text(f"[virtual_plates]\n{text}\n")


def build(instance: dg.DagsterInstance, names: list[str] = NEEDED) -> HeadlessReport:
    return materialize_plates(instance, select=names, with_datasets=False)


def read_metadata(instance: dg.DagsterInstance) -> dict[str, object]:
    event = instance.get_latest_materialization_event(dg.AssetKey("virtual_plates"))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: entry.value for name, entry in event.asset_materialization.metadata.items()}


def read_verdict(instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([CHECK])[CHECK]
    return record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]


def explain(project: ProjectResource) -> tuple[str, ...]:
    """Why the plate would be built now."""
    source = project.plate_sources([KEY])[KEY]
    settings = project.dataset_settings(source.dataset_uri)
    return explain_stale(look_at_stored(project.tables()), "plate", KEY, [source], settings)


def list_files(folder: Path) -> dict[str, bytes]:
    place = folder / "virtual_plates"
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_a_plate_that_nobody_asks_for_has_none_and_is_current(folder):
    project, instance = ProjectResource(), dg.DagsterInstance.ephemeral()
    assert materialize_plates(instance, with_datasets=False).is_ok
    assert not (folder / "virtual_plates").exists()
    assert str(read_metadata(instance)["note"]).startswith("not asked for")
    assert read_verdict(instance).description == "no virtual plate is asked for"
    assert [plate.status for plate in materialize_plates(instance).plates] == ["current"]
    ask(folder)
    assert explain(project) == ("settings changed: [virtual_plates] write",)
    assert materialize_plates(instance, with_datasets=False).is_ok
    assert find_files(project.settings.virtual_plates_uri, KEY)
    assert [plate.status for plate in materialize_plates(instance).plates] == ["current"]


@pytest.mark.parametrize("form", ["json", "parquet", "icechunk"])
def test_a_plate_that_is_asked_for_is_written_and_checked(folder, form):
    ask(folder, f'write = true\nformat = "{form}"')
    project, instance = ProjectResource(), dg.DagsterInstance.ephemeral()
    assert build(instance).is_ok
    uri = find_files(project.settings.virtual_plates_uri, KEY)
    assert uri == str(folder / "virtual_plates" / "screen" / f"P1.{form}")
    root = zarr.open_group(open_virtual_plate(uri), mode="r")
    for number, path in enumerate(("A/1/1/0", "B/2/1/0")):
        expected = np.stack([_pixels(number, channel) for channel in (1, 2)])
        assert np.array_equal(np.squeeze(root[path][:]), expected)
    metadata = read_metadata(instance)
    assert (metadata["images"], metadata["images_refused"], metadata["path"]) == (2, 0, uri)
    assert metadata["stored_bytes"] == sum(
        len(text) for name, text in list_files(folder).items() if ".made-" not in name
    )


def test_the_check_says_that_the_pixels_are_those_of_the_files(folder):
    ask(folder)
    instance = dg.DagsterInstance.ephemeral()
    assert build(instance).is_ok
    evaluation = read_verdict(instance)
    assert evaluation.passed
    assert evaluation.description == "planes of 2 of 2 fields have the pixels of the original files"


def test_building_again_changes_no_byte_and_a_changed_plate_is_written_again(folder):
    ask(folder)
    project, instance = ProjectResource(), dg.DagsterInstance.ephemeral()
    build(instance)
    first = list_files(folder)
    assert build(instance).is_ok, "a selection is built although it is current"
    assert list_files(folder) == first
    changed = folder / "incoming" / "screen" / "P1" / imagexpress_name("A01", 1, 1)
    tifffile.imwrite(
        changed, _pixels(5, 1)[:, ::-1], metadata=None, compression=None, description="taken again"
    )
    assert build(instance).is_ok
    root = zarr.open_group(open_virtual_plate(find_files(project.settings.virtual_plates_uri, KEY)), mode="r")
    assert np.array_equal(np.squeeze(root["A/1/1/0"][:])[0], _pixels(5, 1)[:, ::-1])
    assert len(list_files(folder)) == 2, "the file and its marker"


def test_another_form_takes_the_place_of_the_one_before(folder):
    ask(folder)
    instance = dg.DagsterInstance.ephemeral()
    build(instance)
    ask(folder, 'write = true\nformat = "parquet"')
    build(instance)
    top = {name.split("/")[1] for name in list_files(folder)}
    assert {name.partition(".made-")[0] for name in top} == {"P1.parquet"}


def test_a_plate_that_is_no_longer_asked_for_is_removed(folder):
    ask(folder)
    instance = dg.DagsterInstance.ephemeral()
    build(instance)
    ask(folder, "write = false")
    assert build(instance).is_ok
    assert list_files(folder) == {}
    with pytest.raises(MissingTableError, match=r"\[virtual_plates\] write = true"):
        find_files(ProjectResource().settings.virtual_plates_uri, KEY)


def test_a_file_that_somebody_removed_is_made_again(folder):
    ask(folder)
    project, instance = ProjectResource(), dg.DagsterInstance.ephemeral()
    build(instance)
    os.remove(find_files(project.settings.virtual_plates_uri, KEY))
    assert look_at_stored(project.tables()).fingerprint("virtual_plates", KEY) is None
    assert build(instance).is_ok
    assert find_files(project.settings.virtual_plates_uri, KEY)


def test_a_retired_plate_leaves_no_virtual_plate(folder):
    ask(folder)
    instance = dg.DagsterInstance.ephemeral()
    build(instance)
    retire_plates(instance, ProjectResource(), [KEY])
    assert list_files(folder) == {}


def test_a_version_that_the_format_cannot_have_fails_the_plate_by_name(folder):
    ask(folder, 'write = true\nformat = "parquet"\nversion = "0.5"')
    report = build(dg.DagsterInstance.ephemeral())
    assert not report.is_ok
    assert "parquet is OME-Zarr 0.4" in str(report.plates[0])
    assert not (folder / "virtual_plates").exists()


@pytest.mark.parametrize("form", ["json", "icechunk"])
def test_virtual_plates_of_a_bucket_are_written_checked_and_removed(folder, monkeypatch, form):
    ask(folder, f'write = true\nformat = "{form}"')
    with run_s3() as endpoint:
        root = f"s3://{create_bucket(endpoint)}/virtual"
        for name, value in storage_options(endpoint).items():
            monkeypatch.setenv(f"BIOIMAGE_STORAGE_{name.upper()}", value)
        monkeypatch.setenv("BIOIMAGE_VIRTUAL_PLATES", root)
        project, instance = ProjectResource(), dg.DagsterInstance.ephemeral()
        options = project.settings.storage_options
        assert build(instance).is_ok
        assert read_verdict(instance).passed
        uri = find_files(root, KEY, options)
        assert uri == f"{root}/screen/P1.{form}"
        found = zarr.open_group(open_virtual_plate(uri, options), mode="r")["A/1/1/0"][:]
        assert np.array_equal(np.squeeze(found)[0], _pixels(0, 1))
        retire_plates(instance, project, [KEY])
        with pytest.raises(MissingTableError):
            find_files(root, KEY, options)


def test_the_command_writes_no_references_into_files_that_changed_since_they_were_scanned(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = dg.DagsterInstance.ephemeral()
    assert build(instance, ["image_assets", "chunk_index"]).is_ok
    target = folder / "P1.json"
    words = ["virtual-plate", KEY, "--to", str(target)]
    assert main(words) == 0
    before = target.read_bytes()
    changed = folder / "incoming" / "screen" / "P1" / imagexpress_name("A01", 1, 1)
    # As long as before or longer: its bytes can be read, and are not those that they were taken for.
    tifffile.imwrite(changed, _pixels(5, 5), metadata=None, description="x" * 400)
    capsys.readouterr()
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"{KEY}: its files, or settings of its scan, changed since they were scanned" in said
    assert f"bioimage-assets materialize --plates {KEY}" in said
    assert target.read_bytes() == before
    with run_in_thread(ProjectResource().settings) as server:
        address = server.get("api/plate", plate_key=KEY).json()["links"]["zarr"]  # type: ignore[index]
        answer = server.ask(f"{urlsplit(str(address)).path}/zarr.json")
    assert answer.status == 422
    assert "changed since they were scanned" in answer.body.decode()

    assert main(["virtual-plate", str(changed.parent), "--to", str(folder / "scanned.json")]) == 0
    assert build(instance, ["image_assets", "chunk_index"]).is_ok
    assert main(words) == 0
    for path in (target, folder / "scanned.json"):
        root = zarr.open_group(open_virtual_plate(str(path)), mode="r")
        assert np.array_equal(np.squeeze(root["A/1/1/0"][:])[0], _pixels(5, 5))


def test_a_plate_that_an_earlier_version_scanned_is_still_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build(dg.DagsterInstance.ephemeral(), ["image_assets", "chunk_index"]).is_ok
    newer = [
        replace(step, tables=tuple(replace(table, version=table.version + 2) for table in step.tables))
        for step in list_steps("plate")
    ]
    monkeypatch.setattr(stale, "list_steps", lambda dimension: newer)
    assert main(["virtual-plate", KEY, "--to", str(folder / "P1.json")]) == 0
