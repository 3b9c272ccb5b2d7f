"""Links below a folder: refused and said by default, followed where asked, loops never."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.scan import ScanOptions
from bioimage_assets.core.scan.scanner import scan_plate_source, scan_store_records
from bioimage_assets.core.stores.links import MAX_LINKS_KEPT, is_link_loop
from bioimage_assets.core.stores.local import LocalStore
from bioimage_assets_tests.builders import tiff_plates as plates
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate

FOLLOW = ScanOptions(follow_symlinks=True)
CODE = "link-not-followed"


def find(findings: tuple[Finding, ...]) -> Finding:
    (found,) = [finding for finding in findings if finding.code == CODE]
    return found


def link(path: Path, target: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target, target_is_directory=target.is_dir())
    return path


@pytest.fixture
def linked_channel(tmp_path: Path) -> Path:
    """A plate folder with one well of two channels, the second of which is a link to another disk."""
    folder = plates.write_named(tmp_path / "P1", plates.imagexpress_name, wells=("A01",), sites=1, channels=2)
    second = folder / plates.imagexpress_name("A01", 1, 2)
    archive = tmp_path / "archive" / second.name
    archive.parent.mkdir()
    second.rename(archive)
    link(second, archive)
    return folder


def test_a_channel_that_is_a_link_is_an_error_and_a_channel_where_links_are_followed(
    linked_channel: Path,
) -> None:
    scan = scan_store_records(str(linked_channel))
    finding = find(scan.findings)
    assert (finding.severity, finding.location) == ("error", plates.imagexpress_name("A01", 1, 2))
    assert "1 link(s)" in finding.message
    assert "follow_symlinks = true" in finding.message
    assert scan.images[0].channel_names == ("w1",)
    followed = scan_store_records(str(linked_channel), FOLLOW)
    assert followed.images[0].channel_names == ("w1", "w2")
    assert CODE not in {finding.code for finding in followed.findings}


def test_the_environment_and_the_options_of_stores_say_it_too(
    linked_channel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ScanOptions(storage_options={"follow_symlinks": "on"})
    assert scan_store_records(str(linked_channel), said).images[0].channel_names == ("w1", "w2")
    monkeypatch.setenv("BIOIMAGE_FOLLOW_SYMLINKS", "on")
    assert scan_store_records(str(linked_channel)).images[0].channel_names == ("w1", "w2")
    unsaid = ScanOptions(storage_options={"follow_symlinks": "off"})
    assert scan_store_records(str(linked_channel), unsaid).images[0].channel_names == ("w1",)


def test_a_linked_folder_of_a_plate_is_said_with_the_number_of_links(tmp_path: Path) -> None:
    folder = plates.write_named(tmp_path / "P1", plates.imagexpress_name, wells=("A01",), sites=1, channels=1)
    for number in range(3):
        target = tmp_path / f"disk{number}"
        plates.write_named(target, plates.imagexpress_name, wells=(f"B0{number + 1}",), sites=1, channels=1)
        link(folder / f"TimePoint_{number}", target)
    scan = scan_store_records(str(folder))
    finding = find(scan.findings)
    assert (finding.severity, finding.location) == ("warning", "TimePoint_0")
    assert "3 link(s)" in finding.message
    assert len(scan.images) == 1
    assert len(scan_store_records(str(folder), FOLLOW).images) == 4


@pytest.fixture
def annexed_plate(tmp_path: Path) -> PlateSource:
    """A Zarr plate whose chunks are links into ``.git/annex/objects``, half of them not fetched."""
    dataset = tmp_path / "in" / "screen"
    store = write_pixel_plate(dataset / "P1.zarr")
    objects = dataset / ".git" / "annex" / "objects"
    objects.mkdir(parents=True)
    chunks = sorted(path for path in store.rglob("*") if path.is_file() and path.name.isdigit())
    for number, chunk in enumerate(chunks):
        content = objects / f"MD5E-{number}"
        chunk.rename(content)
        link(chunk, content)
        if number % 2:
            content.unlink()
    (source,) = discover_plates(str(tmp_path / "in")).sources
    return source


def test_chunks_of_git_annex_are_said_and_present_where_links_are_followed(
    annexed_plate: PlateSource,
) -> None:
    def look(options: ScanOptions) -> tuple[list[bool | None], Finding]:
        scan = scan_plate_source(annexed_plate, options)
        assert scan.chunks is not None
        presence = scan.chunks.read_all()["is_present"].to_pylist()
        return presence, find(scan.chunk_findings())

    refused, finding = look(ScanOptions())
    links, fetched = len(refused), -(-len(refused) // 2)
    assert set(refused) == {None}, "nobody looked: they are not absent"
    assert finding.severity == "error"
    assert f"{links} link(s) in" in finding.message
    assert f"{links - fetched} of them lead to nothing" in finding.message
    assert "'datalad get'" in finding.message
    followed, finding = look(FOLLOW)
    assert followed.count(True) == fetched
    assert f"{links - fetched} link(s)" in finding.message


def test_a_plate_that_is_a_link_is_said_and_found_where_its_dataset_says_so(tmp_path: Path) -> None:
    write_pixel_plate(tmp_path / "disk" / "P1.zarr")
    dataset = tmp_path / "in" / "screen"
    link(dataset / "P1.zarr", tmp_path / "disk" / "P1.zarr")
    found = discover_plates(str(tmp_path / "in"))
    assert not found.sources
    assert "screen/P1.zarr" in find(found.findings).message
    (dataset / "dataset.toml").write_text("[images]\nfollow_symlinks = true\n")
    found = discover_plates(str(tmp_path / "in"))
    (source,) = found.sources
    assert source.plate_key == "screen/P1"
    assert CODE not in {finding.code for finding in found.findings}
    assert scan_plate_source(source, FOLLOW).images.num_rows > 0


def test_a_dataset_that_is_a_link_is_found_where_the_settings_say_so(tmp_path: Path) -> None:
    write_pixel_plate(tmp_path / "disk" / "screen" / "P1.zarr")
    link(tmp_path / "in" / "screen", tmp_path / "disk" / "screen")
    assert not discover_plates(str(tmp_path / "in")).sources
    options = {"follow_symlinks": "on"}
    (source,) = discover_plates(str(tmp_path / "in"), storage_options=options).sources
    assert source.plate_key == "screen/P1"
    (tmp_path / "disk" / "screen" / "dataset.toml").write_text("[images]\nfollow_symlinks = false\n")
    assert discover_plates(str(tmp_path / "in"), storage_options=options).sources


def test_a_change_behind_a_followed_link_changes_the_plate(tmp_path: Path) -> None:
    options = {"follow_symlinks": "on"}
    store = write_pixel_plate(tmp_path / "disk" / "P1.zarr")
    link(tmp_path / "in" / "screen" / "P1.zarr", store)
    (before,) = discover_plates(str(tmp_path / "in"), storage_options=options).sources
    (store / "A" / "new").write_text("x")
    (after,) = discover_plates(str(tmp_path / "in"), storage_options=options).sources
    assert before.signature != after.signature


@pytest.mark.parametrize("follow", [False, True])
def test_links_that_lead_back_end_and_hide_nothing(tmp_path: Path, follow: bool) -> None:
    folder = plates.write_named(tmp_path / "P1", plates.imagexpress_name, wells=("A01",), sites=1, channels=1)
    link(folder / "self", folder)
    link(folder / "up", tmp_path)
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    link(folder / "a" / "to_b", folder / "b")
    link(folder / "b" / "to_a", folder / "a")
    keys = [item.key for item in LocalStore(folder, follow_symlinks=follow).list()]
    assert keys == [plates.imagexpress_name("A01", 1, 1)]
    scan = scan_store_records(str(folder), ScanOptions(follow_symlinks=follow))
    assert len(scan.images) == 1
    sources = discover_plates(
        str(tmp_path.parent), storage_options={"follow_symlinks": "on" if follow else "off"}
    )
    assert len(sources.sources) >= 1


def test_a_loop_is_told_also_through_other_links_and_a_sibling_is_none(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (root / "b").mkdir()
    assert not is_link_loop(str(root), str(link(root / "a" / "x", root / "b")))
    link(root / "b" / "y", root / "a")
    assert is_link_loop(str(root), str(root / "a" / "x" / "y"))
    assert is_link_loop(str(root), str(link(root / "top", Path("/"))))


def test_links_are_counted_beyond_those_that_are_remembered(tmp_path: Path) -> None:
    for number in range(MAX_LINKS_KEPT + 5):
        os.symlink("/nowhere/at/all", tmp_path / f"{number:05}.tif")
    store = LocalStore(tmp_path)
    assert not list(store.list())
    assert store.links_not_followed.count == MAX_LINKS_KEPT + 5
    assert len(store.links_not_followed.paths) == MAX_LINKS_KEPT
    assert not list(store.list_level()[1])
