"""A table whose files are gone is not up to date: it is built again where its inputs are there, else it is named."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.cli.main import main
from bioimage_assets.core.storage.state import look_at_stored
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets.headless import HeadlessReport, materialize_plates
from bioimage_assets.resources.project import ProjectResource

pytestmark = pytest.mark.slow

PLATE, DATASET = "screen-a/SA-P1", "screen-a"
FOLDERS = ("catalog", "warehouse", "reports")


@dataclass
class OnePlate:
    """A project of one plate that was built once; each test finds it as it was."""

    folder: Path
    instance: dg.DagsterInstance
    project: ProjectResource
    rows: dict[str, int]

    def build(self, **words) -> HeadlessReport:
        return materialize_plates(self.instance, **words)

    def states(self) -> dict[str, str]:
        """What is lost of the plate and its dataset, by table."""
        stored = look_at_stored(self.project.tables())
        return {lost.table: lost.problem for key in (PLATE, DATASET) for lost in stored.lost(key)}

    def part(self, table: str) -> Path:
        (found,) = [p for p in (self.folder / "warehouse" / table).glob("*.parquet") if p.name[0] != "_"]
        return found

    def iceberg(self, table: str, pattern: str) -> list[Path]:
        return sorted((self.folder / "catalog").rglob(f"{table}/{pattern}"))


@pytest.fixture(scope="module")
def built_plate(ci_screens: Path, tmp_path_factory: pytest.TempPathFactory) -> OnePlate:
    folder = tmp_path_factory.mktemp("one-plate")
    shutil.copytree(ci_screens, folder / "incoming", ignore=shutil.ignore_patterns("screen-b", "SA-P2*"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOIMAGE_DATA_DIR", str(folder))
        instance = dg.DagsterInstance.ephemeral()
        report = materialize_plates(instance)
    assert report.is_ok, report
    for name in (*FOLDERS, "incoming"):
        shutil.copytree(folder / name, folder / "kept" / name)
    project = ProjectResource(data_dir=str(folder))
    return OnePlate(folder, instance, project, _count(project))


@pytest.fixture
def plate(built_plate: OnePlate, use_data_dir) -> OnePlate:
    for name in (*FOLDERS, "incoming"):
        shutil.rmtree(built_plate.folder / name, ignore_errors=True)
        shutil.copytree(built_plate.folder / "kept" / name, built_plate.folder / name)
    use_data_dir(built_plate.folder)
    return built_plate


def _count(project: ProjectResource) -> dict[str, int]:
    warehouse = project.warehouse()
    return {name: warehouse.read(name).num_rows for name in warehouse.tables()}


def _is_whole(plate: OnePlate) -> bool:
    """Nothing is lost, every table has its rows, every byte is what was written, and the next run does nothing."""
    report = plate.build()
    outcomes = {outcome.status for outcome in report.plates + report.datasets}
    checked = validate_warehouse_manifest(plate.folder / "warehouse", deep=True)
    assert (report.is_ok, outcomes, checked.errors) == (True, {"current"}, [])
    assert plate.states() == {}
    return _count(plate.project) == plate.rows


def _delete_database(plate: OnePlate) -> set[str]:
    (database,) = (plate.folder / "catalog").glob("*.db")
    database.unlink()
    return {"image_assets", "chunk_index"}


def _damage_files(plate: OnePlate) -> set[str]:
    """Parts gone, cut and grown, a part of the dataset gone, and data files of the catalog gone."""
    plate.part("joined_profiles").unlink()
    cut = plate.part("cosmicqc_profiles")
    cut.write_bytes(cut.read_bytes()[:-100])
    with plate.part("pycytominer_profiles").open("ab") as grown:
        grown.write(b"more")
    plate.part("chunk_index").unlink()
    plate.part("pycytominer_consensus").unlink()
    for table in ("image_assets", "plate_layout"):
        for path in plate.iceberg(table, "data/**/*.parquet"):
            path.unlink()
    return {
        "image_assets",
        "plate_layout",
        "joined_profiles",
        "cosmicqc_profiles",
        "pycytominer_profiles",
        "chunk_index",
        "pycytominer_consensus",
    }


def _delete_iceberg_metadata(plate: OnePlate) -> set[str]:
    for path in plate.iceberg("image_assets", "metadata/*.json"):
        path.unlink()
    for path in plate.iceberg("chunk_index", "metadata/*-m*.avro"):
        path.unlink()
    for path in plate.iceberg("plate_layout", "metadata/snap-*.avro"):
        path.unlink()
    return {"image_assets", "chunk_index", "plate_layout"}


def _delete_root(plate: OnePlate) -> set[str]:
    shutil.rmtree(plate.folder / "warehouse")
    return set()


def _delete_manifest(plate: OnePlate) -> set[str]:
    (plate.folder / "warehouse" / "warehouse_manifest.json").unlink()
    return set()


@pytest.mark.parametrize(
    "damage",
    [
        _delete_database,
        _damage_files,
        _delete_iceberg_metadata,
        _delete_root,
        _delete_manifest,
    ],
    ids=lambda damage: damage.__name__.strip("_"),
)
def test_what_is_lost_is_said_and_built_again(
    plate: OnePlate, damage: Callable[[OnePlate], set[str]], capsys: pytest.CaptureFixture[str]
):
    lost = damage(plate)
    assert set(plate.states()) == lost
    main(["status"])
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(PLATE))
    assert ("lost" if lost else "to be built") in row
    report = plate.build()
    assert report.is_ok, report
    assert [outcome.status for outcome in report.plates] == ["built"]
    assert _is_whole(plate)


def test_what_is_lost_without_its_plate_is_named_and_nothing_else_goes(
    plate: OnePlate, capsys: pytest.CaptureFixture[str]
):
    part = plate.part("joined_profiles")
    part.unlink()
    shutil.rmtree(plate.folder / "incoming" / DATASET)
    before = {path for folder in FOLDERS for path in (plate.folder / folder).rglob("*.parquet")}
    assert main(["materialize"]) == 1
    said = capsys.readouterr()
    assert f"{PLATE}: joined_profiles: {part} is missing" in said.err
    assert main(["status"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(PLATE))
    assert "lost" in row
    assert {path for folder in FOLDERS for path in (plate.folder / folder).rglob("*.parquet")} == before
