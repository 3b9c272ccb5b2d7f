"""The whole graph on real stores: every image and cell arrives once, linked to its own field."""

import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from pyiceberg.catalog import load_catalog

from bioimage_assets.core.settings.project import read_project_settings
from bioimage_assets.headless import HeadlessReport, materialize_plates
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets.summary import summarize_plates

pytestmark = pytest.mark.slow

PLATES = ["screen-a/SA-P1", "screen-a/SA-P2", "screen-b/SB-P1", "screen-b/SB-P2"]
EXAMPLE_HUMAN = Path(__file__).resolve().parents[3] / "shared" / "data" / "examplehuman"


def _measured(root: Path, plate_key: str) -> pd.DataFrame:
    """Measurements as the generator wrote them, read without the project's code."""
    dataset, plate = plate_key.split("/")
    path = root / dataset / "measurements" / plate
    if path.is_dir():
        return pd.read_csv(path / "Cytoplasm.csv")
    return pd.read_parquet(path.with_suffix(".parquet"))


def test_every_plate_and_dataset_is_built(built):
    failed = [o for o in built.report.plates + built.report.datasets if o.status != "built"]
    assert failed == []
    assert [o.partition for o in built.report.plates] == PLATES
    assert [o.partition for o in built.report.datasets] == ["screen-a", "screen-b"]


@pytest.mark.parametrize("plate_key", PLATES)
def test_no_cell_is_lost_doubled_or_linked_to_another_field(built, plate_key):
    joined = built.project.warehouse().read("joined_profiles", plate_keys=[plate_key]).to_pandas()
    assert len(joined) == len(_measured(built.data_dir / "incoming", plate_key))
    assert joined["Metadata_ObjectID"].is_unique
    expected = (
        joined["Metadata_Plate"] + ":" + joined["Metadata_Well"] + ":" + joined["Metadata_Site"].astype(str)
    )
    assert list(joined["image_id"]) == list(expected)
    assert set(joined["join_rule"]) != {None}


def test_the_catalog_opens_in_plain_pyiceberg_with_one_row_per_field(built):
    settings = read_project_settings({"BIOIMAGE_DATA_DIR": str(built.data_dir)})
    catalog = load_catalog(settings.catalog_name, **settings.catalog_properties)
    rows = catalog.load_table("bioimage.cytotable.image_assets").scan().to_arrow().to_pandas()
    images = rows[rows["image_kind"] == "image"]
    assert images.groupby("plate_key").size().to_dict() == dict.fromkeys(PLATES, 12)
    assert not rows.duplicated(["dataset_id", "image_id"]).any()
    assert set(rows["image_kind"]) == {"image", "label"}
    history = catalog.load_table("bioimage.cytotable.image_assets").snapshots()
    assert all(snapshot.summary["dagster.run-id"] for snapshot in history)


def test_the_warehouse_opens_in_pandas_pyarrow_and_duckdb_alike(built):
    folder = built.data_dir / "warehouse" / "joined_profiles"
    rows = len(pd.read_parquet(folder))
    assert ds.dataset(folder).count_rows() == rows
    assert duckdb.sql(f"SELECT count(*) FROM read_parquet('{folder}/*.parquet')").fetchall() == [(rows,)]
    assert rows == sum(len(_measured(built.data_dir / "incoming", key)) for key in PLATES)


def test_pycytominer_normalizes_the_joined_profiles(built):
    import pycytominer

    joined = pd.read_parquet(built.data_dir / "warehouse" / "joined_profiles")
    features = [name for name in joined if name.startswith("Nuclei_AreaShape_")][:4]
    normalized = pycytominer.normalize(
        joined[joined["plate_key"] == PLATES[0]],
        features=features,
        meta_features=["Metadata_Well"],
        samples="all",
    )
    assert abs(normalized[features].mean()).max() < 1e-9


