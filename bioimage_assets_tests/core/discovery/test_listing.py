"""Watched roots of every shape lead to the plates that a person would name."""

import os
from pathlib import Path
from urllib.parse import quote

import pytest

from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.discovery.roots import discover_roots
from bioimage_assets.core.errors import StoreAccessError, StoreNotFoundError
from bioimage_assets.core.stores.tree import LocalTree


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
    found = discover_plates(str(tmp_path))
    (source,) = found.sources
    assert source.plate_key == "screen/P1"
    assert source.measurement_uris == (str(tmp_path / "screen" / "measurements" / "P1"),)
    assert [(finding.code, finding.location) for finding in found.findings] == [
        ("reserved-folder-holds-stores", "screen/platemaps")
    ]


@pytest.mark.parametrize(
    ("name", "severity"), [("masks", "info"), ("Metadata", "warning"), ("profiles", "warning")]
)
def test_stores_in_a_folder_that_is_no_plate_by_its_name_are_said(tmp_path, name, severity):
    _plate_store(tmp_path / "screen" / "P1.zarr")
    _plate_store(tmp_path / "screen" / name / "P2.zarr")
    found = discover_plates(str(tmp_path))
    assert [source.plate_key for source in found.sources] == ["screen/P1"]
    (finding,) = found.findings
    assert (finding.code, finding.severity) == ("reserved-folder-holds-stores", severity)
    assert "P2.zarr" in finding.message
    assert "rename" in finding.message


def test_a_plate_folder_may_have_folders_of_any_name(tmp_path):
    _write(tmp_path / "screen" / "P1" / "metadata" / "a.tif")
    found = discover_plates(str(tmp_path))
    assert [source.plate_key for source in found.sources] == ["screen/P1"]
    assert not found.findings


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
    from bioimage_assets.core.stores.tree import ObjectTree

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
        LocalTree,
        "read_head",
        lambda self, path, n, **words: opened.append(path) or read_head(self, path, n, **words),
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


def test_a_plate_knows_its_dataset_and_a_lone_store_is_its_own(tmp_path):
    _plate_store(tmp_path / "screen" / "P1.zarr")
    _plate_store(tmp_path / "lone.ome.zarr")
    _write(tmp_path / "image.tif")
    _write(tmp_path / "loose" / "a.tif")
    found = {s.plate_key: s for s in discover_plates(str(tmp_path)).sources}
    assert {key: (s.dataset_name, s.plate_name) for key, s in found.items()} == {
        "screen/P1": ("screen", "P1"),
        "lone/lone": ("lone", "lone"),
        "image/image": ("image", "image"),
        "loose/loose": ("loose", "loose"),
    }
    assert found["screen/P1"].dataset_uri == str(tmp_path / "screen")
    assert found["image/image"].store_uris == (str(tmp_path / "image.tif"),)
    assert not any(s.shares_image_list for s in found.values())


def test_loose_tiffs_are_one_set_scanned_by_its_folder_and_one_alone_by_itself(tmp_path):
    _write(tmp_path / "one" / "a.tif")
    for name in ("a.tif", "b.tif"):
        _write(tmp_path / "two" / name)
    _write(tmp_path / "two" / "c.zarr" / "zarr.json", "{}")
    found = {s.plate_key: s.store_uris for s in discover_plates(str(tmp_path)).sources}
    assert found["one/one"] == (str(tmp_path / "one" / "a.tif"),)
    assert found["two/two"] == (str(tmp_path / "two"), str(tmp_path / "two" / "c.zarr"))


def test_plates_and_findings_come_in_the_order_of_their_names(tmp_path):
    for name in ("b", "a-", "a"):
        for plate in ("P2", "P10", "P1"):
            _plate_store(tmp_path / name / f"{plate}.zarr")
    keys = _keys(tmp_path)
    assert keys == sorted(keys)
    assert len(keys) == 9


def test_settings_and_platemaps_count_in_a_look_at_one_plate_as_in_a_look_at_all(tmp_path):
    _plate_store(tmp_path / "screen" / "P1.zarr")
    for name in ("dataset.toml", "platemaps/a.csv", "Metadata/b.csv", "P1.csv"):
        _write(tmp_path / "screen" / name)
    (whole,) = discover_plates(str(tmp_path)).sources
    (alone,) = discover_plates(str(tmp_path), plate_keys=["screen/P1"]).sources
    assert alone == whole
    assert alone.measurement_uris == (str(tmp_path / "screen" / "P1.csv"),)
    assert discover_plates(str(tmp_path), plate_keys=["screen/P2"]).sources == ()


