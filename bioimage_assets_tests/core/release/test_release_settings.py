"""Settings of a release: a dataset is told by its plates and by what its steps wrote, once."""

from dataclasses import replace
from pathlib import Path

from bioimage_assets.core.release.gather_settings import gather_settings
from bioimage_assets.core.settings.project import read_project_settings


def test_what_a_step_wrote_is_no_dataset_of_its_own(tmp_path: Path) -> None:
    settings = replace(read_project_settings(), incoming_uris=(str(tmp_path / "incoming"),))
    (tmp_path / "incoming").mkdir()
    keys = ["screen", "screen/P1", "screen#hits", "screen/P1#joined_profiles"]
    assert gather_settings(settings, keys, tmp_path / "release") == (
        "The settings of dataset screen are not known: no watched root has a plate of it (BIOIMAGE_INCOMING).",
    )


def test_a_place_of_registered_profiles_is_no_plate_and_no_dataset(tmp_path: Path) -> None:
    settings = replace(read_project_settings(), incoming_uris=(str(tmp_path),))
    keys = [
        "/data/screen/P1.parquet",
        "s3://bucket/P1.parquet",
        "file:///data/P1.parquet",
        "campaign:all",
        "*",
        "",
    ]
    assert gather_settings(settings, keys, tmp_path / "release") == ()
