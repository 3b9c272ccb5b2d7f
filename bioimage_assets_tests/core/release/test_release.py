"""A release keeps every table as it was, whatever happens to the project afterwards, and says so in a way others can check."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table
from rocrate.rocrate import ROCrate

from bioimage_assets.core.catalog.history import list_snapshots, tag_release
from bioimage_assets.core.catalog.maintain import MaintenanceOptions, maintain_table
from bioimage_assets.core.catalog.read import read_table
from bioimage_assets.core.catalog.replace import replace_partitions
from bioimage_assets.core.errors import MissingTableError, UsageError, WarehouseError
from bioimage_assets.core.release.compare.compare_states import compare_states
from bioimage_assets.core.release.compare.open_state import open_state
from bioimage_assets.core.release.make import ReleaseWords, make_release
from bioimage_assets.core.release.record import read_record
from bioimage_assets.core.release.verify import verify_release
from bioimage_assets.core.settings.project import read_project_settings
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.core.warehouse.maintain import maintain_warehouse
from bioimage_assets.core.warehouse.root import open_warehouse
from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest
from bioimage_assets_tests.builders.crate_validator import find_crate_issues
from bioimage_assets_tests.builders.disk_steps import watched_steps
from bioimage_assets_tests.builders.every_step import Killed, stop_at_each
from bioimage_assets_tests.builders.release_projects import (
    LAYOUT,
    PLATES,
    WELLS,
    build_cells,
    build_layout,
    open_project,
    write_project,
)
from bioimage_assets_tests.builders.s3_server import create_bucket, run_s3, storage_options

WORDS = ReleaseWords(
    description="What the paper shows.",
    author="Ada Lovelace <https://orcid.org/0000-0002-1825-0097>",
    publisher="The Lab <https://ror.org/05a28rw58>",
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that nobody changes."""
    folder = tmp_path_factory.mktemp("project")
    write_project(folder / "data")
    make_release(open_project(folder / "data"), folder / "data" / "releases", "v1", WORDS)
    return folder / "data"


@pytest.fixture
def project(tmp_path: Path) -> ProjectTables:
    return write_project(tmp_path / "data")


def releases_of(project: ProjectTables) -> Path:
    return project.settings.data_dir / "releases"


@pytest.mark.slow
def test_the_release_is_a_valid_ro_crate_and_process_run_crate(written: Path) -> None:
    for profile in ("ro-crate-1.1", "process-run-crate"):
        assert find_crate_issues(written / "releases" / "v1", profile) == []


@pytest.mark.slow
def test_the_validator_notices_a_file_that_is_gone_and_an_action_without_a_tool(
    written: Path, tmp_path: Path
) -> None:
    broken = shutil.copytree(written / "releases" / "v1", tmp_path / "v1")
    shutil.rmtree(broken / "catalog")
    crate = json.loads((broken / "ro-crate-metadata.json").read_text())
    for entity in crate["@graph"]:
        if entity["@type"] == "CreateAction":
            del entity["instrument"]
        if entity["@type"] == "Dataset":
            entity["sha512"] = "a word of no context"
    (broken / "ro-crate-metadata.json").write_text(json.dumps(crate))
    issues = " ".join(find_crate_issues(broken, "process-run-crate"))
    assert "instrument" in issues
    assert "sha512" in issues
    assert "plate_layout" in issues


def test_every_file_has_its_checksum_in_the_crate_and_in_the_list_of_sha256sum(written: Path) -> None:
    release = written / "releases" / "v1"
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "--strict", "manifest-sha256.txt"], cwd=release, check=True
    )
    listed = dict(
        reversed(line.split("  ", 1)) for line in (release / "manifest-sha256.txt").read_text().splitlines()
    )
    crate = ROCrate(str(release))
    said = {entity.id: entity["sha256"] for entity in crate.get_by_type("File") if "sha256" in entity}
    assert said == listed
    own = {"ro-crate-metadata.json", "manifest-sha256.txt", "release.json"}
    there = {str(path.relative_to(release)) for path in release.rglob("*") if path.is_file()}
    assert there - own == set(listed)


