"""The store sensor takes plates once, whole and quiet; what it holds back or misses it says."""

import os
import shutil
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.assets.scanning import build_scan_options
from bioimage_assets.checks.stores import check_presence
from bioimage_assets.core.scan.scanner import scan_plate_source
from bioimage_assets.jobs.presence import build_presence_config
from bioimage_assets.sensors.store_events import read_held, read_taken_versions
from bioimage_assets_tests.dagster.step_inputs import give_inputs
from bioimage_assets_tests.dagster.store_ticks import Ticker, list_plates, write_field, write_plate


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "incoming"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def ticker(root: Path, use_data_dir) -> Ticker:
    return Ticker(use_data_dir(root.parent), dg.DagsterInstance.ephemeral())


def _settle(ticker: Ticker) -> dg.SensorResult:
    ticker.tick()
    return ticker.tick(11)


def test_a_new_plate_is_registered_and_requested_once_it_is_quiet(root, ticker):
    write_plate(root / "screen" / "P1.zarr")
    assert "settling" in ticker.tick().skip_reason.skip_message
    ticker.tick(11)
    assert ticker.requested() == ["screen/P1"]
    assert ticker.instance.get_dynamic_partitions("plates") == ["screen/P1"]
    assert ticker.instance.get_dynamic_partitions("datasets") == ["screen"]
    assert ticker.tick(11).run_requests == []
    assert ticker.tick(11).asset_events == []


def test_a_store_that_is_still_copied_is_held_with_the_missing_part_named(root, ticker):
    store = write_plate(root / "screen" / "P1.zarr", ("A/1", "A/2"))
    shutil.rmtree(store / "A" / "2")
    message = _settle(ticker).skip_reason.skip_message
    assert "incomplete" in message
    assert "A/2 is listed by the plate" in message
    (event,) = ticker.events(dg.AssetObservation)
    assert event.partition == "screen/P1"
    ticker.tick(11)
    assert ticker.events(dg.AssetObservation) == []
    assert "A/2" in read_held(ticker.instance, ["screen/P1"])["screen/P1"]
    write_plate(store, ("A/1", "A/2"))
    ticker.tick(1)
    ticker.tick(11)
    assert ticker.requested() == ["screen/P1"]
    assert read_held(ticker.instance, ["screen/P1"]) == {}


def test_a_store_that_stays_incomplete_is_quarantined_and_never_taken(root, ticker):
    store = write_plate(root / "screen" / "P1.zarr", fields=2)
    shutil.rmtree(store / "A" / "1" / "1")
    _settle(ticker)
    message = ticker.tick(25 * 3600).skip_reason.skip_message
    assert "quarantined" in message
    assert "materialize --plates screen/P1" in message
    (event,) = ticker.events(dg.AssetObservation)
    assert event.metadata["held"].value == "quarantined"


def test_a_completion_marker_spares_the_quiet_period_but_not_the_completeness(root, ticker, monkeypatch):
    monkeypatch.setenv("BIOIMAGE_COMPLETION_MARKER", "copied.txt")
    store = write_plate(root / "screen" / "P1.zarr", fields=2)
    (store / "copied.txt").write_text("")
    shutil.rmtree(store / "A" / "1" / "1")
    ticker.tick()
    assert ticker.requested() == []
    write_field(store / "A" / "1" / "1")
    ticker.tick(1)
    assert ticker.requested() == ["screen/P1"]


def test_a_removed_store_fails_a_check_and_runs_again_when_it_is_back(root, ticker):
    store = write_plate(root / "screen" / "P1.zarr")
    write_plate(root / "screen" / "P2.zarr")
    first = {r.partition_key: r.run_key for r in _settle(ticker).run_requests}
    shutil.move(store, root.parent / "aside")
    (request,) = _settle(ticker).run_requests
    assert (request.job_name, request.run_config["ops"]["check_stores"]["config"]["plates"]) == (
        "presence_check",
        ["screen/P1"],
    )
    assert read_taken_versions(ticker.instance)["screen/P1"] == "absent"
    assert ticker.tick(11).asset_events == []
    shutil.move(root.parent / "aside", store)
    (request,) = _settle(ticker).run_requests
    assert request.partition_key == "screen/P1"
    assert request.job_name == "plate_pipeline"
    assert request.run_key != first["screen/P1"]


def test_the_presence_check_fails_and_passes_again_as_the_store_goes_and_comes(root, ticker):
    from bioimage_assets.definitions import defs

    def run(keys: list[str]) -> list[tuple[str, bool]]:
        job = defs.resolve_job_def("presence_check")
        result = job.execute_in_process(instance=ticker.instance, run_config=build_presence_config(keys))
        evaluations = [
            e.asset_check_evaluation_data
            for e in result.all_events
            if e.event_type_value == "ASSET_CHECK_EVALUATION"
        ]
        return [(e.partition, e.passed) for e in evaluations]

    for plate in ("P1", "P2"):
        write_plate(root / "screen" / f"{plate}.zarr")
    _settle(ticker)
    assert run(["screen/P1"]) == [("screen/P1", True)]
    shutil.move(root / "screen" / "P1.zarr", root.parent / "aside")
    assert run(["screen/P1"]) == [("screen/P1", False)]
    assert run(["screen/P1", "screen/P2"]) == [("screen/P1", False), ("screen/P2", True)]
    shutil.move(root.parent / "aside", root / "screen" / "P1.zarr")
    assert run(["screen/P1"]) == [("screen/P1", True)]


