"""Files whose names differ in their suffix only are images of their own, in a folder, beside a store, and at the top of a root."""

from __future__ import annotations

from pathlib import Path

import tifffile

from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_plate_source, scan_store_records
from bioimage_assets_tests.builders.tiff_plates import write_plane
from bioimage_assets_tests.builders.zarr_documents import write_image


def test_both_files_are_rows_with_ids_that_differ_and_one_warning(tmp_path: Path):
    for value, name in enumerate(("img.tif", "img.tiff", "sub/x.ome.tif", "sub/x.tif", "other.tif")):
        write_plane(tmp_path / "P1" / name, value)
    scan = scan_store_records(str(tmp_path / "P1"))
    assert {image.image_id: Path(image.uri).name for image in scan.images} == {
        "img": "img.tif", "img.tiff": "img.tiff", "other": "other.tif", "sub/x": "x.ome.tif", "sub/x.tif": "x.tif",
    }  # fmt: skip
    (finding,) = [finding for finding in scan.findings if finding.code != "names-not-understood"]
    assert (finding.code, finding.severity) == ("names-differ-in-suffix", "warning")
    assert "2 images" in finding.message


def test_chunk_rows_of_each_point_at_its_own_file(tmp_path: Path):
    for value, name in ((1, "img.tif"), (2, "img.tiff")):
        write_plane(tmp_path / "P1" / name, value)
    rows = scan_chunk_index(str(tmp_path / "P1")).read_all().to_pylist()
    uris = {image.image_id: image.uri for image in scan_store_records(str(tmp_path / "P1")).images}
    for row in rows:
        page = Path(uris[row["image_id"]])
        raw = page.read_bytes()[row["stored_offset"] :][: row["stored_bytes"]]
        assert raw == tifffile.imread(page).tobytes()
    assert sorted(row["image_id"] for row in rows) == ["img", "img.tiff"]


def test_a_tiff_beside_the_store_that_it_became_is_a_row_too(tmp_path: Path):
    write_image(tmp_path / "P1/img.zarr")
    write_plane(tmp_path / "P1/img.tif")
    scan = scan_store_records(str(tmp_path / "P1"))
    assert {image.image_id: image.format_family for image in scan.images} == {
        "img": "zarr",
        "img.tif": "ome-tiff",
    }
    assert [f.code for f in scan.findings if f.severity == "warning"] == ["names-differ-in-suffix"]
    assert "duplicate-image-id" not in {finding.code for finding in scan.findings}


def test_two_files_for_one_place_on_a_plate_are_still_an_error(tmp_path: Path):
    for name in ("P_A01_s1.tif", "P_A01_s1.tiff"):
        write_plane(tmp_path / "P1" / name)
    scan = scan_store_records(str(tmp_path / "P1"))
    assert [image.image_id for image in scan.images] == ["P:A01:1"]
    assert [finding.code for finding in scan.findings] == ["duplicate-image-id"]


def test_at_the_top_of_a_watched_root_both_are_plates(tmp_path: Path):
    for name in ("img.tif", "img.tiff"):
        write_plane(tmp_path / name)
    found = discover_plates(str(tmp_path))
    assert sorted(source.plate_key for source in found.sources) == ["img.tiff/img.tiff", "img/img"]
    assert [scan_plate_source(source).images.num_rows for source in found.sources] == [1, 1]
    assert [f.code for f in found.findings] == ["images-outside-dataset", "names-differ-in-suffix"]
    # a look at one of them finds the same file under the same key
    for source in found.sources:
        again = discover_plates(str(tmp_path), plate_keys=[source.plate_key]).sources
        assert [o.store_uris for o in again if o.plate_key == source.plate_key] == [source.store_uris]
