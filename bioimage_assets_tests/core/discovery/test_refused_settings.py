"""A dataset whose settings cannot be used is told by itself, whatever is wrong with the file; others go on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bioimage_assets.core.discovery.dataset_file import MAX_SETTINGS_BYTES, read_dataset_settings
from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.discovery.plates_to_take import Readiness
from bioimage_assets.core.discovery.refused_settings import find_refused_settings, hold_refused
from bioimage_assets.core.settings.dataset import DatasetSettings

CELLS = "Metadata_Well,Cells_AreaShape_Area\nA01,1\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two datasets of one plate each; the first has no settings."""
    for name in ("first", "second"):
        (tmp_path / name / "measurements").mkdir(parents=True)
        (tmp_path / name / "measurements" / "P1.csv").write_text(CELLS)
    return tmp_path


def misspell(file: Path) -> None:
    file.write_text("[join]\nprofile_site_ofset = 1\n")


def leave_open(file: Path) -> None:
    file.write_text("[join\n")


def make_too_large(file: Path) -> None:
    file.write_bytes(b"#" * (MAX_SETTINGS_BYTES + 1))


def link_elsewhere(file: Path) -> None:
    os.symlink("/nowhere/dataset.toml", file)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (misspell, "unknown key 'join.profile_site_ofset'"),
        (leave_open, "not valid TOML"),
        (make_too_large, "more than the limit"),
        (link_elsewhere, "a link that leads out of the store"),
    ],
)
def test_a_file_that_cannot_be_used_is_the_finding_of_its_dataset_alone(root, spoil, said):
    spoil(root / "second" / "dataset.toml")
    sources = discover_plates(str(root)).sources
    refused = find_refused_settings(sources, read_dataset_settings)
    assert list(refused) == ["second"]
    finding = refused["second"]
    assert (finding.code, finding.severity) == ("dataset-file-refused", "error")
    assert f"{root}/second/dataset.toml: " in finding.message
    assert said in finding.message
    judge = hold_refused(lambda source, is_quiet: Readiness(False, None), read_dataset_settings)
    held = {source.plate_key: judge(source, True).is_refused for source in sources}
    assert held == {"first/P1": False, "second/P1": True}


def test_a_single_file_at_the_top_of_a_root_is_a_dataset_without_settings(root):
    (root / "A01.tif").write_bytes(b"II*\0")
    (root / "broken.ozx").write_bytes(b"no archive")
    sources = discover_plates(str(root)).sources
    assert {source.plate_key for source in sources} >= {"A01/A01", "broken/broken"}
    assert find_refused_settings(sources, read_dataset_settings) == {}
    assert read_dataset_settings(str(root / "A01.tif")) == DatasetSettings()
