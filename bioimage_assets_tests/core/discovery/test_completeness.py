"""What a plate promises and lacks is named; what its format may leave out is not."""

import json
import zipfile
from pathlib import Path

import pytest

from bioimage_assets.core.discovery.complete import find_gap
from bioimage_assets.core.discovery.layout import read_layout
from bioimage_assets.core.discovery.signatures import list_files
from bioimage_assets.core.discovery.tree import open_tree


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