def test_settings_versions_and_rows_stand_in_the_crate(written: Path) -> None:
    crate = ROCrate(str(written / "releases" / "v1"))
    assert crate.description == "What the paper shows."
    assert (written / "releases/v1/settings/screen/dataset.toml").read_text() == "[checks]\nstrict = true\n"
    action = crate.get("#made-warehouse-pycytominer_profiles")
    assert {(tool["name"], tool["softwareVersion"]) for tool in action["instrument"]} >= {
        ("pycytominer", "1.7.1")
    }
    assert action["result"]["name"] == "pycytominer_profiles (warehouse)"
    assert action["result"]["size"] == "12 rows"


def test_no_secret_and_no_folder_of_the_machine_is_in_the_settings(tmp_path: Path) -> None:
    write_project(tmp_path / "data")
    tables = open_project(tmp_path / "data", BIOIMAGE_STORAGE_AWS_SECRET_ACCESS_KEY="very-secret")
    made = make_release(tables, tmp_path / "releases", "v1")
    for path in made.folder.rglob("*"):
        assert not path.is_file() or b"very-secret" not in path.read_bytes()
    assert str(tmp_path) not in (made.folder / "settings" / "project.json").read_text()


def test_the_released_root_is_read_by_this_package_and_by_pandas_and_is_valid(written: Path) -> None:
    root = written / "releases" / "v1" / "warehouse"
    before = open_warehouse(written / "warehouse").read("single_cells")
    assert open_warehouse(root).read("single_cells").equals(before)
    assert len(pd.read_parquet(root / "pycytominer_profiles")) == len(PLATES) * len(WELLS)
    assert validate_warehouse_manifest(root, deep=True).errors == []


def test_a_release_keeps_its_rows_when_the_project_changes_and_is_tidied_up(project: ProjectTables) -> None:
    made = make_release(project, releases_of(project), "v1")
    catalog, files = project.open_catalog(), sorted(made.folder.rglob("*.parquet"))
    before = {path: path.read_bytes() for path in files}
    for _ in range(4):
        replace_partitions(catalog, LAYOUT, build_layout(PLATES[0]).slice(0, 1), [PLATES[0]])
        project.warehouse.replace_partitions("single_cells", build_cells(PLATES[0], 77), [PLATES[0]])
    project.warehouse.remove_partitions("pycytominer_profiles", [PLATES[1]])
    options = MaintenanceOptions(keep_snapshots=1, snapshot_age_s=0, orphan_age_s=0)
    report = maintain_table(catalog, LAYOUT, options=options, dry_run=False)
    maintain_warehouse(project.warehouse.root)
    assert report.expired_snapshots
    assert {path: path.read_bytes() for path in files} == before
    (snapshot,) = [record for record in list_snapshots(catalog, LAYOUT) if "v1" in record.tags]
    assert snapshot.snapshot_id == made.record.tables[0].snapshot_id
    assert read_table(catalog, LAYOUT, as_of="v1").num_rows == len(PLATES) * len(WELLS)
    assert read_table(catalog, LAYOUT).num_rows == len(PLATES) * len(WELLS) - 3
    root = open_warehouse(made.folder / "warehouse")
    assert root.read("single_cells", plate_keys=[PLATES[0]]).equals(build_cells(PLATES[0], 0))
    assert root.row_count("pycytominer_profiles") == len(PLATES) * len(WELLS)


def test_the_data_take_no_room_until_they_change(written: Path) -> None:
    pairs = [
        (path, written / path.relative_to(written / "releases" / "v1"))
        for path in (written / "releases" / "v1" / "warehouse").rglob("*.parquet")
        if "_warehouse" not in path.parts
    ]
    assert len(pairs) == 2 * len(PLATES)
    assert all(released.samefile(stored) for released, stored in pairs)


def test_the_same_content_again_changes_nothing_and_other_content_is_refused(project: ProjectTables) -> None:
    made = make_release(project, releases_of(project), "v1")
    content = {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}
    again = make_release(project, releases_of(project), "v1")
    assert (made.outcome, again.outcome) == ("made", "unchanged")
    assert again.record == made.record
    project.warehouse.replace_partitions("single_cells", build_cells(PLATES[0], 77), [PLATES[0]])
    with pytest.raises(UsageError, match="diff v1 now"):
        make_release(project, releases_of(project), "v1")
    assert {path: path.read_bytes() for path in made.folder.rglob("*") if path.is_file()} == content
    assert make_release(project, releases_of(project), "v2").outcome == "made"
    assert {path.name for path in releases_of(project).iterdir()} == {"v1", "v2", ".lock"}