def test_a_plate_that_cannot_be_listed_is_named_with_its_place_and_hides_no_other(tmp_path, monkeypatch):
    for plate in ("P1", "P2"):
        _plate_store(tmp_path / "screen" / f"{plate}.zarr")
    walk = LocalTree.walk

    def fail_one(tree, path):
        if path.endswith("P1.zarr"):
            raise StoreAccessError("Input/output error")
        return walk(tree, path)

    monkeypatch.setattr(LocalTree, "walk", fail_one)
    found = discover_plates(str(tmp_path))
    assert [source.plate_key for source in found.sources] == ["screen/P2"]
    (finding,) = found.findings
    assert (finding.code, finding.location) == ("unreadable-plate", "screen/P1")
    assert finding.store_uri == str(tmp_path / "screen" / "P1.zarr")


def test_only_the_named_datasets_are_looked_at_by_either_name(tmp_path):
    for dataset in ("my screen", "other"):
        _plate_store(tmp_path / dataset / "P1.zarr")
    _plate_store(tmp_path / "lone.zarr")
    for names, keys in (
        (["my screen"], ["my%20screen/P1"]),
        (["my%20screen"], ["my%20screen/P1"]),
        (["lone"], ["lone/lone"]),
        (["lone.zarr", "other"], ["lone/lone", "other/P1"]),
        ([], []),
    ):
        assert [s.plate_key for s in discover_plates(str(tmp_path), datasets=names).sources] == keys


def test_roots_keep_only_the_named_datasets_and_plates_in_order(tmp_path):
    for root, dataset in (("a", "s2"), ("b", "s1"), ("b", "s3")):
        _plate_store(tmp_path / root / dataset / "P1.zarr")
    roots = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert [s.plate_key for s in discover_roots(roots).sources] == ["s1/P1", "s2/P1", "s3/P1"]
    assert [s.plate_key for s in discover_roots(roots, datasets=["s3", "s2"]).sources] == ["s2/P1", "s3/P1"]
    assert [s.plate_key for s in discover_roots(roots, plate_keys=["s1/P1"]).sources] == ["s1/P1"]


def test_names_with_control_characters_are_errors_that_say_which(tmp_path):
    _plate_store(tmp_path / "screen" / "P\n1.zarr")
    _plate_store(tmp_path / "screen" / "P2.zarr")
    _write(tmp_path / "screen" / "measurements" / "P\t3.csv")
    _plate_store(tmp_path / "da\nta" / "P1.zarr")
    found = discover_plates(str(tmp_path))
    assert [source.plate_key for source in found.sources] == ["screen/P2"]
    assert sorted((finding.code, finding.location) for finding in found.findings) == [
        ("unreadable-dataset", "da\\nta"),
        ("unusable-name", "screen/P\\n1.zarr"),
        ("unusable-name", "screen/measurements/P\\t3.csv"),
    ]


def test_stores_of_a_dataset_named_like_it_are_one_partition_however_many(tmp_path):
    _plate_store(tmp_path / "screen" / "screen.zarr")
    _write(tmp_path / "screen" / "a.tif")
    (source,) = discover_plates(str(tmp_path)).sources
    assert (source.plate_key, len(source.store_uris)) == ("screen/screen", 2)


def test_the_newest_change_of_a_plate_is_that_of_its_newest_file_or_of_the_settings(tmp_path):
    store = _plate_store(tmp_path / "screen" / "P1.zarr")
    chunk, settings = _write(store / "0" / "0.0"), _write(tmp_path / "screen" / "dataset.toml")
    for path, stamp in ((store / ".zattrs", 100), (chunk, 300), (settings, 200)):
        os.utime(path, (stamp, stamp))
    (source,) = discover_plates(str(tmp_path)).sources
    assert source.newest_mtime_s == 300.0
    os.utime(settings, (400, 400))
    (source,) = discover_plates(str(tmp_path)).sources
    assert source.newest_mtime_s == 400.0


def test_a_dataset_is_named_by_its_whole_folder_name_in_a_list_of_roots(tmp_path):
    for dataset in ("foo", "foo.zip"):
        _plate_store(tmp_path / dataset / "P1.zarr")
    assert [s.plate_key for s in discover_roots([str(tmp_path)], datasets=["foo"]).sources] == ["foo/P1"]
    assert [s.plate_key for s in discover_roots([str(tmp_path)], datasets=["foo.zip"]).sources] == [
        "foo.zip/P1"
    ]


def test_of_names_that_are_no_text_the_first_is_shown(tmp_path):
    for letter in "fbdace":
        (tmp_path / os.fsdecode(letter.encode() + b"\xe4")).mkdir()
    (finding,) = discover_plates(str(tmp_path)).findings
    assert finding.location == "a\N{REPLACEMENT CHARACTER}"
