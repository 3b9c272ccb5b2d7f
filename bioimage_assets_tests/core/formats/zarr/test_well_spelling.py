"""A well whose folder is spelt otherwise than in the plate's metadata is named with both spellings; any other folder is only odd."""

from pathlib import Path

import pytest

from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.ome_zarr.unlisted_folders import note_unlisted_folders
from bioimage_assets.core.stores.open import open_store


def _note(root: Path, wells: list[str], found: list[str]) -> dict[str, tuple[str, str]]:
    for path in found:
        (root / path / "0").mkdir(parents=True)
    log = FindingLog(str(root))
    store = open_store(str(root))
    note_unlisted_folders(store, dict.fromkeys(wells), [f"{well}/0" for well in wells], log)
    store.close()
    return {finding.code: (finding.location, finding.message) for finding in log.findings()}


@pytest.mark.parametrize(
    ("listed", "folder"), [("A/1", "A/01"), ("A/01", "A/1"), ("a/1", "A/01"), ("0/A/1", "0/A/01")]
)
def test_both_spellings_are_named(tmp_path, listed, folder):
    found = _note(tmp_path, [listed], [folder])
    assert found.keys() == {"well-respelt"}
    location, message = found["well-respelt"]
    assert location == folder
    assert f"list this well as {listed!r}, its folder is {folder!r}" in message


def test_a_folder_of_another_well_and_one_beside_the_listed_folder_are_only_not_listed(tmp_path):
    found = _note(tmp_path, ["A/1", "A/2"], ["A/1", "A/01", "A/3"])
    assert found.keys() == {"unlisted-well"}


def test_a_field_that_is_not_listed_is_named(tmp_path):
    (tmp_path / "A" / "1" / "7").mkdir(parents=True)
    assert _note(tmp_path, ["A/1"], ["A/1"])["unlisted-field"][0] == "A/1/7"
