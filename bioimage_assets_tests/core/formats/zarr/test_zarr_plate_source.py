"""A plate of several stores is scanned as one; bad stores and clashing ids are findings."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pytest

from bioimage_assets.core.errors import StoreChangedError
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import PlateScan, scan_plate_source
from bioimage_assets_tests.builders.zarr_documents import write_image, write_json, write_plate
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate


def scan(folder: Path, *names: str, **options: object) -> PlateScan:
    uris = tuple(str(folder / name) for name in names)
    return scan_plate_source(PlateSource("screen/P1", "screen", "P1", str(folder), uris), **options)


def test_stores_that_are_no_plate_take_their_place_below_the_dataset_as_id(tmp_path: Path) -> None:
    write_image(tmp_path / "P1/a.ome.zarr")
    write_image(tmp_path / "P1/b.zarr", zarr_format=3)
    found = scan(tmp_path, "P1/a.ome.zarr", "P1/b.zarr")
    assert found.images["image_id"].to_pylist() == ["P1/a", "P1/b"]
    assert set(found.images["plate_key"].to_pylist()) == {"screen/P1"}
    assert set(found.images["dataset_id"].to_pylist()) == {"screen"}
    assert found.chunks is not None
    assert found.chunks.read_all()["image_id"].unique().to_pylist() == ["P1/a", "P1/b"]
    assert found.findings == ()


def test_one_unreadable_store_is_a_finding_and_the_others_are_kept(tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr")
    write_image(tmp_path / "b.zarr")
    (tmp_path / "b.zarr/.zattrs").write_text("{")
    found = scan(tmp_path, "b.zarr", "gone.zarr", "a.zarr")
    assert found.images["image_id"].to_pylist() == ["a"]
    assert [(item.code, item.severity, item.store_uri) for item in found.findings] == [
        ("unreadable-store", "error", str(tmp_path / "b.zarr")),
        ("unreadable-store", "error", str(tmp_path / "gone.zarr")),
    ]


def test_images_that_would_share_an_id_are_one_row_and_a_finding_that_names_both_stores(
    tmp_path: Path,
) -> None:
    write_pixel_plate(tmp_path / "x/P1.zarr", columns=1, fields=1, levels=1)
    write_pixel_plate(tmp_path / "y/P1.zarr", columns=1, fields=2, levels=1)
    found = scan(tmp_path, "x/P1.zarr", "y/P1.zarr")
    assert found.images["image_id"].to_pylist() == ["P1:A01:0", "P1:A01:1"]
    (clash,) = found.findings
    assert clash.code == "duplicate-image-id"
    assert str(tmp_path / "x/P1.zarr") in clash.message
    assert str(tmp_path / "y/P1.zarr") in clash.message
    assert found.chunks is not None
    counts = found.chunks.read_all().group_by("image_id").aggregate([("chunk_key", "count")]).to_pylist()
    assert {row["image_id"]: row["chunk_key_count"] for row in counts} == {"P1:A01:0": 8, "P1:A01:1": 8}


def test_the_plate_declares_wells_fields_and_channels(tmp_path: Path) -> None:
    write_pixel_plate(tmp_path / "P1.zarr", pixels=False)
    (plate,) = scan(tmp_path, "P1.zarr", with_chunks=False).plates
    assert (plate.plate_id, plate.channel_names) == ("P1", ("DNA", "ER"))
    assert [(well.well_id, well.sites) for well in plate.wells] == [("A01", ("0", "1")), ("A02", ("0", "1"))]


def test_the_fingerprint_changes_exactly_when_metadata_do(tmp_path: Path) -> None:
    root = write_plate(tmp_path / "P1.zarr")
    first = scan(tmp_path, "P1.zarr", with_chunks=False)
    again = scan(tmp_path, "P1.zarr", with_chunks=True)
    assert first.chunks is None
    assert (first.fingerprint, first.images["fingerprint"]) == (
        again.fingerprint,
        again.images["fingerprint"],
    )
    level = root / "A/1/0/1/.zarray"
    level.write_text(level.read_text().replace('"clevel": 5', '"clevel": 6'))
    changed = scan(tmp_path, "P1.zarr", with_chunks=False)
    assert changed.fingerprint != first.fingerprint
    same = pc.equal(changed.images["fingerprint"], first.images["fingerprint"]).to_pylist()
    assert same == [False, True, True]


def test_a_plate_that_changes_while_its_chunks_are_read_is_refused(tmp_path: Path) -> None:
    root = write_pixel_plate(tmp_path / "P1.zarr")
    found = scan(tmp_path, "P1.zarr")
    write_json(root / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": {}})
    assert found.chunks is not None
    with pytest.raises(StoreChangedError):
        found.chunks.read_all()


def test_levels_asked_for_limit_images_and_chunks(tmp_path: Path) -> None:
    write_pixel_plate(tmp_path / "P1.zarr")
    found = scan(tmp_path, "P1.zarr", options=ScanOptions(levels=(0,)))
    assert set(found.images["level_count"].to_pylist()) == {1}
    assert found.chunks is not None
    assert found.chunks.read_all()["level"].unique().to_pylist() == [0]


def test_wells_that_are_not_listed_are_findings_and_fields_where_chunks_are_listed(tmp_path: Path) -> None:
    root = write_plate(tmp_path / "P1.zarr", wells={"A/1": ("0", "1")})
    write_image(root, "A/1/7")
    write_image(root, "B/2/0")
    (root / "OME/x").mkdir(parents=True)
    found = scan(tmp_path, "P1.zarr")
    assert [(item.code, item.location) for item in found.findings] == [
        ("unlisted-well", "B/2"),
        ("unlisted-field", "A/1/7"),
    ]
    quick = scan(tmp_path, "P1.zarr", with_chunks=False)
    assert [(item.code, item.location) for item in quick.findings] == [("unlisted-well", "B/2")]
    assert quick.fingerprint == found.fingerprint
    assert quick.images.num_rows == 2


def bytes_of_chunks(image_folder: Path) -> int:
    """Bytes of everything below an image that is no metadata."""
    documents = {"zarr.json", ".zarray", ".zattrs", ".zgroup"}
    return sum(
        path.stat().st_size
        for path in image_folder.rglob("*")
        if path.is_file() and path.name not in documents
    )


@pytest.mark.parametrize("kind", [{"zarr_format": 2}, {"zarr_format": 3}, {"sharded": True}])
def test_images_take_the_bytes_of_all_their_levels_once_the_chunks_are_listed(
    tmp_path: Path, kind: dict[str, object]
) -> None:
    root = write_pixel_plate(tmp_path / "P1.zarr", **kind)
    chunk = next(path for path in (root / "A/1/0/0").rglob("*") if path.is_file() and path.name[0] in "01")
    chunk.unlink()
    found = scan(tmp_path, "P1.zarr")
    assert found.images_with_stored_bytes()["stored_bytes"].null_count == 4, "nothing is listed yet"
    assert found.chunks is not None
    rows = found.chunks.read_all()
    images = found.images_with_stored_bytes()
    assert images.schema == found.images.schema
    wanted = [bytes_of_chunks(root / path.rpartition("/")[0]) for path in images["array_path"].to_pylist()]
    assert images["stored_bytes"].to_pylist() == wanted
    objects = rows.filter(pc.equal(rows["kind"], "object"))
    assert sum(wanted) == pc.sum(objects["stored_bytes"]).as_py()


@pytest.mark.parametrize("options", [ScanOptions(levels=(0,)), ScanOptions(observe_chunks=False)])
def test_bytes_stay_empty_where_not_all_levels_were_listed(tmp_path: Path, options: ScanOptions) -> None:
    write_pixel_plate(tmp_path / "P1.zarr")
    found = scan(tmp_path, "P1.zarr", options=options)
    assert found.chunks is not None
    assert found.chunks.read_all().num_rows > 0
    assert found.images_with_stored_bytes().equals(found.images)
    assert found.images["stored_bytes"].null_count == found.images.num_rows