def test_a_second_run_finds_everything_up_to_date_and_changes_no_file(built, use_data_dir):
    use_data_dir(built.data_dir)
    stored = {p: p.stat().st_mtime_ns for p in (built.data_dir / "warehouse").rglob("*.parquet")}
    report = materialize_plates(built.instance)
    assert {outcome.status for outcome in report.plates + report.datasets} == {"current"}
    assert {p: p.stat().st_mtime_ns for p in (built.data_dir / "warehouse").rglob("*.parquet")} == stored


@dataclass
class Story:
    """Two plates of a dataset through what may happen to one of them; what each chapter left is kept for the tests."""

    data_dir: Path
    instance: dg.DagsterInstance
    reports: dict[str, HeadlessReport] = field(default_factory=dict)
    summaries: dict[str, list] = field(default_factory=dict)
    rows: dict[str, dict[str, pa.Table]] = field(default_factory=dict)

    @property
    def table(self) -> Path:
        """Measurements of the plate to which all happens."""
        return self.data_dir / "incoming" / "screen-a" / "measurements" / "SA-P1.parquet"

    def build(self, chapter: str, **words) -> None:
        self.reports[chapter] = materialize_plates(self.instance, **{"plate_keys": PLATES[:2]} | words)
        project = ProjectResource(data_dir=str(self.data_dir))
        self.summaries[chapter] = summarize_plates(project, PLATES[:2])
        kept = {"cosmicqc_profiles": PLATES[:1], "pycytominer_selected_features": ["screen-a"]}
        warehouse = project.warehouse()
        self.rows[chapter] = {name: warehouse.read(name, plate_keys=keys) for name, keys in kept.items()}

    def statuses(self, chapter: str) -> list[str]:
        report = self.reports[chapter]
        return [outcome.status for outcome in report.plates + report.datasets]


