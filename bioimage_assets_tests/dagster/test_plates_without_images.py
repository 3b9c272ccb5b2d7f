"""A plate of measurements alone goes through the whole graph; its images may come later, and are not lost unsaid."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pytest

from bioimage_assets.checks.tables import check_completeness, check_join_coverage, check_row_accounting
from bioimage_assets.headless import HeadlessReport, materialize_plates
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.retire import retire_plates
from bioimage_assets.summary import summarize_plates
from bioimage_assets_tests.dagster.step_inputs import give_check_inputs

pytestmark = pytest.mark.slow

EXAMPLE_HUMAN = Path(__file__).resolve().parents[3] / "shared" / "data" / "examplehuman"
KEY, OTHER = "screen-a/SA-P2", "screen-a/SA-P1"


@dataclass
class Story:
    """A project in which things arrive and go; what each chapter left behind is kept for the tests."""

    folder: Path
    screens: Path
    instance: dg.DagsterInstance
    reports: dict[str, HeadlessReport] = field(default_factory=dict)
    tables: dict[str, dict[str, pd.DataFrame]] = field(default_factory=dict)
    checks: dict[str, list] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    summaries: dict[str, list] = field(default_factory=dict)

    @property
    def project(self) -> ProjectResource:
        return ProjectResource(data_dir=str(self.folder))

    def bring(self, *names: str) -> None:
        for name in names:
            source, target = self.screens / "screen-a" / name, self.folder / "incoming" / "screen-a" / name
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            target.parent.mkdir(parents=True, exist_ok=True)
            copy(source, target)

    @contextmanager
    def settings(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BIOIMAGE_DATA_DIR", str(self.folder))
            yield

    def build(self, chapter: str) -> None:
        with self.settings():
            self.reports[chapter] = materialize_plates(self.instance)
            project = self.project
            self.checks[chapter] = [
                check_join_coverage(give_check_inputs(project, KEY)),
                check_row_accounting(give_check_inputs(project, KEY)),
                check_completeness(give_check_inputs(project, KEY)),
            ]
            names = [
                "joined_profiles", "join_report", "plate_completeness", "cosmicqc_profiles", "pycytominer_profiles",
            ]  # fmt: skip
            self.tables[chapter] = {
                name: project.warehouse().read(name, plate_keys=[KEY]).to_pandas() for name in names
            }
            page = project.settings.reports_dir / "plates" / f"{KEY}.html"
            self.pages[chapter] = page.read_text()
            self.summaries[chapter] = summarize_plates(project, [KEY])

    def outcomes(self, chapter: str) -> list[tuple[str, str]]:
        report = self.reports[chapter]
        return [(o.partition, o.status) for o in report.plates + report.datasets]


@pytest.fixture(scope="module")
def story(ci_screens: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    instance = dg.DagsterInstance.ephemeral()
    told = Story(tmp_path_factory.mktemp("story"), ci_screens, instance)
    told.bring("dataset.toml", "platemaps", _measurements(ci_screens, "SA-P2"))
    told.build("alone")
    told.build("again")
    told.bring(_measurements(ci_screens, "SA-P1"), "SA-P1.ome.zarr")
    told.build("beside images")
    told.bring("SA-P2.ome.zarr")
    told.build("images came")
    shutil.rmtree(told.folder / "incoming" / "screen-a" / "SA-P2.ome.zarr")
    told.build("images went")
    with told.settings():
        retire_plates(instance, told.project, [KEY])
    told.build("removed")
    return told


def _measurements(screens: Path, plate: str) -> str:
    (path,) = (screens / "screen-a" / "measurements").glob(f"{plate}*")
    return f"measurements/{path.name}"


def _written(story: Story) -> pd.DataFrame:
    """Measurements as the generator wrote them, read without the project's code."""
    path = story.screens / "screen-a" / _measurements(story.screens, "SA-P2")
    return pd.read_csv(path / "Cytoplasm.csv") if path.is_dir() else pd.read_parquet(path)


def test_measurements_alone_are_profiled_in_a_project_without_any_image(story):
    assert story.outcomes("alone") == [(KEY, "built"), ("screen-a", "built")]
    assert story.reports["alone"].findings == []
    tables, written = story.tables["alone"], _written(story)
    assert len(tables["joined_profiles"]) == len(tables["cosmicqc_profiles"]) == len(written)
    assert tables["joined_profiles"][["join_rule", "image_id"]].isna().all(axis=None)
    assert len(tables["pycytominer_profiles"]) == tables["joined_profiles"]["Metadata_Well"].nunique()
    assert tables["pycytominer_profiles"]["Metadata_Well"].notna().all()


def test_that_there_are_no_images_is_said_once_and_the_check_that_needs_them_is_not_green(story):
    (line,) = story.tables["alone"]["join_report"].to_dict("records")
    assert (line["outcome"], line["row_count"]) == ("no-images", len(_written(story)))
    assert "by design" in line["message"]
    coverage, rows, complete = story.checks["alone"]
    assert [coverage.passed, rows.passed, complete.passed] == [False, True, True]
    assert coverage.severity == dg.AssetCheckSeverity.WARN
    assert coverage.description.startswith("not checked: the plate has no images")
    wells = story.tables["alone"]["plate_completeness"]
    assert set(wells["verdict"]) == {"measured"}
    assert wells["cells_found"].sum() == len(_written(story))
    assert (wells["sites_measured"] > 0).all()
    assert set(wells["plate_id"]) == set(story.tables["alone"]["joined_profiles"]["plate_id"])
    assert (
        "The plate has no images by design" in story.pages["alone"] or "has no images" in story.pages["alone"]
    )
    assert [(s.images, s.cells, s.matched) for s in story.summaries["alone"]] == [
        (0, len(_written(story)), 0)
    ]


