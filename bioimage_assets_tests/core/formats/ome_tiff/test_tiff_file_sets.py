"""OME-TIFF sets over several files: one row per image, files by name and UUID, contained in the folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets_tests.builders.tiff_files import (
    UUIDS,
    build_block,
    build_ome_image,
    build_ome_xml,
    build_plate_xml,
    write_pages,
)
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import read_chunks, read_series

NAMES = ("set_c0.ome.tif", "set_c1.ome.tif", "set_c2.ome.tif")


def write_set(
    folder: Path, names: tuple[str, ...] = NAMES, *, file_names: tuple[str, ...] | None = None
) -> None:
    """Write one image of three channels and two z, one file per channel, the XML in each."""
    blocks = "".join(
        build_block(z, c=c, z=z, file=name, uuid=UUIDS[c])
        for c, name in enumerate(file_names or names)
        for z in range(2)
    )
    image = build_ome_image(0, x=24, y=16, c=3, z=2, blocks=blocks, channels=("DNA", "ER", "RNA"))
    for c, name in enumerate(names):
        pages = [np.full((16, 24), 10 * c + z, np.uint16) for z in range(2)]
        write_pages(folder / name, pages, build_ome_xml([image], uuid=UUIDS[c]))


def write_companion(folder: Path) -> None:
    """Write the same image with its XML in a companion file only."""
    blocks = "".join(
        build_block(z, c=c, z=z, file=name, uuid=UUIDS[c]) for c, name in enumerate(NAMES) for z in range(2)
    )
    image = build_ome_image(0, x=24, y=16, c=3, z=2, blocks=blocks, channels=("DNA", "ER", "RNA"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "set.companion.ome").write_text(build_ome_xml([image], uuid=UUIDS[40]))
    for c, name in enumerate(NAMES):
        link = f'<BinaryOnly MetadataFile="set.companion.ome" UUID="{UUIDS[40]}"/>'
        pages = [np.full((16, 24), 10 * c + z, np.uint16) for z in range(2)]
        write_pages(folder / name, pages, build_ome_xml([], uuid=UUIDS[c], extra=link))


@pytest.mark.parametrize("start", NAMES)
def test_a_set_is_one_row_whichever_file_is_given(tmp_path: Path, start: str):
    write_set(tmp_path)
    scan = scan_tiff(str(tmp_path / start))
    (image,) = scan.images
    assert [(image.shape, image.axes, image.dtype)] == read_series(tmp_path / start)
    assert image.uri == str(tmp_path)
    assert image.image_id == "set_c0"
    assert image.storage_variant == "ome-tiff-set"
    assert [(file.path, file.channel, file.c, file.role) for file in image.files] == [
        ("set_c0.ome.tif", "DNA", 0, "image"), ("set_c1.ome.tif", "ER", 1, "image"), ("set_c2.ome.tif", "RNA", 2, "image"),
    ]  # fmt: skip


def test_a_folder_with_a_set_is_one_row(tmp_path: Path):
    write_set(tmp_path)
    (image,) = scan_plate_folder(str(tmp_path)).images
    assert sorted(image.shape) == [2, 3, 16, 24]
    assert image.scan_status == "ok"


def test_chunk_rows_of_a_set_name_their_file_and_plane(tmp_path: Path):
    write_set(tmp_path)
    scan = scan_tiff(str(tmp_path / NAMES[1]))
    axes = scan.images[0].axes or ""
    pixels = tifffile.imread(tmp_path / NAMES[0])
    rows = read_chunks(scan).to_pylist()
    assert len(rows) == 6
    for row in rows:
        position = dict(zip(axes, row["chunk_coords"], strict=True))
        name, page = row["chunk_key"].split("#")
        assert (name, int(page)) == (NAMES[position["c"]], position["z"])
        raw = (tmp_path / name).read_bytes()[row["stored_offset"] :][: row["stored_bytes"]]
        assert np.frombuffer(raw, "<u2")[0] == pixels[tuple(row["chunk_coords"][:2])][0, 0]


def test_a_missing_file_makes_the_row_partial_and_keeps_its_shape(tmp_path: Path):
    write_set(tmp_path)
    (tmp_path / NAMES[1]).unlink()
    scan = scan_tiff(str(tmp_path / NAMES[0]))
    (image,) = scan.images
    assert image.scan_status == "partial"
    assert sorted(image.shape) == [2, 3, 16, 24]
    assert [(file.path, file.role) for file in image.files if file.role == "missing"] == [
        (NAMES[1], "missing")
    ]
    assert {finding.code for finding in scan.findings} >= {"file-missing", "missing-planes"}
    assert len(read_chunks(scan)) == 4


def test_renamed_files_are_found_by_uuid(tmp_path: Path):
    write_set(tmp_path, tuple(f"new_{n}.ome.tif" for n in range(3)), file_names=NAMES)
    scan = scan_tiff(str(tmp_path / "new_0.ome.tif"))
    (image,) = scan.images
    assert [file.path for file in image.files] == ["new_0.ome.tif", "new_1.ome.tif", "new_2.ome.tif"]
    assert image.scan_status == "ok"
    assert {finding.code for finding in scan.findings} == {"file-renamed"}


@pytest.mark.parametrize("prefix", ["./", "/data/moved/away/", "C:\\scope\\run1\\"])
def test_names_with_dot_or_absolute_folders_mean_the_neighbour(tmp_path: Path, prefix: str):
    write_set(tmp_path, file_names=tuple(prefix + name for name in NAMES))
    (image,) = scan_tiff(str(tmp_path / NAMES[2])).images
    assert [file.path for file in image.files] == list(NAMES)
    assert image.scan_status == "ok"


def test_a_file_outside_the_folder_is_never_opened(tmp_path: Path):
    write_pages(tmp_path / "secret" / "x.ome.tif", [np.zeros((7, 7), np.uint16)])
    inside = tmp_path / "store"
    blocks = build_block(0, file="a.ome.tif", uuid=UUIDS[0]) + build_block(
        0, c=1, file="../secret/x.ome.tif", uuid=UUIDS[1]
    )
    image = build_ome_image(0, x=24, y=16, c=2, blocks=blocks)
    write_pages(inside / "a.ome.tif", [np.zeros((16, 24), np.uint16)], build_ome_xml([image], uuid=UUIDS[0]))
    scan = scan_tiff(str(inside / "a.ome.tif"))
    assert "file-outside-store" in {finding.code for finding in scan.findings}
    assert scan.images[0].scan_status == "partial"
    assert all(7 not in level.shape for image in scan.images for level in image.levels)
    assert all("secret" not in file.path or file.role == "missing" for file in scan.images[0].files)


def test_a_companion_file_describes_its_tiffs(tmp_path: Path):
    write_companion(tmp_path)
    by_companion = scan_tiff(str(tmp_path / "set.companion.ome")).images
    by_member = scan_tiff(str(tmp_path / NAMES[1])).images
    by_folder = scan_plate_folder(str(tmp_path)).images
    for images in (by_companion, by_member, by_folder):
        (image,) = images
        assert sorted(image.shape) == [2, 3, 16, 24]
        assert image.channel_names == ("DNA", "ER", "RNA")
        assert [file.path for file in image.files] == list(NAMES)
        assert image.scan_status == "ok"


def test_chunk_rows_follow_a_companion_file(tmp_path: Path):
    write_companion(tmp_path)
    rows = read_chunks(scan_tiff(str(tmp_path / "set.companion.ome")))
    assert len(rows) == 6
    assert all(rows["is_present"].to_pylist())


@pytest.mark.parametrize("start", ["set.companion.ome", "new_0.ome.tif", "new_1.ome.tif"])
def test_renamed_files_of_a_companion_are_found_by_uuid(tmp_path: Path, start: str):
    write_companion(tmp_path)
    renamed = [f"new_{c}.ome.tif" for c in range(3)]
    for old, new in zip(NAMES, renamed, strict=True):
        (tmp_path / old).rename(tmp_path / new)
    scan = scan_tiff(str(tmp_path / start))
    (image,) = scan.images
    assert (image.scan_status, [file.path for file in image.files]) == ("ok", renamed)
    assert {finding.code for finding in scan.findings} == {"file-renamed"}
    assert [row["chunk_key"] for row in read_chunks(scan).to_pylist()] == [
        f"{name}#{z}" for name in renamed for z in range(2)
    ]


def test_a_lost_companion_leaves_the_pages(tmp_path: Path):
    write_companion(tmp_path)
    (tmp_path / "set.companion.ome").unlink()
    scan = scan_tiff(str(tmp_path / NAMES[0]))
    assert scan.images[0].shape == (2, 16, 24)
    assert {finding.code for finding in scan.findings} == {"companion-unreadable"}


def test_each_file_of_a_plate_set_gives_only_its_own_image(tmp_path: Path):
    names = [f"field{n}.ome.tif" for n in range(3)]
    images = [
        build_ome_image(n, x=24, y=16, blocks=build_block(0, file=name, uuid=UUIDS[n]))
        for n, name in enumerate(names)
    ]
    plate = build_plate_xml([(0, 0, [(0, 0), (1, 1)]), (1, 0, [(2, 2)])])
    for n, name in enumerate(names):
        xml = build_ome_xml(images, plates=plate, uuid=UUIDS[n])
        write_pages(tmp_path / name, [np.zeros((16, 24), np.uint16)], xml)
    assert [image.image_id for image in scan_tiff(str(tmp_path / names[1])).images] == ["P1:A01:1"]
    folder = scan_plate_folder(str(tmp_path))
    assert [image.image_id for image in folder.images] == ["P1:A01:0", "P1:A01:1", "P1:B01:0"]
    assert [image.uri for image in folder.images] == [str(tmp_path / name) for name in names]
    assert len(read_chunks(folder)) == 3


def test_a_companion_of_a_whole_plate_ranks_its_fields_and_gives_their_chunk_rows(tmp_path: Path):
    names = [f"f{n}.ome.tif" for n in range(6)]
    images = [
        build_ome_image(n, x=24, y=16, blocks=build_block(0, file=name, uuid=UUIDS[n]))
        for n, name in enumerate(names)
    ]
    plate = build_plate_xml([(0, 0, [(0, 0), (1, 1), (2, 2)]), (0, 1, [(3, 3), (4, 4), (5, 5)])])
    (tmp_path / "p.companion.ome").write_text(build_ome_xml(images, plates=plate, uuid=UUIDS[9]))
    link = f'<BinaryOnly MetadataFile="p.companion.ome" UUID="{UUIDS[9]}"/>'
    for n, name in enumerate(names):
        text = build_ome_xml([], extra=link, uuid=UUIDS[n])
        write_pages(tmp_path / name, [np.zeros((16, 24), np.uint16)], text)
    scan = scan_plate_folder(str(tmp_path))
    assert [image.image_id for image in scan.images] == [
        f"P1:{well}:{n}" for well in ("A01", "A02") for n in range(3)
    ]
    assert scan.findings == ()
    assert read_chunks(scan)["image_id"].to_pylist() == [image.image_id for image in scan.images]