@pytest.fixture(scope="module")
def story(screens_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("story")
    shutil.copytree(
        screens_root, folder / "data" / "incoming", ignore=shutil.ignore_patterns("screen-b", "SA-P[3-9]*")
    )
    told = Story(folder / "data", dg.DagsterInstance.ephemeral())
    whole = told.table.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIOIMAGE_DATA_DIR", str(told.data_dir))
        told.table.write_bytes(whole[:1000])
        told.build("broken")
        told.table.write_bytes(whole)
        told.build("mended")
        told.build("again")
        told.build("forced", plate_keys=PLATES[:1], with_datasets=False, force=True)
        told.table.write_bytes(whole[:1000])
        told.build("broken later", plate_keys=PLATES[:1], with_datasets=False)
        told.table.write_bytes(whole)
        pd.read_parquet(told.table).iloc[:-5].to_parquet(told.table)
        # A step alone, on cells of the table that was there before: it does not count as built from the present one.
        told.build("a step alone", plate_keys=PLATES[:1], select=["cosmicqc_profiles"])
        told.build("changed", with_datasets=False)
    return told


def test_a_forced_run_gives_the_same_rows(story):
    assert story.statuses("forced") == ["built"]
    assert story.reports["forced"].is_ok
    assert story.summaries["forced"] == story.summaries["again"]
    assert story.rows["forced"] == story.rows["again"]


def test_a_changed_plate_is_rebuilt_and_no_other(story):
    assert story.statuses("a step alone") == ["built"]
    assert story.statuses("changed") == ["built", "current"]
    before, after = story.summaries["mended"], story.summaries["changed"]
    flags = story.rows["changed"]["cosmicqc_profiles"]
    assert after[0].cells == flags.num_rows == before[0].cells - 5
    assert after[1] == before[1]


def test_a_plate_without_measurements_is_catalogued_all_the_same(own_project):
    (own_project.data_dir / "incoming" / "screen-a" / "measurements" / "SA-P1.parquet").unlink()
    report = materialize_plates(own_project.instance, plate_keys=PLATES[:1], with_datasets=False)
    assert report.is_ok, report
    (row,) = summarize_plates(own_project.project, PLATES[:1])
    assert (row.images, row.cells) == (12, None)
    again = materialize_plates(own_project.instance, plate_keys=PLATES[:1], with_datasets=False)
    assert [outcome.status for outcome in again.plates] == ["current"]


def test_a_broken_plate_fails_alone_with_the_file_named_and_keeps_its_rows(story):
    assert story.statuses("broken") == ["failed", "built", "built"]
    assert story.statuses("broken later") == ["failed"]
    for chapter in ("broken", "broken later"):
        assert "SA-P1.parquet" in story.reports[chapter].plates[0].message
    before, after = (story.summaries[chapter][0] for chapter in ("mended", "broken later"))
    assert before.cells
    assert (after.cells, after.matched) == (before.cells, before.matched)


def test_a_dataset_made_without_a_broken_plate_is_made_again_with_it(story):
    assert story.statuses("mended") == ["built", "current", "built"]
    assert set(story.statuses("again")) == {"current"}
    made_of = {
        chapter: set(rows["pycytominer_selected_features"]["plate_key"].to_pylist())
        for chapter, rows in story.rows.items()
    }
    assert (made_of["broken"], made_of["mended"]) == ({PLATES[1]}, set(PLATES[:2]))


# Runs a command for each table in a process of its own, which dies of SIGKILL while the rows of that table are on their
# way into storage; says how each process ended and how many locks it left. One start of Python for all of them.
DIES = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
import dagster as dg
import pyarrow as pa
import bioimage_assets.definitions
from bioimage_assets.io_managers import plate_batch
from bioimage_assets.core.storage.write import open_spooled
from bioimage_assets.headless import materialize_plates

def die_behind(batches):
    yield from batches
    os.kill(os.getpid(), signal.SIGKILL)

def dying(write, at):
    def call(project, name, plates, **options):
        for key, table in plates.items() if name == at else ():
            rows = open_spooled(table.rows())
            rows = pa.RecordBatchReader.from_batches(rows.schema, die_behind(rows))
            plates = {**plates, key: replace(table, data=rows)}
        return write(project, name, plates, **options)
    return call

for table in sys.argv[2:]:
    process = os.fork()
    if not process:
        plate_batch.replace_tables = dying(plate_batch.replace_tables, table)
        materialize_plates(dg.DagsterInstance.ephemeral(), plate_keys=sys.argv[1:2])
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    print(code, len(list(Path(os.environ["TMPDIR"]).rglob("*.lock"))))
"""


def test_killed_runs_leave_whole_tables_and_the_next_run_finishes_and_clears_up(
    own_project, tmp_path, monkeypatch
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    words = [sys.executable, "-c", DIES, PLATES[0], "chunk_index", "joined_profiles"]
    killed = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    # The second one clears up after the first.
    assert killed.stdout.splitlines() == [f"{-signal.SIGKILL} 1"] * 2, killed.stderr
    report = materialize_plates(own_project.instance, plate_keys=PLATES[:1], with_datasets=False)
    assert report.is_ok
    assert [path for path in temporary.rglob("*") if path.is_file()] == []
    (row,) = summarize_plates(own_project.project, PLATES[:1])
    assert row.cells == row.matched == len(_measured(own_project.data_dir / "incoming", PLATES[0]))


@pytest.mark.external
@pytest.mark.skipif(not EXAMPLE_HUMAN.exists(), reason="the ExampleHuman screen is not at ../shared/data")
def test_the_cellprofiler_example_runs_end_to_end(tmp_path, use_data_dir, caplog):
    folder = tmp_path / "data"
    shutil.copytree(EXAMPLE_HUMAN, folder / "incoming" / "examplehuman", copy_function=shutil.copyfile)
    project = use_data_dir(folder)
    report = materialize_plates(dg.DagsterInstance.ephemeral())
    assert report.is_ok, report
    key = "examplehuman/examplehuman"
    (row,) = summarize_plates(project, [key])
    assert (row.images, row.cells, row.matched, row.qc_failed, row.wells) == (1, 289, 289, 11, 1)
    warehouse = project.warehouse()
    image = warehouse.read("image_assets", plate_keys=[key]).to_pylist()[0]
    assert (image["well_id"], image["site_id"], len(image["files"])) == ("D03", "0", 3)
    joined = warehouse.read("joined_profiles", plate_keys=[key])
    features = [n for n in joined.column_names if n.startswith(("Cells_", "Cytoplasm_", "Nuclei_"))]
    assert len(features) == 303
    assert set(joined["image_id"].to_pylist()) == {image["image_id"]}
    qc = warehouse.read("cosmicqc_profiles", plate_keys=[key]).to_pandas()
    flags = qc[[name for name in qc if name.endswith("_is_outlier")]].sum()
    assert sorted(flags) == [3, 3, 6]
    wells = warehouse.read("pycytominer_profiles", plate_keys=[key]).to_pylist()[0]
    assert wells["Metadata_Object_Count"] == 278
    page = (folder / "reports" / "plates" / f"{key}.html").read_text()
    assert "Normalised to the whole plate" in page


def test_every_check_of_every_plate_passes_or_says_why(built):
    verdicts = {}
    for outcome in built.report.plates:
        for record in built.instance.all_logs(
            outcome.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
        ):
            evaluation = record.dagster_event.asset_check_evaluation_data
            verdicts[(outcome.partition, evaluation.asset_key.path[-1], evaluation.check_name)] = evaluation
    assert len(verdicts) == len(built.report.plates) * 21
    failed = {key: v.description for key, v in verdicts.items() if not v.passed}
    # The smallest screens have so many artefacts per plate that some exceed the limits of cells and fields, as the checks should say.
    few = {"qc_failures_are_few", "image_quality_is_good"}
    assert {name for _, _, name in failed} <= {*few, "nothing_wrong_found"}, failed
    gates = {key: text for key, text in failed.items() if key[2] == "nothing_wrong_found"}
    assert {table for _, table, _ in gates} <= {"cosmicqc_profiles", "pycytominer_profiles"}, gates
    for plate in ("screen-a/SA-P1", "screen-a/SA-P2"):
        assert (
            "12 of 12 cells are confirmed"
            in verdicts[(plate, "joined_profiles", "pixels_confirm_the_join")].description
        )


EVERYTHING = (
    "image_assets,chunk_index,acquisition_planes,plate_layout,scan_findings,single_cells,measured_images,joined_profiles,join_report,"
    "plate_completeness,image_quality,cosmicqc_profiles,pycytominer_profiles,pycytominer_selected_features,pycytominer_consensus"
)


@pytest.mark.parametrize(
    "environment", [{"BIOIMAGE_CATALOG": "none"}, {"BIOIMAGE_ICEBERG_TABLES": EVERYTHING}]
)
def test_tables_hold_the_same_wherever_they_are_placed(built, own_project, monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    report = materialize_plates(own_project.instance, plate_keys=["screen-b/SB-P2"])
    assert report.is_ok, report
    project = ProjectResource()
    assert summarize_plates(project, ["screen-b/SB-P2"]) == summarize_plates(
        built.project, ["screen-b/SB-P2"]
    )
    for name in ("image_assets", "joined_profiles", "pycytominer_profiles"):
        mine = project.tables().read(name, "screen-b/SB-P2").to_pandas()
        theirs = built.project.tables().read(name, "screen-b/SB-P2").to_pandas()
        moved = [column for column in ("uri", "fingerprint") if column in mine]
        pd.testing.assert_frame_equal(
            mine.drop(columns=moved), theirs[list(mine)].drop(columns=moved), check_dtype=False
        )
    again = materialize_plates(own_project.instance, plate_keys=["screen-b/SB-P2"])
    assert {outcome.status for outcome in again.plates} == {"current"}