def test_a_replaced_field_and_a_new_measurement_table_run_exactly_their_plate(root, ticker):
    for plate in ("P1", "P2"):
        write_plate(root / "screen" / f"{plate}.zarr", ("A/1", "B/2"))
    _settle(ticker)
    assert ticker.requested() == ["screen/P1", "screen/P2"]
    field = root / "screen" / "P1.zarr" / "B" / "2" / "0"
    shutil.rmtree(field)
    write_field(field)
    for path in (field / ".zattrs", field.parent):  # a file system may tell seconds apart only
        os.utime(path, (ticker.now_s - 5, ticker.now_s - 5))
    _settle(ticker)
    assert ticker.requested() == ["screen/P1"]
    (root / "screen" / "measurements").mkdir()
    (root / "screen" / "measurements" / "P2.csv").write_text("a\n1\n")
    _settle(ticker)
    assert ticker.requested() == ["screen/P2"]


def test_a_chunk_rewritten_in_place_is_found_by_the_deep_look(root, ticker):
    store = write_plate(root / "screen" / "P1.zarr")
    chunk = store / "A" / "1" / "0" / "0" / "0.0"
    chunk.write_bytes(b"\0" * 128)
    _settle(ticker)
    with chunk.open("r+b") as handle:
        handle.write(b"\1" * 128)
    os.utime(chunk, (ticker.now_s - 5, ticker.now_s - 5))
    _settle(ticker)
    assert ticker.requested() == ["screen/P1"]


def test_an_unmounted_or_missing_root_makes_no_plate_gone(root, ticker):
    write_plate(root / "screen" / "P1.zarr")
    _settle(ticker)
    shutil.move(root / "screen", root.parent / "elsewhere")
    assert "is it mounted" in _settle(ticker).skip_reason.skip_message
    root.rmdir()
    assert "unreadable-root" in _settle(ticker).skip_reason.skip_message
    assert read_taken_versions(ticker.instance)["screen/P1"] != "absent"
    root.mkdir()
    shutil.move(root.parent / "elsewhere", root / "screen")
    assert _settle(ticker).run_requests == []


def test_bad_names_and_broken_stores_stop_no_tick(root, ticker):
    write_plate(root / "screen" / "good plate & more.zarr")
    write_plate(root / "screen" / "empty.zarr").joinpath(".zattrs").write_text("{ no json")
    (root / "screen" / "just-a-folder.zarr").mkdir()
    bad = os.fsencode(str(root)) + b"/screen/bad\xff.zarr"
    os.mkdir(bad)
    (root / "line\nbreak").mkdir()
    _settle(ticker)
    taken = ticker.requested()
    assert "screen/good%20plate%20%26%20more" in taken
    assert not any("bad" in key or "just-a-folder" in key for key in taken)


@pytest.mark.slow
def test_many_new_plates_go_out_as_lists_of_fifty_dataset_by_dataset_in_turn(root, ticker, monkeypatch):
    from bioimage_assets.sensors import stores

    monkeypatch.setattr(stores, "PLATES_PER_TICK", 60)
    for number in range(70):
        write_plate(root / "big" / f"P{number:03}.zarr")
    for number in range(5):
        write_plate(root / "small" / f"P{number:03}.zarr")
    _settle(ticker)
    requests = ticker.results[-1].run_requests
    assert [int(r.tags["bioimage/plates"]) for r in requests] == [50, 10]
    assert len([k for k in ticker.instance.get_dynamic_partitions("plates") if k.startswith("small/")]) == 5
    ticker.tick(1)
    assert len(ticker.instance.get_dynamic_partitions("plates")) == 75
    assert len(ticker.cursor) < 200


@pytest.mark.slow
def test_changed_plates_that_are_no_neighbours_go_out_as_one_list(root, ticker):
    for number in range(60):
        write_plate(root / ("screen" if number % 2 else "other") / f"P{number:03}.zarr")
    _settle(ticker)
    (root / "screen" / "dataset.toml").write_text("")
    _settle(ticker)
    (request,) = ticker.results[-1].run_requests
    assert request.job_name == "plates_by_list"
    assert request.tags["bioimage/dataset"] == "screen"
    assert ticker.requested() == [f"screen/P{number:03}" for number in range(1, 60, 2)]


