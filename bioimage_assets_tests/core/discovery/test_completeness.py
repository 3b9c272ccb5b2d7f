"""What a plate promises and lacks is named; what its format may leave out is not."""

import json
import zipfile
from pathlib import Path

import pytest

from bioimage_assets.core.discovery.layout import read_layout
from bioimage_assets.core.discovery.missing_parts import find_gap, has_marker
from bioimage_assets.core.discovery.signatures import list_files
from bioimage_assets.core.stores.tree import open_tree


def _write(path: Path, content: object = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def _gap(root: Path) -> str | None:
    (plate,) = read_layout(open_tree(str(root))).plates
    return find_gap(plate, list_files(plate))


def _plate_v5(store: Path) -> Path:
    """An HCS store of OME-Zarr 0.5: one well, one field, two levels."""
    group = {"zarr_format": 3, "node_type": "group"}
    _write(store / "zarr.json", {**group, "attributes": {"ome": {"plate": {"wells": [{"path": "B/3"}]}}}})
    _write(store / "B/3/zarr.json", {**group, "attributes": {"ome": {"well": {"images": [{"path": "0"}]}}}})
    levels = [{"datasets": [{"path": "0"}, {"path": "1"}]}]
    _write(store / "B/3/0/zarr.json", {**group, "attributes": {"ome": {"multiscales": levels}}})
    for level in "01":
        _write(store / "B/3/0" / level / "zarr.json", {"zarr_format": 3, "node_type": "array"})
    return store


def test_a_whole_plate_without_any_chunk_lacks_nothing(tmp_path):
    _plate_v5(tmp_path / "screen" / "P1.zarr")
    assert _gap(tmp_path) is None


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("B/3/zarr.json", "well screen/P1.zarr/B/3 is listed by the plate"),
        ("B/3/0/zarr.json", "field screen/P1.zarr/B/3/0 is listed by its well"),
        ("B/3/0/1/zarr.json", "level screen/P1.zarr/B/3/0/1 is listed by its image"),
        ("zarr.json", "no root document"),
    ],
)
def test_the_first_missing_document_is_named(tmp_path, missing, words):
    (_plate_v5(tmp_path / "screen" / "P1.zarr") / missing).unlink()
    assert words in (_gap(tmp_path) or "")


def test_a_group_of_version_2_without_its_attributes_is_not_there_yet(tmp_path):
    store = tmp_path / "screen" / "P1.zarr"
    _write(store / ".zattrs", {"plate": {"wells": [{"path": "B/3"}]}})
    _write(store / "B/3/.zgroup", {"zarr_format": 2})
    assert "well screen/P1.zarr/B/3 is listed by the plate" in (_gap(tmp_path) or "")
    _write(store / "B/3/.zattrs", {"well": {"images": [{"path": "0"}]}})
    _write(store / "B/3/0/.zgroup", {"zarr_format": 2})
    assert "field screen/P1.zarr/B/3/0 is listed by its well" in (_gap(tmp_path) or "")


def test_files_that_a_copying_tool_has_not_finished_are_named(tmp_path):
    store = _plate_v5(tmp_path / "screen" / "P1.zarr")
    _write(store / "B/3/0/0/c/0/.0.x8Yz1A")
    assert "a copy is under way" in (_gap(tmp_path) or "")


def test_every_file_of_an_ome_tiff_set_has_to_be_there(tmp_path):
    folder = tmp_path / "screen" / "P1"
    names = "".join(
        f'<TiffData><UUID FileName="a_{i}.ome.tif">urn:uuid:{i}</UUID></TiffData>' for i in range(2)
    )
    _write(folder / "set.companion.ome", f"<OME><Image><Pixels>{names}</Pixels></Image></OME>")
    _write(folder / "a_0.ome.tif")
    assert "a_1.ome.tif is listed by screen/P1/set.companion.ome" in (_gap(tmp_path) or "")
    _write(folder / "a_1.ome.tif")
    assert _gap(tmp_path) is None


def test_an_archive_without_its_end_is_no_archive_yet(tmp_path):
    path = tmp_path / "screen" / "P1.ozx"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("zarr.json", "{}" * 50_000)
    assert _gap(tmp_path) is None
    path.write_bytes(path.read_bytes()[:60_000])
    assert "no end yet" in (_gap(tmp_path) or "")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"attributes": 3}', '{"attributes": {"ome": {"plate": {"wells": 3}}}}']
)
def test_documents_of_any_content_are_left_to_the_scan(tmp_path, text):
    _write(tmp_path / "screen" / "P1.zarr" / "zarr.json", text)
    assert _gap(tmp_path) is None


@pytest.mark.parametrize("path", ["../other", "B/../3", "/", "", 3, None])
def test_odd_paths_of_wells_are_left_to_the_scan(tmp_path, path):
    store = _plate_v5(tmp_path / "screen" / "P1.zarr")
    wells = [{"path": path}, {"path": "/B/3/"}, "B/4", None]
    _write(store / "zarr.json", {"attributes": {"ome": {"plate": {"wells": wells}}}})
    assert _gap(tmp_path) is None


