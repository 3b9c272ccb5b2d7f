"""One small project, built once through Dagster, that the tests of this folder read or copy."""

import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.headless import HeadlessReport, materialize_plates
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.builders.shared_folder import fill_once


@dataclass
class BuiltProject:
    """A data folder, the Dagster instance that knows it, and what the first run said."""

    data_dir: Path
    instance: dg.DagsterInstance
    report: HeadlessReport

    @property
    def project(self) -> ProjectResource:
        return ProjectResource(data_dir=str(self.data_dir), pictures=False)


@pytest.fixture(scope="session")
def screens_root(ci_screens: Path) -> Path:
    """The four demo plates in their smallest size; tests do not change them."""
    return ci_screens


@pytest.fixture
def use_data_dir(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], ProjectResource]:
    """Point the project's settings at a folder for the length of a test."""

    def use(folder: Path) -> ProjectResource:
        monkeypatch.setenv("BIOIMAGE_DATA_DIR", str(folder))
        return ProjectResource()

    return use


@pytest.fixture(scope="session")
def built(screens_root: Path, tmp_path_factory: pytest.TempPathFactory) -> BuiltProject:
    """Every plate and dataset of the screens, materialised once for all test processes. Tests do not change it."""

    def build(folder: Path) -> None:
        shutil.copytree(screens_root, folder / "data" / "incoming")
        (folder / "instance").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BIOIMAGE_DATA_DIR", str(folder / "data"))
            report = materialize_plates(dg.DagsterInstance.local_temp(str(folder / "instance")))
        (folder / "outcomes").write_bytes(pickle.dumps((report.plates, report.datasets)))

    folder = fill_once(tmp_path_factory, "built", build)
    plates, datasets = pickle.loads((folder / "outcomes").read_bytes())
    instance = dg.DagsterInstance.local_temp(str(folder / "instance"))
    return BuiltProject(folder / "data", instance, HeadlessReport(plates, datasets))


@pytest.fixture
def own_project(screens_root: Path, tmp_path: Path, use_data_dir) -> BuiltProject:
    """The screens in a project that a test may change and that is not built yet; stores keep their change times.

    Its instance is in memory: a plate takes half the time of one whose events go to files.
    """
    folder = tmp_path / "data"
    shutil.copytree(screens_root, folder / "incoming")
    use_data_dir(folder)
    return BuiltProject(folder, dg.DagsterInstance.ephemeral(), HeadlessReport())
