"""Watched roots of every shape lead to the plates that a person would name."""

import os
from pathlib import Path
from urllib.parse import quote

import pytest

from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.discovery.roots import discover_roots
from bioimage_assets.core.discovery.tree import LocalTree
from bioimage_assets.core.errors import StoreNotFoundError


def _write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _plate_store(folder: Path) -> Path:
    _write(folder / ".zattrs", '{"plate": {"wells": []}}')
    return folder


def _keys(root: Path) -> list[str]:
    return [source.plate_key for source in discover_plates(str(root)).sources]


def test_an_hcs_store_a_tiff_folder_and_an_archive_are_plates_of_their_dataset(tmp_path):
    _plate_store(tmp_path / "screen" / "P1.ome.zarr")
    _write(tmp_path / "screen" / "P2" / "Images" / "r01c01.tiff")
    _write(tmp_path / "screen" / "P3.ozx")
    assert _keys(tmp_path) == ["screen/P1", "screen/P2", "screen/P3"]


def test_stores_that_are_no_plate_share_the_partition_named_by_their_folder(tmp_path):
    _write(tmp_path / "screen" / "a.ome.zarr" / "zarr.json", '{"attributes": {"ome": {"multiscales": []}}}')
    _write(tmp_path / "screen" / "b.ome.zarr" / "zarr.json", '{"attributes": {"ome": {"multiscales": []}}}')
    (source,) = discover_plates(str(tmp_path)).sources
    assert source.plate_key == "screen/screen"
    assert [Path(uri).name for uri in source.store_uris] == ["a.ome.zarr", "b.ome.zarr"]


def test_a_lone_store_is_a_dataset_of_its_own(tmp_path):
    _plate_store(tmp_path / "experiment.ome.zarr")
    _write(tmp_path / "image.ome.tiff")
    assert _keys(tmp_path) == ["experiment/experiment", "image/image"]


def test_measurements_settings_and_masks_are_never_plates(tmp_path):
    _plate_store(tmp_path / "screen" / "P1.zarr")
    for folder in ("measurements/P1", "platemaps", "truth", "segmentation/P1", ".snapshot", "_tmp"):
        _write(tmp_path / "screen" / folder / "mask.tif")
    (source,) = discover_plates(str(tmp_path)).sources
    assert source.plate_key == "screen/P1"
    assert source.measurement_uris == (str(tmp_path / "screen" / "measurements" / "P1"),)


def test_cellprofiler_tables_beside_the_images_are_the_measurements(tmp_path):
    for name in ("a_A01f00d0.tif", "a_A01f00d1.tif", "Image.csv", "Cells.csv"):
        _write(tmp_path / "example" / name)
    (source,) = discover_plates(str(tmp_path)).sources
    assert source.plate_key == "example/example"
    assert source.store_uris == (str(tmp_path / "example"),)
    assert [Path(uri).name for uri in source.measurement_uris] == ["Cells.csv", "Image.csv"]


def test_two_stores_of_one_name_are_refused_and_both_named(tmp_path):
    _plate_store(tmp_path / "screen" / "P1.zarr")
    _write(tmp_path / "screen" / "P1" / "a.tif")
    found = discover_plates(str(tmp_path))
    assert found.sources == ()
    (finding,) = found.findings
    assert finding.code == "plate-name-clash"
    assert "P1.zarr" in finding.message
    assert str(tmp_path / "screen" / "P1") + "." in finding.message


@pytest.mark.parametrize("name", ["chunk", "measurement", "settings", "platemap"])
def test_the_signature_changes_with_everything_a_plate_is_made_of(tmp_path, name):
    store = _plate_store(tmp_path / "screen" / "P1.zarr")
    paths = {
        "chunk": store / "A" / "1" / "0" / "0" / "0.0",
        "measurement": tmp_path / "screen" / "measurements" / "P1.csv",
        "settings": tmp_path / "screen" / "dataset.toml",
        "platemap": tmp_path / "screen" / "platemaps" / "barcode_platemap.csv",
    }
    for path in paths.values():
        _write(path)
    (before,) = discover_plates(str(tmp_path)).sources
    (same,) = discover_plates(str(tmp_path)).sources
    assert before.signature == same.signature
    _write(paths[name], "longer than before")
    (after,) = discover_plates(str(tmp_path)).sources
    assert after.signature != before.signature