def test_a_changed_a_lost_and_a_strange_file_of_a_release_are_named(written: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(written / "releases" / "v1", tmp_path / "v1")
    assert list(verify_release(copy)) == []
    (changed, lost, *_) = sorted((copy / "warehouse" / "single_cells").glob("*.parquet"))
    payload = bytearray(changed.read_bytes())
    payload[len(payload) // 2] ^= 1
    changed.write_bytes(payload)
    lost.unlink()
    (copy / "settings" / "more.toml").write_text("")
    problems = {one.code: one for one in verify_release(copy)}
    assert sorted(problems) == ["release-file-changed", "release-file-lost", "release-file-strange"]
    assert problems["release-file-lost"].location == lost.relative_to(copy).as_posix()
    found = " ".join(one.message for one in problems.values())
    assert found.count(str(copy)) == 3
    assert f"{changed} is not what was released" in found
    assert f"{lost} is lost" in found
    assert "more.toml is no file of the release" in found
    (copy / "manifest-sha256.txt").write_text(f"{'0' * 64}  ../outside\n")
    with pytest.raises(UsageError, match="below the release"):
        list(verify_release(copy))


def test_a_tag_of_that_name_on_an_earlier_state_is_refused_before_anything_is_written(
    project: ProjectTables,
) -> None:
    catalog = project.open_catalog()
    tag_release(catalog, "bioimage.cytotable", "v1")
    replace_partitions(catalog, LAYOUT, build_layout(PLATES[0]).slice(0, 1), [PLATES[0]])
    with pytest.raises(UsageError, match="already has a tag 'v1'"):
        make_release(project, releases_of(project), "v1")
    assert {path.name for path in releases_of(project).iterdir()} == {".lock"}


@pytest.mark.parametrize("name", ["", "main", "now", "../v1", ".v1", "a/b", "x" * 101, "v 1"])
def test_a_name_that_is_no_folder_everywhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a release"):
        make_release(open_project(tmp_path), tmp_path / "releases", name)


def test_a_project_without_tables_and_a_root_with_a_lost_file_are_no_release(
    tmp_path: Path, project: ProjectTables
) -> None:
    with pytest.raises(MissingTableError, match="nothing to release"):
        make_release(open_project(tmp_path / "empty"), tmp_path / "releases", "v1")
    Path(project.warehouse.files("single_cells", [PLATES[0]])[0]).unlink()
    with pytest.raises(WarehouseError, match="missing, which the manifest names"):
        make_release(project, releases_of(project), "v1")
    assert not [path for path in releases_of(project).iterdir() if path.name != ".lock"]


def test_a_dataset_whose_settings_are_not_there_is_told(tmp_path: Path, project: ProjectTables) -> None:
    shutil.rmtree(project.settings.data_dir / "incoming")
    record = make_release(project, releases_of(project), "v1").record
    assert [absence for absence in record.absences if "dataset screen" in absence]
    assert read_record(releases_of(project) / "v1").absences == record.absences


def test_a_disk_without_hard_links_gets_copies(
    project: ProjectTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    made = make_release(project, releases_of(project), "v1")
    monkeypatch.undo()
    stored = Path(project.warehouse.files("single_cells", [PLATES[0]])[0])
    released = made.folder / "warehouse" / "single_cells" / stored.name
    assert not released.samefile(stored)
    assert pq.read_table(released).equals(pq.read_table(stored))
    assert make_release(project, releases_of(project), "v1").outcome == "unchanged"


@pytest.mark.slow
def test_a_release_that_is_killed_before_any_step_is_not_there_or_whole_and_is_made_by_the_next_call(
    tmp_path: Path, written: Path
) -> None:
    def begin() -> ProjectTables:
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        write_small(tmp_path / "data")
        return open_project(tmp_path / "data")

    trials = 0
    for trial in stop_at_each(
        watched_steps, begin, lambda tables: make_release(tables, folder(tables), "v1")
    ):
        trials += 1
        release = folder(trial.place) / "v1"
        with trial.told():
            assert not release.exists() or (release / "release.json").exists()
            tagged = [r for r in list_snapshots(trial.place.open_catalog(), LAYOUT) if "v1" in r.tags]
            assert not tagged or release.exists() or (release.parent / ".v1.complete").exists()
            again = make_release(trial.place, folder(trial.place), "v1")
            assert again.outcome in ("made", "finished", "unchanged")
            assert {path.name for path in release.parent.iterdir()} == {"v1", ".lock"}
            assert [r for r in list_snapshots(trial.place.open_catalog(), LAYOUT) if "v1" in r.tags]
            subprocess.run(
                ["sha256sum", "--check", "--status", "manifest-sha256.txt"], cwd=release, check=True
            )
    assert trials > 20


def test_a_release_that_is_killed_between_two_tags_is_finished_as_it_was_begun(
    project: ProjectTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, other = project.open_catalog(), "bioimage.cytotable.other"
    replace_partitions(catalog, other, build_layout(PLATES[0]), [PLATES[0]])
    commit, tagged = SqlCatalog.commit_table, []

    def die(self: SqlCatalog, table: Table, *words: object) -> object:
        if tagged:
            raise Killed("the second tag")
        tagged.append(table.name()[-1])
        return commit(self, table, *words)

    monkeypatch.setattr(SqlCatalog, "commit_table", die)
    with pytest.raises(Killed):
        make_release(project, releases_of(project), "v1")
    monkeypatch.undo()
    assert not (releases_of(project) / "v1").exists()
    assert [table for table in ("other", "plate_layout") if has_tag(catalog, table)] == tagged
    project.warehouse.replace_partitions("single_cells", build_cells(PLATES[0], 77), [PLATES[0]])
    replace_partitions(catalog, LAYOUT, build_layout(PLATES[0]).slice(0, 1), [PLATES[0]])
    with pytest.raises(UsageError, match="has other content"):
        make_release(project, releases_of(project), "v1")
    assert all(has_tag(catalog, table) for table in ("other", "plate_layout"))
    assert read_table(catalog, LAYOUT, as_of="v1").num_rows == len(PLATES) * len(WELLS)
    root = open_warehouse(releases_of(project) / "v1" / "warehouse")
    assert root.read("single_cells", plate_keys=[PLATES[0]]).equals(build_cells(PLATES[0], 0))
    assert list(verify_release(releases_of(project) / "v1")) == []


def has_tag(catalog: Catalog, table: str) -> bool:
    return any("v1" in record.tags for record in list_snapshots(catalog, f"bioimage.cytotable.{table}"))


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    with run_s3() as address:
        yield address


@pytest.mark.parametrize("kind", ["memory", pytest.param("s3", marks=pytest.mark.slow)])
def test_a_root_in_a_bucket_is_copied_and_compared_with_the_bucket(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    options: dict[str, str] = {}
    uri = "memory://releases-of-a-bucket/root"
    if kind == "s3":
        endpoint = request.getfixturevalue("s3_endpoint")
        options, uri = dict(storage_options(endpoint)), f"s3://{create_bucket(endpoint)}/root"
    variables = {f"BIOIMAGE_STORAGE_{name.upper()}": str(value) for name, value in options.items()}
    settings = read_project_settings(
        {
            "BIOIMAGE_DATA_DIR": str(tmp_path),
            "BIOIMAGE_CATALOG": "none",
            "BIOIMAGE_WAREHOUSE": uri,
            **variables,
        }
    )
    warehouse = open_warehouse(uri, storage_options=options)
    for plate in PLATES:
        warehouse.replace_partitions("single_cells", build_cells(plate, 1), [plate])
    tables = ProjectTables(settings, warehouse, lambda: pytest.fail("there is no catalog"))
    made = make_release(tables, tmp_path / "releases", "v1")
    released = open_warehouse(made.folder / "warehouse")
    assert released.read("single_cells").equals(warehouse.read("single_cells"))
    assert list(verify_release(made.folder)) == []
    states = [
        open_state(word, tmp_path / "releases", lambda _: tables, options) for word in ("v1", uri, "now")
    ]
    assert all(compare_states(states[0], state).is_same for state in states)
    warehouse.replace_partitions("single_cells", build_cells(PLATES[0], 2), [PLATES[0]])
    changed = compare_states(states[0], open_state(uri, tmp_path / "releases", lambda _: tables, options))
    assert [part.key for part in changed.tables[0].partitions] == [PLATES[0]]


folder: Callable[[ProjectTables], Path] = releases_of


def write_small(data_dir: Path) -> None:
    """One table in the catalog and one in the warehouse."""
    tables = open_project(data_dir)
    replace_partitions(tables.open_catalog(), LAYOUT, build_layout(PLATES[0]), [PLATES[0]])
    tables.warehouse.replace_partitions(
        "rows", pa.table({"plate_key": [PLATES[0]]}), [PLATES[0]], role="reports"
    )