def test_a_single_image_lacks_a_level_that_it_lists(tmp_path):
    store = tmp_path / "screen" / "image.zarr"
    _write(store / ".zattrs", {"multiscales": [3, {"datasets": [{"path": "0"}, {"path": "1"}]}]})
    _write(store / "0" / ".zarray", {})
    assert "level screen/image.zarr/1 is listed by its image" in (_gap(tmp_path) or "")
    _write(store / "1" / ".zarray", {})
    assert _gap(tmp_path) is None


@pytest.mark.parametrize("count", [15, 16, 40])
def test_a_gap_is_found_in_any_of_many_wells(tmp_path, count):
    store = tmp_path / "screen" / "P1.zarr"
    wells = [f"A/{n}" for n in range(1, count + 1)]
    _write(store / "zarr.json", {"attributes": {"ome": {"plate": {"wells": [{"path": w} for w in wells]}}}})
    for well in wells:
        _write(store / well / "zarr.json", {"attributes": {"ome": {"well": {"images": [{"path": "0"}]}}}})
        levels = [{"datasets": [{"path": "0"}]}]
        _write(store / well / "0" / "zarr.json", {"attributes": {"ome": {"multiscales": levels}}})
        if well != wells[-2]:
            _write(store / well / "0" / "0" / "zarr.json", {})
    assert f"level screen/P1.zarr/{wells[-2]}/0/0 is listed" in (_gap(tmp_path) or "")


@pytest.mark.parametrize(
    ("named", "stored"),
    [
        ("a.ome.tif", "a.ome.tif"),
        ("./a.ome.tif", "a.ome.tif"),
        ("sub/a.ome.tif", "sub/a.ome.tif"),
        ("sub\\a.ome.tif", "sub/a.ome.tif"),
        ("/data/of/microscope/a.ome.tif", "a.ome.tif"),
        ("C:\\data\\a.ome.tif", "a.ome.tif"),
        ("a&amp;b.ome.tif", "a&b.ome.tif"),
        ("t20:15.ome.tif", "t20:15.ome.tif"),  # further on, a colon is a letter of the name
    ],
)
def test_a_file_of_a_set_is_found_however_its_path_is_written(tmp_path, named, stored):
    folder = tmp_path / "screen" / "P1"
    _write(folder / "set.companion.ome", f'<OME><UUID FileName="{named}"/></OME>')
    _write(folder / "z.tif")
    assert "is listed by screen/P1/set.companion.ome" in (_gap(tmp_path) or "")
    _write(folder / stored)
    assert _gap(tmp_path) is None


def test_without_a_companion_the_first_ome_tiff_names_the_set_and_any_other_text_names_nothing(tmp_path):
    folder = tmp_path / "screen" / "P1"
    _write(folder / "a.ome.tiff", '<OME><UUID FileName="b.ome.tif"/></OME>')
    _write(folder / "z.ome.tif", '<OME><UUID FileName="c.ome.tif"/></OME>')
    assert "b.ome.tif is listed by screen/P1/a.ome.tiff" in (_gap(tmp_path) or "")
    _write(folder / "b.ome.tif")
    assert _gap(tmp_path) is None
    _write(folder / "a.ome.tiff", 'FileName="c.ome.tif"')
    assert _gap(tmp_path) is None


@pytest.mark.parametrize("name", ["a.tif.part", "a.FILEPART", "a.tif.crdownload", "x.tmp", ".a.tif.Ab12Cd"])
def test_every_name_that_copying_tools_give_holds_a_plate(tmp_path, name):
    _write(tmp_path / "screen" / "P1" / "a.tif")
    assert _gap(tmp_path) is None
    _write(tmp_path / "screen" / "P1" / name)
    assert (_gap(tmp_path) or "").endswith(f"screen/P1/{name}")


def test_a_marker_lies_in_a_store_or_beside_it_and_an_empty_name_is_none(tmp_path):
    store = _plate_v5(tmp_path / "screen" / "P1.zarr")
    (plate,) = read_layout(open_tree(str(tmp_path))).plates
    assert not has_marker(plate, "DONE")
    assert not has_marker(plate, "")
    _write(store / "DONE")
    assert has_marker(plate, "DONE")
    (store / "DONE").unlink()
    _write(tmp_path / "screen" / "P1.zarr.DONE")
    assert has_marker(plate, "DONE")


def test_a_marker_of_a_plate_without_images_lies_beside_its_measurements(tmp_path):
    _write(tmp_path / "screen" / "measurements" / "P1.csv")
    (plate,) = read_layout(open_tree(str(tmp_path))).plates
    assert not has_marker(plate, "DONE")
    _write(tmp_path / "screen" / "measurements" / "P1.csv.DONE")
    assert has_marker(plate, "DONE")
