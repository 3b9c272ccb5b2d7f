"""What the server answers, compared with the stored rows and with pixels that tifffile and zarr read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tifffile
import zarr
from PIL import Image

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.pixels.crop import read_crop
from bioimage_assets.core.pixels.locate import CropChoice, locate
from bioimage_assets.core.storage.step_findings import store_findings
from bioimage_assets.core.tables.schemas import IMAGE_ASSETS
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets_tests.browse.server.conftest import TIFF_PLATE, ZARR_PLATE, Project
from bioimage_assets_tests.builders.browse_thread import Server, run_in_thread
from bioimage_assets_tests.builders.stored_project import (
    CONDITION,
    FEATURE,
    LIMIT,
    settings_of,
    store_cells,
    store_images,
)
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate


def read_samples(server: Server, **parameters: object) -> np.ndarray:
    answer = server.get("pixels", **parameters)
    assert answer.status == 200, answer.body
    shape = tuple(map(int, answer.headers["x-shape"].split(",")))
    return np.frombuffer(answer.body, np.dtype(answer.headers["x-dtype"]).newbyteorder("<")).reshape(shape)


def test_plates_are_listed_with_what_is_stored_of_them(server: Server, project: Project) -> None:
    datasets = server.get("api/plates").json()["datasets"]
    assert [(d["dataset_id"], [p["plate_key"] for p in d["plates"]]) for d in datasets] == [
        ("screen", [ZARR_PLATE]),
        ("screen%20two", [TIFF_PLATE]),
    ]
    first, second = datasets[0]["plates"][0], datasets[1]["plates"][0]
    assert (first["well_count"], first["field_count"], first["cell_count"]) == (2, 4, project.cells.num_rows)
    assert (second["well_count"], second["field_count"], second["cell_count"]) == (2, 4, None)


def test_a_plate_has_its_grid_fields_channels_and_what_it_can_be_painted_with(server: Server) -> None:
    plate = server.get("api/plate", plate_key=ZARR_PLATE).json()
    assert (plate["rows"], plate["columns"]) == (["A", "B"], ["1", "2", "3"])
    assert [(w["well_id"], w["row"], w["column"], len(w["fields"])) for w in plate["wells"]] == [
        ("A01", "A", "1", 2),
        ("A02", "A", "2", 2),
    ]
    assert [(c["name"], c["color"], c["limit"]) for c in plate["channels"]] == [
        ("DNA", "4073FF", 65535.0),
        ("ER", "1AE659", 65535.0),
    ]
    assert all(c["min"] < c["max"] for c in plate["channels"])
    assert {m["name"] for m in plate["measurements"]} == {"cells", "cells_failed", "qc_pass", FEATURE}


def test_a_plate_of_a_key_with_signs_is_found(server: Server) -> None:
    plate = server.get("api/plate", plate_key=TIFF_PLATE).json()
    assert [w["well_id"] for w in plate["wells"]] == ["A01", "B03"]
    thumbnail = plate["wells"][0]["fields"][0]["thumbnail"]
    assert server.ask(f"{server.base}{thumbnail}&size=48").status == 200


def test_wells_are_painted_with_the_stored_numbers(server: Server) -> None:
    values = server.get("api/well-values", plate_key=ZARR_PLATE, name=FEATURE).json()
    assert values == {"name": FEATURE, "wells": {"A01": 1.5, "A02": -2.0}, "min": -2.0, "max": 1.5}
    assert server.get("api/well-values", plate_key=ZARR_PLATE, name="qc_pass").json()["wells"] == {
        "A01": 0.75
    }
    assert server.get("api/well-values", plate_key=ZARR_PLATE, name="nothing").status == 404


def test_cells_of_a_well_are_those_that_are_stored(server: Server, project: Project) -> None:
    page = server.get("api/cells", plate_key=ZARR_PLATE, well_id="A02", limit=1000).json()
    expected = project.cells.to_pandas().query("well_id == 'A02'")
    assert page["total"] == len(expected) == len(page["rows"])
    assert [row["object_id"] for row in page["rows"]] == expected["Metadata_ObjectID"].tolist()
    assert [row["values"][FEATURE] for row in page["rows"]] == expected[FEATURE].tolist()
    first = page["rows"][0]
    assert first["box"] == [2, 6, 1, 7]


def test_failed_cells_are_those_beyond_the_limit_and_the_page_of_one_says_why(
    server: Server, project: Project
) -> None:
    cells = project.cells.to_pandas()
    scores = (cells[FEATURE] - cells[FEATURE].mean()) / cells[FEATURE].std(ddof=0)
    failed = cells[(scores > LIMIT) & (cells["well_id"] == "A02")]
    page = server.get("api/cells", plate_key=ZARR_PLATE, well_id="A02", only_failed=1).json()
    assert [row["object_id"] for row in page["rows"]] == failed["Metadata_ObjectID"].tolist()
    assert {row["passed"] for row in page["rows"]} == {False}
    assert {tuple(row["reasons"]) for row in page["rows"]} == {(CONDITION,)}
    one = server.get("api/cell", plate_key=ZARR_PLATE, object_id=failed["Metadata_ObjectID"].iloc[0]).json()
    assert one["well_id"] == "A02"
    (why,) = one["why"]
    assert why["thresholds"][FEATURE]["zscore"] == LIMIT
    cutoff = cells[FEATURE].mean() + LIMIT * cells[FEATURE].std(ddof=0)
    assert why["thresholds"][FEATURE]["cutoff"] == pytest.approx(cutoff)
    assert why["values"][FEATURE]["value"] == failed[FEATURE].iloc[0]
    assert why["values"][FEATURE]["zscore"] == pytest.approx(scores[failed.index[0]])


def test_a_page_of_cells_is_a_part_of_the_whole(server: Server, project: Project) -> None:
    whole = server.get("api/cells", plate_key=ZARR_PLATE, well_id="A01").json()
    part = server.get("api/cells", plate_key=ZARR_PLATE, well_id="A01", offset=3, limit=2).json()
    assert part["total"] == whole["total"] == 8
    assert part["rows"] == whole["rows"][3:5]
    image = whole["rows"][5]["image_id"]
    of_image = server.get("api/cells", plate_key=ZARR_PLATE, well_id="A01", image_id=image).json()
    assert of_image["rows"] == [row for row in whole["rows"] if row["image_id"] == image]


@pytest.mark.parametrize("level", [0, 1, 2])
def test_pixels_are_those_of_the_zarr_array(server: Server, project: Project, level: int) -> None:
    array = zarr.open_array(project.zarr_store / "A" / "2" / "1" / str(level), mode="r")
    image = next(r for r in project.images[ZARR_PLATE].to_pylist() if r["array_path"] == "A/2/1/0")
    height, width = array.shape[1:]
    given = {"plate_key": ZARR_PLATE, "image_id": image["image_id"], "level": level, "c": 1}
    assert np.array_equal(
        read_samples(server, **given, y0=0, y1=height, x0=0, x1=width), np.asarray(array[1])
    )
    assert np.array_equal(
        read_samples(server, **given, y0=1, y1=height - 1, x0=2, x1=width), np.asarray(array[1, 1:-1, 2:])
    )


@pytest.mark.parametrize("channel", [0, 1])
def test_pixels_are_those_of_the_tiff(server: Server, project: Project, channel: int) -> None:
    expected = tifffile.imread(project.tiff_folder / imagexpress_name("B03", 2, channel + 1))
    rows = project.images[TIFF_PLATE].to_pylist()
    image = next(row for row in rows if (row["well_id"], row["site_id"]) == ("B03", "2"))
    found = read_samples(
        server, plate_key=TIFF_PLATE, image_id=image["image_id"], c=channel, y0=3, y1=31, x0=0, x1=48
    )
    assert np.array_equal(found, expected[3:31])


def test_pixels_of_a_cell_are_its_crop(server: Server, project: Project) -> None:
    cell = project.cells.to_pylist()[6]
    crop = read_crop(
        locate(cell, image_assets=project.images[ZARR_PLATE], choice=CropChoice(channels=("ER",)))
    )
    row = server.get("api/cell", plate_key=ZARR_PLATE, object_id=cell["Metadata_ObjectID"]).json()
    y0, y1, x0, x1 = row["box"]
    found = read_samples(
        server, plate_key=ZARR_PLATE, image_id=row["image_id"], c=1, y0=y0, y1=y1, x0=x0, x1=x1
    )
    assert np.array_equal(found, np.squeeze(np.asarray(crop)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"y0": -1}, {"y1": 33}, {"x0": 5, "x1": 5}, {"x0": 9, "x1": 4}, {"level": 7}, {"c": 2}, {"y0": "a"}, {"y0": ""}, {"y0": "٣"},
        {"level": -1}, {"x1": 10**30},
    ],
)  # fmt: skip
def test_pixels_that_the_image_has_not_are_a_sentence(
    server: Server, project: Project, wrong: dict[str, object]
) -> None:
    image = project.images[ZARR_PLATE]["image_id"][0].as_py()
    given = {"plate_key": ZARR_PLATE, "image_id": image, "y0": 0, "y1": 4, "x0": 0, "x1": 4} | wrong
    answer = server.get("pixels", **given)
    assert answer.status == 400
    assert len(str(answer.json()["error"])) > 20


def test_an_image_says_its_levels_and_channels(server: Server, project: Project) -> None:
    row = project.images[ZARR_PLATE].to_pylist()[0]
    image = server.get("api/image", plate_key=ZARR_PLATE, image_id=row["image_id"]).json()
    assert [(one["height"], one["width"]) for one in image["levels"]] == [(32, 32), (16, 16), (8, 8)]
    assert [one["name"] for one in image["channels"]] == ["DNA", "ER"]
    assert (image["axes"], image["z_count"], image["t_count"], image["pixel_size_um"]) == ("cyx", 1, 1, 0.65)


@pytest.mark.parametrize(("plate_key", "shape"), [(ZARR_PLATE, (32, 32)), (TIFF_PLATE, (48, 40))])
def test_a_thumbnail_is_a_picture_of_the_whole_field(
    server: Server, plate_key: str, shape: tuple[int, int]
) -> None:
    plate = server.get("api/plate", plate_key=plate_key).json()
    answer = server.ask(f"{server.base}{plate['wells'][0]['fields'][0]['thumbnail']}&size=256")
    assert answer.headers["content-type"] == "image/jpeg"
    assert "max-age" in answer.headers["cache-control"]
    picture = Image.open(io.BytesIO(answer.body))
    assert picture.size == shape
    assert np.asarray(picture).std() > 1
    small = server.ask(f"{server.base}{plate['wells'][0]['fields'][0]['thumbnail']}&size=16")
    assert max(Image.open(io.BytesIO(small.body)).size) == 16


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        (None, 200, slice(None)), ("bytes=0-9", 206, slice(0, 10)), ("bytes=10-", 206, slice(10, None)), ("bytes=-7", 206, slice(-7, None)),
        ("bytes=0-99999", 206, slice(None)), ("bytes=5-4", 200, slice(None)), ("bytes=0-1,4-5", 200, slice(None)), ("lines=1-2", 200, slice(None)),
    ],
)  # fmt: skip
def test_objects_of_a_store_are_given_in_whole_or_in_part(
    server: Server, project: Project, asked: str | None, status: int, part: slice
) -> None:
    payload = (project.zarr_store / "zarr.json").read_bytes()
    headers = {} if asked is None else {"Range": asked}
    path = f"{server.base}zarr/{ZARR_PLATE}.zarr/zarr.json"
    answer = server.ask(path, headers)
    assert (answer.status, answer.body) == (status, payload[part])
    head = server.ask(path, headers, method="HEAD")
    assert (head.status, head.body) == (status, b"")
    assert head.headers["content-length"] == str(len(payload[part]))


def test_a_part_behind_the_end_of_an_object_is_refused(server: Server, project: Project) -> None:
    size = (project.zarr_store / "zarr.json").stat().st_size
    answer = server.ask(f"{server.base}zarr/{ZARR_PLATE}.zarr/zarr.json", {"Range": f"bytes={size}-"})
    assert answer.status == 416
    assert answer.headers["content-range"] == f"bytes */{size}"


def test_a_plate_without_images_is_answered(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    row = dict.fromkeys(IMAGE_ASSETS.names) | {
        "image_kind": "image",
        "well_id": "A01",
        "site_id": "1",
        "image_id": None,
        "plate_id": "P9",
    }
    store_cells(settings, "screen/P9", pa.Table.from_pylist([row]))
    with run_in_thread(settings) as running:
        (dataset,) = running.get("api/plates").json()["datasets"]
        assert [(p["plate_key"], p["field_count"], p["cell_count"]) for p in dataset["plates"]] == [
            ("screen/P9", 0, 4)
        ]
        plate = running.get("api/plate", plate_key="screen/P9").json()
        assert (plate["wells"], plate["channels"]) == ([], [])
        cells = running.get("api/cells", plate_key="screen/P9", well_id="A01").json()
        assert cells["total"] == 4
        assert {row["image_id"] for row in cells["rows"]} == {None}
        assert running.get("zarr/screen/P9.zarr/zarr.json").status == 404


def test_a_plate_that_was_scanned_alone_is_answered(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    store_images(settings, ZARR_PLATE, write_pixel_plate(tmp_path / "P1.zarr"))
    with run_in_thread(settings) as running:
        assert running.get("api/plate", plate_key=ZARR_PLATE).json()["measurements"] == []
        assert running.get("api/cells", plate_key=ZARR_PLATE, well_id="A01").json() == {
            "total": 0,
            "rows": [],
            "value_names": [],
        }
        assert running.get("api/cell", plate_key=ZARR_PLATE, object_id="x").status == 404
        assert running.get("api/well-values", plate_key=ZARR_PLATE, name="cells").status == 404


def test_a_finding_comes_with_its_cause_and_remedy_and_a_code_of_ones_own_without(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    store_images(settings, ZARR_PLATE, write_pixel_plate(tmp_path / "P1.zarr"))
    found = [Finding("site-offset", "error", "A01", "Off by one."), Finding("my-own", "info", "", "Seen.")]
    store_findings(open_warehouse(settings.warehouse_uri), ZARR_PLATE, "joined_profiles", found, "run")
    with run_in_thread(settings) as running:
        shown = {
            one["code"]: one for one in running.get("api/plate", plate_key=ZARR_PLATE).json()["findings"]
        }
    assert shown["site-offset"]["cause"].startswith("CellProfiler counts sites from one")
    assert shown["site-offset"]["remedy"].startswith("Write the line of the message")
    assert shown["site-offset"]["setting"] == "[join]\nprofile_site_offset = 1"
    assert (shown["my-own"]["message"], shown["my-own"]["remedy"]) == ("Seen.", "")


def test_a_project_without_plates_is_answered(tmp_path: Path) -> None:
    with run_in_thread(settings_of(tmp_path / "data")) as running:
        assert running.get("api/plates").json() == {"datasets": []}
        assert running.get("api/plate", plate_key=ZARR_PLATE).status == 404
    assert not (tmp_path / "data").exists()


def test_images_that_are_gone_are_a_sentence(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    store = write_pixel_plate(tmp_path / "P1.zarr")
    images = store_images(settings, ZARR_PLATE, store)
    store.rename(tmp_path / "elsewhere.zarr")
    given = {"plate_key": ZARR_PLATE, "image_id": images["image_id"][0].as_py()}
    with run_in_thread(settings) as running:
        assert running.get("api/plate", plate_key=ZARR_PLATE).status == 200
        for path, more in (("thumb", {}), ("pixels", {"y0": 0, "y1": 1, "x0": 0, "x1": 1})):
            answer = running.get(path, **given, **more)
            assert answer.status == 404
            assert "P1.zarr" in str(answer.json()["error"])


def test_reports_are_served_and_their_links_to_pixels_lead_to_this_server(
    server: Server, project: Project
) -> None:
    page = project.settings.reports_dir / "plates" / "screen" / "P1.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f'<a href="{project.settings.browse_url}/go?plate=P1">x</a><a href="../other.html">y</a>')
    report = server.get("api/plate", plate_key=ZARR_PLATE).json()["links"]["report"]
    answer = server.ask(f"{server.base}{report}")
    assert answer.body == b'<a href="../../../../../go?plate=P1">x</a><a href="../other.html">y</a>'
    assert answer.headers["content-length"] == str(len(answer.body))
    assert "script" not in answer.headers["content-security-policy"]
    page.unlink()


def test_pixels_that_were_written_anew_have_a_new_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metadata of the image are what they were; the files of its plate, and so the fingerprint of the table, are not."""
    monkeypatch.setattr("bioimage_assets.browse.project.LOOK_AGAIN_S", 0.0)
    settings = settings_of(tmp_path / "data")
    store = write_pixel_plate(tmp_path / "P1.zarr", size=32)
    store_images(settings, ZARR_PLATE, store, fingerprint="first")
    with run_in_thread(settings) as running:

        def look() -> tuple[str, bytes]:
            plate = running.get("api/plate", plate_key=ZARR_PLATE).json()
            address = plate["wells"][0]["fields"][0]["thumbnail"]
            return address, running.ask(f"{running.base}{address}&size=32").body

        before = look()
        array = zarr.open_array(store / "A" / "1" / "0" / "0", mode="r+")
        array[:] = np.asarray(array[:])[:, ::-1]
        assert look() == before
        store_images(settings, ZARR_PLATE, store, fingerprint="second")
        after = look()
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_what_a_run_stores_meanwhile_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bioimage_assets.browse.project.LOOK_AGAIN_S", 0.0)
    settings = settings_of(tmp_path / "data")
    images = store_images(settings, ZARR_PLATE, write_pixel_plate(tmp_path / "P1.zarr"))
    with run_in_thread(settings) as running:
        assert running.get("api/cells", plate_key=ZARR_PLATE, well_id="A01").json()["total"] == 0
        store_cells(settings, ZARR_PLATE, images)
        assert running.get("api/cells", plate_key=ZARR_PLATE, well_id="A01").json()["total"] == 8
        open_warehouse(settings.warehouse_uri).remove_partitions("image_assets", [ZARR_PLATE])
        assert running.get("api/plate", plate_key=ZARR_PLATE).json()["wells"] == []
