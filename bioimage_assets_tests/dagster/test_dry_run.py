"""`materialize --dry-run` says what would be built and why, and leaves everything as it is."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bioimage_assets.cli.main import main
from bioimage_assets.core.model.table_specs import STEPS
from bioimage_assets.dry_run import plan_partitions
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.dagster.step_inputs import build_one_plate

PLATE, DATASET = "screen-b/SB-P2", "screen-b"


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def once(ci_screens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_one_plate(ci_screens, tmp_path_factory.mktemp("dry") / "data")


@pytest.fixture
def project(once: Path, tmp_path: Path, use_data_dir) -> ProjectResource:
    shutil.copytree(once, tmp_path / "data", copy_function=shutil.copy2)
    return use_data_dir(tmp_path / "data")


def _why(project: ProjectResource) -> dict[str, str]:
    sources, _ = project.discover()
    return {plan.partition: plan.why for plan in plan_partitions(project, sources)}


@pytest.mark.slow
class TestWhatIsBuilt:
    def test_nothing_is_built_of_what_is_current(self, project):
        assert _why(project) == {PLATE: "", DATASET: ""}

    def test_a_setting_is_named_as_it_is_written(self, project):
        path = project.settings.data_dir / "incoming" / DATASET / "dataset.toml"
        text = path.read_text() if path.exists() else ""
        path.write_text(text + "\n[qc]\nmax_fail_fraction = 0.5\n")
        assert _why(project)[PLATE] == "settings changed: [qc] max_fail_fraction"
        assert _why(project)[DATASET] == "plates of it would be built"

    def test_code_of_another_version_is_named(self, project, monkeypatch):
        import bioimage_assets.core.model.table_specs as specs

        at = next(n for n, step in enumerate(STEPS) if step.name == "cosmicqc_profiles")
        (table,) = STEPS[at].tables
        raised = replace(STEPS[at], tables=(replace(table, version=table.version + 1),))
        monkeypatch.setattr(specs, "STEPS", (*STEPS[:at], raised, *STEPS[at + 1 :]))
        assert _why(project)[PLATE] == "code of cosmicqc_profiles changed"

    def test_measurements_that_changed_are_named(self, project):
        measured = project.settings.data_dir / "incoming" / DATASET / "measurements"
        for path in measured.rglob("*"):
            os.utime(path, (1, 1))
        why = _why(project)[PLATE]
        assert why.startswith("measurements")
        assert "changed, of which single_cells is made" in why

    def test_a_lost_file_is_named(self, project):
        (part,) = project.warehouse().files("cosmicqc_profiles", [PLATE])
        Path(part).unlink()
        assert "lost file: cosmicqc_profiles: " in _why(project)[PLATE]


def test_a_new_plate_is_new_and_nothing_is_written(ci_screens, tmp_path, use_data_dir, monkeypatch, capsys):
    use_data_dir(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    shutil.copytree(ci_screens, tmp_path / "incoming", ignore=shutil.ignore_patterns("screen-a", "SB-P1*"))
    before = sorted(tmp_path.iterdir())
    assert main(["materialize", "--dry-run"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [PLATE, "would", "be", "built", "new"] in lines
    assert sorted(tmp_path.iterdir()) == before
    assert list(home.iterdir()) == []
