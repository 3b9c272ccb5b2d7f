"""Image files of kinds that are not read are named, counted, and told what to do with, wherever they lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.errors import UnsupportedStoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.file_kinds import TIFF_SUFFIXES, ZARR_SUFFIXES
from bioimage_assets.core.model.foreign_kinds import FOREIGN_KINDS, count_foreign, find_foreign
from bioimage_assets.core.scan.scanner import scan_image_assets, scan_store_records
from bioimage_assets_tests.builders.tiff_plates import write_plane
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate


def _touch(path: Path, content: bytes = b"x" * 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.czi", "Zeiss CZI is not read; convert with bioformats2raw or ome-writers."),
        ("b.LIF", "Leica LIF is not read; convert with bioformats2raw or ome-writers."),
        ("c.nd2", "Nikon ND2 is not read; convert with bioformats2raw or ome-writers."),
        ("d.ims", "Imaris is not read; convert with bioformats2raw or ome-writers."),
        ("e.h5", "HDF5 is not read; write the arrays as OME-Zarr"),
        ("f.xyz123", "a file of this kind (.xyz123) is not read."),
        ("g", "a file of this kind (without a suffix) is not read."),
    ],
)
def test_a_file_alone_is_told_what_it_is_and_what_to_do(tmp_path: Path, name: str, kind: str):
    path = _touch(tmp_path / name)
    for scan in (scan_store_records, scan_image_assets):
        with pytest.raises(UnsupportedStoreError) as raised:
            scan(str(path))
        assert f"{path}: {kind}" in str(raised.value)
        assert "Read are OME-Zarr stores (.zarr" in str(raised.value)


def test_a_file_of_an_unknown_suffix_is_told_what_its_first_bytes_say(tmp_path: Path):
    path = _touch(tmp_path / "x.dat", b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UnsupportedStoreError, match="git-lfs pointer"):
        scan_store_records(str(path))


def test_a_file_in_a_bucket_is_told_by_its_name_without_a_request():
    with pytest.raises(UnsupportedStoreError, match="Olympus"):
        scan_store_records("s3://bucket-that-nobody-has/plates/x.oib")


def test_an_n5_folder_is_told_as_one(tmp_path: Path):
    _touch(tmp_path / "a.n5/attributes.json", b'{"n5": "2.5.0"}')
    with pytest.raises(
        UnsupportedStoreError, match=r"no TIFF below this folder .*N5 is not read; write the arrays"
    ):
        scan_store_records(str(tmp_path / "a.n5"))


def test_files_beside_the_tiffs_of_a_plate_are_counted(tmp_path: Path):
    write_plane(tmp_path / "P1/P_A01_s1_w1.tif")
    for n in range(20):
        _touch(tmp_path / f"P1/raw/A{n:02d}.czi")
    _touch(tmp_path / "P1/a.lif")
    _touch(tmp_path / "P1/overview.jpg")
    scan = scan_store_records(str(tmp_path / "P1"))
    (finding,) = [finding for finding in scan.findings if finding.code == "images-not-read"]
    assert finding.severity == "warning"
    assert finding.message.startswith(
        "20 .czi files (Zeiss CZI) and 1 .lif file (Leica LIF) and 1 .jpg file (JPEG) are not read; convert with"
    )
    assert finding.location == "raw/A00.czi"


def test_pictures_alone_beside_the_tiffs_of_a_plate_are_no_warning(tmp_path: Path):
    write_plane(tmp_path / "P1/P_A01_s1_w1.tif")
    _touch(tmp_path / "P1/overview.bmp")
    (finding,) = scan_store_records(str(tmp_path / "P1")).findings
    assert (finding.code, finding.severity) == ("images-not-read", "info")


def test_files_beside_zarr_stores_are_counted(tmp_path: Path):
    write_pixel_plate(tmp_path / "screen/P1.zarr", pixels=False)
    _touch(tmp_path / "screen/P1.czi")
    _touch(tmp_path / "screen/old.n5/attributes.json")
    (finding,) = [
        f for f in scan_store_records(str(tmp_path / "screen")).findings if f.code == "images-not-read"
    ]
    assert "1 .czi file (Zeiss CZI) and 1 .n5 file (N5)" in finding.message


def test_a_folder_of_files_that_are_not_read_is_an_error_that_counts_them(tmp_path: Path):
    for n in range(3):
        _touch(tmp_path / f"P1/{n}.nd2")
    with pytest.raises(UnsupportedStoreError, match=r"3 \.nd2 files \(Nikon ND2\) are not read; convert"):
        scan_store_records(str(tmp_path / "P1"))


def _find(root: Path, code: str) -> list[Finding]:
    return [finding for finding in discover_plates(str(root)).findings if finding.code == code]


def test_a_watched_dataset_without_plates_counts_what_is_not_read(tmp_path: Path):
    for n in range(4):
        _touch(tmp_path / f"screen/P1/{n}.czi")
    _touch(tmp_path / "screen/P2/x.png")
    (finding,) = _find(tmp_path, "dataset-without-plates")
    assert (
        "4 .czi files (Zeiss CZI) and 1 .png file (PNG) are not read; convert with bioformats2raw"
        in finding.message
    )


def test_a_watched_dataset_with_plates_counts_what_is_not_read_beside_them(tmp_path: Path):
    write_plane(tmp_path / "screen/P1/P_A01_s1_w1.tif")
    for n in range(4):
        _touch(tmp_path / f"screen/P2/{n}.czi")
    _touch(tmp_path / "screen/P3.lif")
    _touch(tmp_path / "screen/odd/what.bin")
    (finding,) = _find(tmp_path, "images-not-read")
    assert "4 .czi files (Zeiss CZI) and 1 .lif file (Leica LIF) are not read" in finding.message
    assert finding.location == "screen/P2/0.czi"
    (rest,) = _find(tmp_path, "not-part-of-a-plate")
    assert "'odd'" in rest.message
    assert "P2" not in rest.message


def test_a_file_at_the_top_of_a_watched_root_is_told_what_to_do(tmp_path: Path):
    _touch(tmp_path / "P3.lif")
    _touch(tmp_path / "notes.csv")
    (finding,) = _find(tmp_path, "images-not-read")
    assert "Leica LIF" in finding.message
    (other,) = _find(tmp_path, "file-outside-dataset")
    assert "lif" not in other.message


def test_what_is_read_is_no_foreign_kind():
    for suffix in (*TIFF_SUFFIXES, *ZARR_SUFFIXES):
        assert find_foreign(f"a{suffix}") is None
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in FOREIGN_KINDS)


def test_names_are_counted_by_their_longest_suffix():
    (found,) = count_foreign(["x/a.nii.gz", "x/b.NII.GZ", "x/c.csv"])
    assert (found.suffix, found.count, found.first) == (".nii.gz", 2, "x/a.nii.gz")