def test_a_change_of_one_plate_leaves_the_other_plates_signature(tmp_path):
    for plate in ("P1", "P2"):
        _plate_store(tmp_path / "screen" / f"{plate}.zarr")
    before = {s.plate_key: s.signature for s in discover_plates(str(tmp_path)).sources}
    _write(tmp_path / "screen" / "P1.zarr" / "A" / "1" / "0" / "0.0")
    after = {s.plate_key: s.signature for s in discover_plates(str(tmp_path)).sources}
    assert before["screen/P1"] != after["screen/P1"]
    assert before["screen/P2"] == after["screen/P2"]


def test_a_missing_root_is_an_error_of_its_own_and_hides_no_other_root(tmp_path):
    with pytest.raises(StoreNotFoundError, match="BIOIMAGE_INCOMING"):
        discover_plates(str(tmp_path / "nowhere"))
    _plate_store(tmp_path / "good" / "screen" / "P1.zarr")
    found = discover_roots([str(tmp_path / "nowhere"), str(tmp_path / "good")])
    assert [source.plate_key for source in found.sources] == ["screen/P1"]
    assert [finding.code for finding in found.findings] == ["unreadable-root"]


def test_one_plate_in_two_roots_is_taken_from_the_first_and_reported(tmp_path):
    for root in ("a", "b"):
        _plate_store(tmp_path / root / "screen" / "P1.zarr")
    found = discover_roots([str(tmp_path / "a"), str(tmp_path / "b")])
    assert found.sources[0].store_uris == (str(tmp_path / "a" / "screen" / "P1.zarr"),)
    assert [finding.code for finding in found.findings] == ["plate-name-clash"]


def test_an_object_store_prefix_lists_like_a_folder():
    import obstore

    from bioimage_assets.core.discovery.listing import discover_tree
    from bioimage_assets.core.discovery.tree import ObjectTree

    store = obstore.store.MemoryStore()
    for key in ("screen/P1.ome.zarr/.zattrs", "screen/measurements/P1.parquet", "screen/P2/a.tif"):
        obstore.put(store, key, b'{"plate": {}}')
    tree = ObjectTree.__new__(ObjectTree)
    tree.root_uri, tree._store = "memory://bucket", store
    sources = discover_tree(tree).sources
    assert [(s.plate_key, s.store_uris, s.measurement_uris) for s in sources] == [
        (
            "screen/P1",
            ("memory://bucket/screen/P1.ome.zarr",),
            ("memory://bucket/screen/measurements/P1.parquet",),
        ),
        ("screen/P2", ("memory://bucket/screen/P2",), ()),
    ]


def test_the_source_of_one_plate_costs_no_look_into_the_others(tmp_path, monkeypatch):
    for number in range(5):
        _plate_store(tmp_path / "screen" / f"P{number}.zarr")
    _write(tmp_path / "screen" / "measurements" / "P3.csv")
    (whole,) = [
        source for source in discover_plates(str(tmp_path)).sources if source.plate_key == "screen/P3"
    ]
    opened: list[str] = []
    read_head = LocalTree.read_head
    monkeypatch.setattr(
        LocalTree, "read_head", lambda self, path, n: opened.append(path) or read_head(self, path, n)
    )
    found = discover_plates(str(tmp_path), datasets=["screen"], plate_keys=["screen/P3"])
    assert found.sources == (whole,)
    assert {path.split("/")[1] for path in opened} == {"P3.zarr"}


def test_names_that_are_no_text_are_left_out_and_said_and_the_others_are_found(tmp_path):
    _plate_store(tmp_path / "my screen" / "P1.zarr")
    for name in (b"my screen/P\xe4.zarr", b"d\xe4ta/P2.zarr"):  # as Latin-1 writes them
        _plate_store(tmp_path / os.fsdecode(name))
    found = discover_plates(str(tmp_path))
    assert [source.plate_key for source in found.sources] == ["my%20screen/P1"]
    (finding,) = [item for item in found.findings if item.code == "name-not-utf8"]
    assert finding.message.startswith("2 names")
    by_uri = discover_plates(f"file://{quote(str(tmp_path))}")
    assert by_uri.sources == found.sources


def test_a_root_may_be_a_file_uri_with_escapes(tmp_path):
    _plate_store(tmp_path / "all screens" / "a" / "P1.zarr")
    root = f"file://{quote(str(tmp_path / 'all screens'))}"
    assert [source.plate_key for source in discover_plates(root).sources] == ["a/P1"]