def test_a_second_run_finds_the_plate_up_to_date(story):
    assert story.outcomes("again") == [(KEY, "current"), ("screen-a", "current")]


def test_it_is_profiled_together_with_a_plate_of_images(story):
    assert story.outcomes("beside images") == [(OTHER, "built"), (KEY, "current"), ("screen-a", "built")]
    rows = duckdb.sql(
        f"SELECT plate_key, join_rule IS NULL, count(*) FROM read_parquet('{story.folder}/warehouse/joined_profiles/*.parquet') "
        f"WHERE plate_key = '{OTHER}' GROUP BY ALL"
    ).fetchall()
    assert [row[:2] for row in rows] == [(OTHER, False)]


def test_images_that_come_later_are_linked_to_all_cells(story):
    assert story.outcomes("images came") == [(OTHER, "current"), (KEY, "built"), ("screen-a", "built")]
    joined = story.tables["images came"]["joined_profiles"]
    expected = (
        joined["Metadata_Plate"] + ":" + joined["Metadata_Well"] + ":" + joined["Metadata_Site"].astype(str)
    )
    assert list(joined["image_id"]) == list(expected)
    assert joined["join_rule"].notna().all()
    features = [name for name in _written(story).columns if name.startswith("Nuclei_")]
    profiles = [story.tables[chapter]["pycytominer_profiles"] for chapter in ("alone", "images came")]
    pd.testing.assert_frame_equal(*(p[[f for f in features if f in p]] for p in profiles))


def test_images_that_go_again_fail_the_plate_and_its_rows_are_kept(story):
    outcomes = dict(story.outcomes("images went"))
    assert outcomes[KEY] == "failed"
    (failed,) = [plate for plate in story.reports["images went"].plates if plate.status == "failed"]
    assert "are gone" in failed.message
    assert "partitions remove" in failed.message
    before, after = (story.tables[c]["joined_profiles"] for c in ("images came", "images went"))
    pd.testing.assert_frame_equal(before, after)


def test_a_plate_that_was_removed_goes_on_as_measurements_alone(story):
    assert dict(story.outcomes("removed"))[KEY] == "built"
    assert story.tables["removed"]["joined_profiles"]["image_id"].isna().all()


def _write_load_data(folder: Path, cells: pd.DataFrame) -> Path:
    """A LoadData table of the fields that were measured; its images lie in an archive that nobody can reach."""
    table = cells[["Metadata_Plate", "Metadata_Well", "Metadata_Site"]].drop_duplicates()
    for channel in ("DNA", "ER"):
        table[f"FileName_Orig{channel}"] = (
            table["Metadata_Well"] + "_" + table["Metadata_Site"].astype(str) + f"_{channel}.tiff"
        )
        table[f"PathName_Orig{channel}"] = "s3://no-such-bucket/images"
    folder.mkdir(parents=True)
    table.to_csv(folder / "SA-P2.csv", index=False)
    return folder / "SA-P2.csv"


@pytest.mark.parametrize("catalog", ["", "none"])
def test_cells_are_linked_to_images_of_a_load_data_table_that_nobody_can_open(
    own_project, monkeypatch, catalog
):
    if catalog:
        monkeypatch.setenv("BIOIMAGE_CATALOG", catalog)
    project = ProjectResource()
    dataset = own_project.data_dir / "incoming" / "screen-a"
    shutil.rmtree(dataset / "SA-P2.ome.zarr")
    (measured,) = (dataset / "measurements").glob("SA-P2*")
    written = pd.read_csv(measured / "Cytoplasm.csv") if measured.is_dir() else pd.read_parquet(measured)
    _write_load_data(dataset / "load_data", written)
    report = materialize_plates(own_project.instance, plate_keys=[KEY], with_datasets=False)
    assert report.is_ok, report
    joined = project.warehouse().read("joined_profiles", plate_keys=[KEY]).to_pandas()
    assert len(joined) == len(written)
    assert set(joined["join_rule"]) == {"plate_well_site"}
    expected = (
        joined["Metadata_Plate"] + ":" + joined["Metadata_Well"] + ":" + joined["Metadata_Site"].astype(str)
    )
    assert list(joined["image_id"]) == list(expected)
    assert check_join_coverage(give_check_inputs(project, KEY)).passed
    assert check_completeness(give_check_inputs(project, KEY)).passed
    again = materialize_plates(own_project.instance, plate_keys=[KEY], with_datasets=False)
    assert [plate.status for plate in again.plates] == ["current"]


@pytest.mark.skipif(not EXAMPLE_HUMAN.is_dir(), reason="the ExampleHuman data set is not here")
def test_the_tables_of_example_human_are_a_plate_and_its_images_are_linked_when_they_come(
    tmp_path, use_data_dir
):
    project, key = use_data_dir(tmp_path / "data"), "examplehuman/examplehuman"
    dataset = tmp_path / "data" / "incoming" / "examplehuman"
    dataset.mkdir(parents=True)
    instance = dg.DagsterInstance.ephemeral()
    counts = []
    for pattern in ("*.csv", "*.tif"):
        for path in EXAMPLE_HUMAN.glob(pattern):
            shutil.copyfile(path, dataset / path.name)
        assert materialize_plates(instance, plate_keys=[key]).is_ok
        (row,) = summarize_plates(project, [key])
        counts.append((row.images, row.cells, row.matched, row.qc_failed, row.wells))
    assert counts == [(0, 289, 0, 11, 1), (1, 289, 289, 11, 1)]