@pytest.mark.slow
def test_plates_that_arrive_in_scattered_order_are_a_run_per_fifty(root, ticker):
    """The order in which they became partitions does not matter."""
    ticker.instance.add_dynamic_partitions("plates", [f"screen/P{i:03}" for i in range(0, 200, 2)])
    for number in range(200):
        write_plate(root / "screen" / f"P{number:03}.zarr")
    _settle(ticker)
    assert [len(list_plates(request)) for request in ticker.results[-1].run_requests] == [50] * 4
    assert len(set(ticker.requested())) == 200


def test_a_touched_folder_is_looked_at_once_and_not_run(root, ticker):
    store = write_plate(root / "screen" / "P1.zarr")
    _settle(ticker)
    (store / "A" / "tmp").write_text("")
    (store / "A" / "tmp").unlink()
    assert _settle(ticker).run_requests == []
    assert ticker.tick(11).asset_events == []


def _write_measurements(root: Path) -> Path:
    table = root / "screen" / "measurements" / "P1" / "Cells.csv"
    table.parent.mkdir(parents=True)
    table.write_text("ImageNumber,ObjectNumber\n1,1\n")
    return table


def test_measurements_alone_are_requested_once_they_are_quiet(root, ticker):
    table = _write_measurements(root)
    assert "settling" in ticker.tick().skip_reason.skip_message
    table.write_text(table.read_text() + "1,2\n")
    ticker.tick(6)
    assert "settling" in ticker.tick(6).skip_reason.skip_message
    ticker.tick(11)
    assert ticker.requested() == ["screen/P1"]
    assert ticker.instance.get_dynamic_partitions("plates") == ["screen/P1"]
    (event,) = ticker.events(dg.AssetMaterialization)
    assert event.metadata["stores"].value == []
    assert ticker.tick(11).run_requests == []


def test_images_that_come_or_go_beside_measurements_are_a_change_of_the_same_plate(root, ticker):
    table = _write_measurements(root)
    _settle(ticker)
    store = write_plate(root / "screen" / "P1.zarr")
    _settle(ticker)
    assert ticker.requested() == ["screen/P1"]
    shutil.rmtree(store)
    _settle(ticker)
    assert ticker.requested() == ["screen/P1"]  # nothing was stored of them yet
    table.unlink()
    ticker.tick()
    ticker.tick(11)
    (event,) = ticker.events(dg.AssetMaterialization)
    assert event.tags["dagster/data_version"] == "absent"


def test_measurements_that_are_replaced_are_requested_again_by_a_process_that_knows_them(root, ticker):
    ticker.is_warm = True
    table = _write_measurements(root)
    _settle(ticker)
    table.write_text("ImageNumber,ObjectNumber\n1,1\n1,2\n")
    _settle(ticker)
    assert ticker.requested() == ["screen/P1"]


def test_stored_images_that_are_gone_beside_measurements_fail_the_check_of_presence_once(
    root, ticker, monkeypatch
):
    monkeypatch.setenv("BIOIMAGE_CATALOG", "none")
    _write_measurements(root)
    store = write_plate(root / "screen" / "P1.zarr")
    _settle(ticker)
    source = ticker.project.plate_sources(["screen/P1"])["screen/P1"]
    images = scan_plate_source(source, build_scan_options(give_inputs(ticker.project, "screen/P1"))).images
    ticker.project.warehouse().replace_partitions("image_assets", images, ["screen/P1"])
    shutil.rmtree(store)
    (request,) = _settle(ticker).run_requests
    assert request.job_name == "presence_check"
    assert request.run_config["ops"]["check_stores"]["config"]["plates"] == ["screen/P1"]
    verdict = check_presence(ticker.project, ticker.project.plate_sources(["screen/P1"])["screen/P1"])
    assert not verdict.passed
    assert f"{images.num_rows} stored image rows are kept" in verdict.description
    assert ticker.tick(11).run_requests == []
    write_plate(root / "screen" / "P1.zarr")
    _settle(ticker)
    assert ticker.requested() == ["screen/P1"]


@pytest.mark.slow
def test_a_misspelt_key_is_told_once_per_dataset_and_holds_no_other_dataset(root, ticker):
    for name in ("screen/P1", "screen/P2", "screen/P3", "other/P1"):
        write_plate(root / f"{name}.zarr")
    settings = root / "screen" / "dataset.toml"
    settings.write_text("[image_quality]\nz_limitt = 4\n")
    taken: list[str] = []
    told = []
    for _ in range(5):
        result = ticker.tick(20)
        taken += ticker.requested()
        told += [
            event for event in ticker.events(dg.AssetObservation) if event.metadata["held"].value == "refused"
        ]
    assert taken == ["other/P1"]
    (event,) = told
    assert (
        f"{settings}: unknown key 'image_quality.z_limitt'. Did you mean 'image_quality.z_limit'?"
        in event.description
    )
    assert result.skip_reason.skip_message.count("z_limitt") == 1
    settings.write_text("[image_quality]\nz_limit = 4\n")
    for _ in range(3):
        ticker.tick(20)
        taken += ticker.requested()
    assert sorted(taken) == ["other/P1", "screen/P1", "screen/P2", "screen/P3"]
