"""Making screens is deterministic, leaves what is there alone, and never shows half a plate."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from bioimage_assets.core.errors import SettingsError
from bioimage_assets.demo import screens as demo
from bioimage_assets.demo.__main__ import main
from bioimage_assets.demo.make_well import make_well
from bioimage_assets.demo.screens import DemoScreens, build_screens
from bioimage_assets.demo.sizes import SIZES

pytestmark = pytest.mark.slow


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the ``ci`` size smaller still, for tests that look at files and not at cells."""
    monkeypatch.setitem(SIZES, "ci", dataclasses.replace(SIZES["ci"], field_px=96))


def hash_files(folder: Path) -> dict[str, str]:
    """MD5 of every file below a folder by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes_also_with_worker_processes(screens: DemoScreens, tmp_path: Path):
    build_screens(tmp_path, size="ci", workers=2, datasets=["screen-b"])
    assert hash_files(tmp_path / "screen-b") == hash_files(screens.root / "screen-b")


@pytest.mark.usefixtures("tiny")
def test_another_seed_gives_other_pixels_and_replaces_the_plate(tmp_path: Path):
    first = build_screens(tmp_path, size="ci", datasets=["screen-a"], n_plates=1)
    before = hash_files(first.plates[0].paths.store)
    second = build_screens(tmp_path, size="ci", datasets=["screen-a"], n_plates=1, seed=7)
    after = hash_files(second.plates[0].paths.store)
    assert sum(plate.was_made for plate in second.plates) == 1
    assert before["A/1/0/0/0/0/0"] != after["A/1/0/0/0/0/0"]
    assert not list((tmp_path / "screen-a").glob(".*.partial"))


def test_the_second_call_makes_nothing_and_touches_no_file(screens: DemoScreens):
    times = {path: path.stat().st_mtime_ns for path in screens.root.rglob("*") if path.name != demo.LOCK_NAME}
    again = build_screens(screens.root, size="ci")
    assert sum(plate.was_made for plate in again.plates) == 0
    assert [plate.stamp for plate in again.plates] == [plate.stamp for plate in screens.plates]
    assert {path: path.stat().st_mtime_ns for path in times} == times


@pytest.mark.usefixtures("tiny")
def test_an_interrupted_run_shows_no_plate_and_the_next_run_makes_it(tmp_path: Path, monkeypatch):
    def stop_at_third_well(plan, well_index, staging):
        if well_index == 2:
            raise KeyboardInterrupt
        return make_well(plan, well_index, staging)

    with monkeypatch.context() as patch:
        patch.setattr(demo.make_well, "make_well", stop_at_third_well)
        with pytest.raises(KeyboardInterrupt):
            build_screens(tmp_path, size="ci", datasets=["screen-b"], n_plates=1)
    assert not (tmp_path / "screen-b" / "SB-P1").exists()
    assert not (tmp_path / "screen-b" / "measurements").exists()
    assert sorted(path.name for path in (tmp_path / "screen-b").iterdir()) == ["dataset.toml", "platemaps"]
    made = build_screens(tmp_path, size="ci", datasets=["screen-b"], n_plates=1)
    assert sum(plate.was_made for plate in made.plates) == 1
    assert len(list((tmp_path / "screen-b" / "SB-P1").glob("*.tif"))) == 60


@pytest.mark.usefixtures("tiny")
def test_a_plate_whose_measurements_were_deleted_is_made_again(tmp_path: Path):
    first = build_screens(tmp_path, size="ci", datasets=["screen-b"], n_plates=1)
    content = first.plates[0].paths.measurements.read_bytes()
    first.plates[0].paths.measurements.unlink()
    second = build_screens(tmp_path, size="ci", datasets=["screen-b"], n_plates=1)
    assert sum(plate.was_made for plate in second.plates) == 1
    assert second.plates[0].paths.measurements.read_bytes() == content


@pytest.mark.usefixtures("tiny")
def test_progress_counts_every_well_once(tmp_path: Path):
    seen = []
    build_screens(
        tmp_path, size="ci", datasets=["screen-b"], n_plates=1, progress=lambda *step: seen.append(step)
    )
    assert [done for done, _, _ in seen] == list(range(1, 13))
    assert seen[0] == (1, 12, "screen-b/SB-P1 A01")


@pytest.mark.parametrize("asked", [{"size": "huge"}, {"datasets": ["screen-z"]}])
def test_unknown_size_or_dataset_is_refused_with_the_choices(tmp_path: Path, asked):
    with pytest.raises(SettingsError, match="expected one of"):
        build_screens(tmp_path, **asked)


def test_the_command_says_what_was_made(screens: DemoScreens, capsys):
    assert main(["--root", str(screens.root), "--size", "ci"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[1].split()[:3] == ["screen-a/SA-P1", "12", str(screens.plates[0].stamp.cell_count)]
    assert all(line.endswith("(there already)") for line in lines[1:])


def test_a_script_without_main_guard_fails_with_a_hint_instead_of_hanging(tmp_path: Path):
    script = tmp_path / "careless.py"
    script.write_text(
        "from bioimage_assets.demo.screens import build_screens\n"
        f"build_screens({str(tmp_path / 'root')!r}, size='ci', workers=2, datasets=['screen-b'], n_plates=1)\n"
    )
    ended = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "Call it below 'if __name__ == \"__main__\":'" in ended.stderr.splitlines()[-1]
    assert not (tmp_path / "root" / "screen-b" / "SB-P1").exists()
