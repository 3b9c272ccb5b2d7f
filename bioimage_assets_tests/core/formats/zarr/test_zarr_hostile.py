"""Broken and malicious Zarr stores: one of our errors or a result with findings, in bounded time."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bioimage_assets.core.errors import (
    CorruptStoreError,
    LimitExceededError,
    StoreAccessError,
    StoreChangedError,
    StoreError,
    StoreNotFoundError,
    UnsupportedStoreError,
)
from bioimage_assets.core.formats.ome_zarr import walk
from bioimage_assets.core.model.scan import ScanOptions, StoreScan
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets, scan_store_records
from bioimage_assets_tests.builders.zarr_documents import (
    multiscales,
    write_array,
    write_group,
    write_image,
    write_json,
    write_plate,
)

CANARY = (7, 7)


def codes(scan: StoreScan) -> set[str]:
    return {finding.code for finding in scan.findings}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "empty file"),
        (b"{", "JSON"),
        (b"\xff\xfe{}", "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"[" * 100_000 + b"]" * 100_000, "JSON"),
        (b"[1, 2]", "object"),
        (b'{"a": ' + b"9" * 5000 + b"}", "JSON|expected"),
    ],
)
@pytest.mark.parametrize("name", ["zarr.json", ".zattrs", ".zarray"])
def test_a_root_document_that_cannot_be_used_is_one_clean_error(
    tmp_path: Path, name: str, raw: bytes, says: str
) -> None:
    root = tmp_path / "x.zarr"
    root.mkdir()
    (root / name).write_bytes(raw)
    with pytest.raises(CorruptStoreError, match=says):
        scan_store_records(str(root))


@pytest.mark.parametrize("token", ["NaN", "-Infinity"])
def test_not_a_number_and_a_byte_order_mark_still_give_the_row(tmp_path: Path, token: str) -> None:
    root = write_image(tmp_path / "x.zarr")
    document = (root / ".zattrs").read_text()
    (root / ".zattrs").write_bytes(b"\xef\xbb\xbf" + f'{{"stray": {token}, {document[1:]}'.encode())
    assert len(scan_store_records(str(root)).images) == 1


@pytest.mark.parametrize(
    "shape", [[-1, 8], [0.5, 8], ["8", 8], [2**80, 8], [True, 8], None, [8], {"a": 1}, [8, 8, 8, 8]]
)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_one_impossible_shape_costs_its_level_and_nothing_else(
    tmp_path: Path, shape: object, zarr_format: int
) -> None:
    root = write_plate(tmp_path / "p.zarr", zarr_format=zarr_format)
    name = "zarr.json" if zarr_format == 3 else ".zarray"
    path = root / "A/1/0/1" / name
    write_json(path, {**json.loads(path.read_text()), "shape": shape})
    scan = scan_store_records(str(root))
    assert [(image.image_id, image.scan_status, len(image.levels)) for image in scan.images] == [
        ("Plate 7:A01:0", "partial", 1),
        ("Plate 7:A01:1", "ok", 2),
        ("Plate 7:B12:0", "ok", 2),
    ]
    assert codes(scan) == {"unreadable-level"}
    assert scan.images[0].findings


def test_zero_chunks_are_refused_and_huge_ones_are_not(tmp_path: Path) -> None:
    write_array(tmp_path / "z.zarr", "", (8, 8), (0, 4))
    with pytest.raises(CorruptStoreError, match="chunks"):
        scan_store_records(str(tmp_path / "z.zarr"))
    write_array(tmp_path / "h.zarr", "", (8, 8), (2**62, 2**62))
    (row,) = scan_chunk_index(str(tmp_path / "h.zarr")).read_all().to_pylist()
    assert row["nominal_bytes"] is None


@pytest.mark.parametrize("path", ["../secret", "/etc", "a/../../secret", "..", "", ".", "a//b", "x\0y", 7])
def test_paths_out_of_the_store_are_never_followed(tmp_path: Path, path: object) -> None:
    write_array(tmp_path / "secret", "", CANARY, CANARY)
    write_image(
        tmp_path / "i.zarr", entries=[{"version": "0.4", "axes": ["y", "x"], "datasets": [{"path": path}]}]
    )
    plate = write_plate(tmp_path / "p.zarr", plate={"wells": [{"path": path}, {"path": "A/1"}]})
    write_json(plate / "A/1/.zattrs", {"well": {"images": [{"path": path}, {"path": "0"}]}})
    for root, rows in (("i.zarr", 0), ("p.zarr", 1)):
        scan = scan_store_records(str(tmp_path / root))
        assert len(scan.images) == rows
        assert CANARY not in {level.shape for image in scan.images for level in image.levels}
        assert "unsafe-path" in codes(scan)


def test_a_link_out_of_the_store_is_refused_unless_asked_for(tmp_path: Path) -> None:
    write_array(tmp_path / "outside", "", CANARY, CANARY)
    root = write_image(tmp_path / "i.zarr")
    shutil.rmtree(root / "1")
    (root / "1").symlink_to(tmp_path / "outside")
    scan = scan_store_records(str(root))
    assert [level.shape for level in scan.images[0].levels] == [(2, 16, 16)]
    assert codes(scan) == {"unreadable-level"}
    (root / "1").unlink()
    (root / "1").mkdir()
    (root / "1/.zarray").symlink_to(tmp_path / "outside/.zarray")
    assert codes(scan_store_records(str(root))) == {"unreadable-level"}
    followed = scan_store_records(str(root), ScanOptions(follow_symlinks=True))
    assert codes(followed) == {"level-dimensions"}


def test_a_link_inside_the_store_is_followed(tmp_path: Path) -> None:
    root = write_image(tmp_path / "i.zarr", levels=("0",))
    (root / "copy").symlink_to(root / "0")
    write_group(root, "", {"multiscales": [multiscales(("0", "copy"))]})
    assert len(scan_store_records(str(root)).images[0].levels) == 2


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    root = tmp_path / "g.zarr"
    write_group(root)
    write_array(root, "a", (4, 4), (2, 2))
    (root / "loop").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    assert [image.array_path for image in scan_store_records(str(root)).images] == ["a"]
    followed = scan_store_records(str(root), ScanOptions(follow_symlinks=True))
    assert [image.array_path for image in followed.images] == ["a"]


def test_a_pipe_in_place_of_a_document_does_not_block(tmp_path: Path) -> None:
    root = write_image(tmp_path / "i.zarr")
    (root / "1/.zarray").unlink()
    os.mkfifo(root / "1/.zarray")
    scan = scan_store_records(str(root))
    assert codes(scan) == {"unreadable-level"}


def test_a_document_above_the_cap_is_not_read(tmp_path: Path) -> None:
    root = write_image(tmp_path / "i.zarr")
    with (root / "1/.zarray").open("r+b") as file:
        file.truncate(17 * 2**20)
    scan = scan_store_records(str(root))
    assert codes(scan) == {"unreadable-level"}
    assert "more than the limit" in scan.findings[0].message


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder of a user who may not read everything; root becomes nobody for the test."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def _as_nobody() -> Iterator[None]:
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_store_that_may_not_be_read_is_reported_and_the_others_are_scanned(public_folder: Path) -> None:
    for name in ("closed", "good", "hidden"):
        write_image(public_folder / f"{name}.zarr")
    (public_folder / "closed.zarr/.zattrs").chmod(0)
    (public_folder / "hidden.zarr").chmod(0)
    with _as_nobody():
        with pytest.raises(StoreAccessError):
            scan_store_records(str(public_folder / "closed.zarr"))
        scan = scan_store_records(str(public_folder))
    (public_folder / "hidden.zarr").chmod(0o755)
    assert [image.image_id for image in scan.images] == ["good"]
    assert {(finding.code, finding.location) for finding in scan.findings} == {
        ("unreadable-store", "closed.zarr"),
        ("unreadable-store", "hidden.zarr"),
    }


def test_missing_levels_wells_and_fields_cost_only_themselves(tmp_path: Path) -> None:
    root = write_plate(
        tmp_path / "p.zarr", wells={"A/1": ("0", "1"), "A/2": ("0",), "A/3": ("0",), "A/4": ("0",)}
    )
    shutil.rmtree(root / "A/1/0/1")
    shutil.rmtree(root / "A/1/1")
    shutil.rmtree(root / "A/2")
    shutil.rmtree(root / "A/3/0/0")
    scan = scan_store_records(str(root))
    assert [(image.image_id, image.scan_status) for image in scan.images] == [
        ("Plate 7:A01:0", "partial"),
        ("Plate 7:A04:0", "ok"),
    ]
    assert {(finding.code, finding.location, finding.severity) for finding in scan.findings} == {
        ("missing-level", "A/1/0/1", "error"),
        ("missing-field", "A/1/1", "error"),
        ("missing-well", "A/2", "error"),
        ("missing-level", "A/3/0/0", "error"),
        ("missing-full-resolution", "A/3/0", "error"),
    }
    assert [well.well_id for well in scan.plates[0].wells] == ["A01", "A02", "A03", "A04"]


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"plate": {}}, "empty-plate"),
        ({"plate": {"wells": "A/1"}}, "empty-plate"),
        ({"multiscales": []}, "no-multiscales"),
        ({"multiscales": [{}]}, "empty-multiscales"),
        ({"multiscales": [None, 5]}, "empty-multiscales"),
        ({"bioformats2raw.layout": 3}, "no-series"),
        ({}, "empty-group"),
    ],
)
def test_empty_metadata_give_no_row_and_a_finding(
    tmp_path: Path, attributes: dict[str, object], code: str
) -> None:
    write_group(tmp_path / "e.zarr", "", attributes)
    scan = scan_store_records(str(tmp_path / "e.zarr"))
    assert scan.images == ()
    assert code in codes(scan)


def test_axes_that_do_not_fit_are_left_empty(tmp_path: Path) -> None:
    five = [{"name": name} for name in "tczyx"]
    write_image(tmp_path / "i.zarr", entries=[multiscales(axes=five)])
    scan = scan_store_records(str(tmp_path / "i.zarr"))
    assert scan.images[0].axes is None
    assert "axes-dimensions" in codes(scan)


def test_wrong_json_types_everywhere_give_findings(tmp_path: Path) -> None:
    entry = {
        "axes": [{"name": 1}, "y", None],
        "datasets": [{"path": "0", "coordinateTransformations": {"scale": "x"}}, "1", {"path": ["1"]}],
        "coordinateTransformations": "none",
        "name": {"a": 1},
    }
    root = write_image(tmp_path / "i.zarr", entries=[entry])
    attributes = json.loads((root / ".zattrs").read_text())
    write_json(root / ".zattrs", {**attributes, "omero": {"channels": {"label": 3}}, "labels": 5})
    scan = scan_store_records(str(root))
    assert [(image.axes, image.channel_names) for image in scan.images] == [(None, None)]
    assert {"unusable-axes", "unsafe-path"} <= codes(scan)


def test_duplicate_wells_and_fields_collapse(tmp_path: Path) -> None:
    plate = {"wells": [{"path": "A/1"}, {"path": "A/1"}, {"path": "A/01"}]}
    root = write_plate(tmp_path / "p.zarr", wells={"A/1": ("0", "0")}, plate=plate)
    scan = scan_store_records(str(root))
    assert len(scan.images) == 1
    assert codes(scan) == {"duplicate-well", "duplicate-field"}


def test_a_zip_bomb_is_stopped_by_its_directory(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.ozx"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zarr.json", b" " * 2**20)
    raw = bytearray(bomb.read_bytes())
    size_at = raw.index(b"PK\x01\x02") + 24
    raw[size_at : size_at + 4] = (2**30).to_bytes(4, "little")
    bomb.write_bytes(raw)
    with pytest.raises(LimitExceededError, match="unpacked"):
        scan_store_records(str(bomb))


def test_a_cut_archive_is_one_clean_error_and_slipping_names_are_ignored(tmp_path: Path) -> None:
    write_image(tmp_path / "i.zarr")
    archive = Path(shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "i.zarr"))
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("../../evil/.zarray", "{}")
    assert len(scan_store_records(str(archive)).images) == 1
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(CorruptStoreError, match="zip"):
        scan_store_records(str(archive))


def test_odd_names_are_kept_as_they_are(tmp_path: Path) -> None:
    name = "plate 1% #µ 漢字"
    root = write_plate(tmp_path / f"{name}.zarr", name=None, wells={"A/1": ("féld #1",)})
    scan = scan_store_records(str(root))
    assert scan.images[0].array_path == "A/1/féld #1/0"
    assert scan_chunk_index(str(root)).read_all().num_rows == 8 + 2


HALF = "x\ud800"  # half a character, which JSON can spell and no text can hold


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_escapes_of_half_a_character_are_replaced_wherever_they_stand(
    tmp_path: Path, zarr_format: int
) -> None:
    fields = {"A/1": ("0",), "B/2": ("0",)}
    root = write_plate(tmp_path / "p.zarr", zarr_format=zarr_format, name=HALF, wells=fields)
    entry = {**multiscales(("0", "1")), "version": HALF}
    entry["datasets"].append({"path": HALF})  # type: ignore[attr-defined]
    ome = {"multiscales": [entry], "omero": {"channels": [{"label": HALF}, {"label": "ER"}]}}
    write_group(root, "A/1/0", ome if zarr_format == 2 else {"ome": ome}, zarr_format=zarr_format)
    table = scan_image_assets(str(root))
    assert table["plate_id"].to_pylist() == ["x\ufffd"] * 2
    assert table["channel_names"][0].as_py() == ["x\ufffd", "ER"]
    assert table["scan_status"].to_pylist() == ["partial", "ok"]
    assert scan_chunk_index(str(root)).read_all().num_rows == 20


def test_names_that_are_no_text_are_left_out_and_said(tmp_path: Path) -> None:
    """A disk holds any bytes: names that an old Windows share wrote in Latin-1 are common."""
    write_image(tmp_path / "s/good.zarr")
    latin = Path(os.fsdecode(os.fsencode(tmp_path / "s") + b"/pl\xe4te.zarr"))
    write_image(latin)
    (tmp_path / os.fsdecode(b"s/good.zarr/0/\xe4.txt")).write_text("a note among the chunks")
    scan = scan_store_records(str(tmp_path / "s"))
    assert [image.image_id for image in scan.images] == ["good"]
    assert [(finding.code, finding.location) for finding in scan.findings] == [
        ("name-not-utf8", "pl\ufffdte.zarr")
    ]
    assert scan_chunk_index(str(tmp_path / "s")).read_all().num_rows == 10
    with pytest.raises(UnsupportedStoreError, match="no UTF-8 text"):
        scan_store_records(str(latin))
    shutil.rmtree(tmp_path / "s/good.zarr")
    with pytest.raises(UnsupportedStoreError, match="no UTF-8 text"):
        scan_store_records(str(tmp_path / "s"))


def test_keys_may_be_longer_than_a_bucket_takes_and_spelled_in_either_normal_form(tmp_path: Path) -> None:
    composed, decomposed = "\u00e9", "e\u0301"
    long = "/".join(["x" * 250] * 5)
    levels = ("0", long, composed, decomposed)
    root = write_image(tmp_path / "l.zarr", levels=levels)
    (image,) = scan_store_records(str(root)).images
    assert [level.path for level in image.levels] == list(levels)
    keys = scan_chunk_index(str(root)).read_all()["array_path"].to_pylist()
    assert set(keys) == set(levels)
    for lost in ("x" * 300, "/".join(["x" * 250] * 20)):
        write_image(tmp_path / "m.zarr", entries=[multiscales(("0", lost))], levels=("0",))
        scan = scan_store_records(str(tmp_path / "m.zarr"))
        assert scan.images[0].scan_status == "partial"
        assert codes(scan) == {"missing-level"}


@pytest.mark.parametrize("vanishes", [False, True])
def test_a_store_that_changes_during_the_scan_publishes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vanishes: bool
) -> None:
    root = write_plate(tmp_path / "p.zarr")
    scan_images = walk.scan_images

    def change_then_scan(*args: object, **options: object) -> object:
        if vanishes:
            shutil.rmtree(root)
        else:
            write_json(root / ".zattrs", {"plate": {"wells": []}})
        return scan_images(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(walk, "scan_images", change_then_scan)
    with pytest.raises(StoreChangedError):
        scan_store_records(str(root))


def test_a_store_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError):
        scan_store_records(str(tmp_path / "none.zarr"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError):
        scan_store_records(str(tmp_path / "empty"))


def test_one_broken_store_of_a_folder_costs_only_itself(tmp_path: Path) -> None:
    write_image(tmp_path / "s/good.zarr")
    write_image(tmp_path / "s/bad.zarr")
    (tmp_path / "s/bad.zarr/.zattrs").write_text("{")
    (tmp_path / "s/bad.ozx").write_text("no zip")
    scan = scan_store_records(str(tmp_path / "s"))
    assert [image.image_id for image in scan.images] == ["good"]
    assert sorted(finding.location for finding in scan.findings if finding.code == "unreadable-store") == [
        "bad.ozx",
        "bad.zarr",
    ]
