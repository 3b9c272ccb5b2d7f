"""Discovery opens no document through a link that a scan would refuse, and says which it was."""

import json
import zipfile
from pathlib import Path

import pytest

from bioimage_assets.core.discovery.cursor import Rotation
from bioimage_assets.core.discovery.layout import read_layout
from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.discovery.missing_parts import find_gap, has_marker
from bioimage_assets.core.discovery.signatures import list_files
from bioimage_assets.core.discovery.survey import Budget, SurveyMemory, survey_roots
from bioimage_assets.core.errors import StoreAccessError
from bioimage_assets.core.stores.local import LocalStore
from bioimage_assets.core.stores.tree import LocalTree, open_tree

PLATE = {"plate": {"wells": [{"path": "A/1"}]}}


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def linked(root: Path, name: str, target: Path) -> Path:
    """A store in a watched root one of whose documents is a link."""
    path = root / "screen" / "P1.zarr" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


@pytest.mark.parametrize("name", ["zarr.json", ".zattrs"])
def test_a_root_document_behind_a_link_out_of_the_store_is_not_read_and_said(tmp_path, name):
    watched = tmp_path / "watched"
    content = {"attributes": {"ome": PLATE}} if name == "zarr.json" else PLATE
    secret = write(tmp_path / "elsewhere/secret.json", content)
    linked(watched, name, secret)
    found = discover_plates(str(watched))
    (finding,) = [f for f in found.findings if f.code == "link-refused"]
    assert finding.location == f"screen/P1.zarr/{name}"
    survey = survey_roots(
        [str(watched)], done={}, pending={}, rotation=Rotation(), memory=SurveyMemory(), budget=Budget()
    )
    assert [f.location for f in survey.findings if f.code == "link-refused"] == [finding.location]


def test_documents_of_wells_behind_links_are_left_to_the_scan(tmp_path):
    """The well's document names a field that is not there: who read it through the link would wait for the field."""
    watched = tmp_path / "watched"
    write(watched / "screen/P1.zarr/.zattrs", PLATE)
    secret = write(tmp_path / "elsewhere/well.json", {"well": {"images": [{"path": "secret"}]}})
    linked(watched, "A/1/.zattrs", secret)
    tree = open_tree(str(watched))
    (plate,) = read_layout(tree).plates
    assert find_gap(plate, list_files(plate)) is None
    assert tree.refused_links == {"screen/P1.zarr/A/1/.zattrs"}


def test_a_link_inside_the_store_is_followed_as_in_a_scan(tmp_path):
    write(tmp_path / "screen/P1.zarr/.zattrs", PLATE)
    own = write(tmp_path / "screen/P1.zarr/shared.json", {"well": {"images": [{"path": "0"}]}})
    linked(tmp_path, "A/1/.zattrs", own)
    tree = open_tree(str(tmp_path))
    (plate,) = read_layout(tree).plates
    assert "field screen/P1.zarr/A/1/0" in (find_gap(plate, list_files(plate)) or "")
    assert not tree.refused_links


def test_heads_of_companions_and_tails_of_archives_are_read_through_no_link(tmp_path):
    secret = write(tmp_path / "elsewhere/a.ome", '<OME><UUID FileName="secret.tif"/></OME>')
    archive = tmp_path / "elsewhere/a.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("zarr.json", "{}")
    watched = tmp_path / "watched"
    folder = watched / "screen/P1"
    write(folder / "a.ome.tif", "x")
    (folder / "set.companion.ome").symlink_to(secret)
    (watched / "screen/P2.ozx").symlink_to(archive)
    tree = open_tree(str(watched))
    for plate in read_layout(tree).plates:
        assert find_gap(plate, list_files(plate)) is None
        assert not has_marker(plate, "DONE")
    assert tree.refused_links == {"screen/P1/set.companion.ome", "screen/P2.ozx"}


@pytest.mark.parametrize("target", ["elsewhere/secret", "watched/screen/P2.zarr/.zattrs"])
def test_a_look_and_a_scan_refuse_the_same_links(tmp_path, target):
    """A document of another store of the same root is out of the store, too."""
    write(tmp_path / target, {"a": 1})
    linked(tmp_path / "watched", ".zattrs", tmp_path / target)
    store = LocalStore(tmp_path / "watched/screen/P1.zarr")
    with pytest.raises(StoreAccessError, match="leads out of the store"):
        store.get(".zattrs")
    tree = LocalTree(tmp_path / "watched")
    assert tree.read_head("screen/P1.zarr/.zattrs", 100, below="screen/P1.zarr") is None
    assert tree.refused_links == {"screen/P1.zarr/.zattrs"}
