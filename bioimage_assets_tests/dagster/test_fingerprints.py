"""A table is built again for what it reads, and for nothing else: versions, files, settings and tables further up."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from bioimage_assets.core.model.step_spec import TableSpec
from bioimage_assets.core.model.table_specs import STEPS, list_steps, list_tables
from bioimage_assets.core.storage.fingerprints import compute_fingerprints, is_current
from bioimage_assets.core.storage.state import look_at_stored
from bioimage_assets.definitions import defs
from bioimage_assets.failure_messages import describe_failures
from bioimage_assets.headless import materialize_plates
from bioimage_assets.io_managers.plate_batch import build_step
from bioimage_assets.io_managers.project_io import ProjectIOManager
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.dagster.plate_runs import QUIET
from bioimage_assets_tests.dagster.step_inputs import build_one_plate, give_inputs, record_settings

PLATE, DATASET = "screen-b/SB-P2", "screen-b"
SCANNED = set(STEPS[0].names)
# It has no campaign; those are looked at in test_campaign_tables.py.
OF_THIS_PROJECT = [step for step in STEPS if step.dimension != "campaign"]


@pytest.fixture(scope="module")
def built_plate(ci_screens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one plate that was built once, beside its instance."""
    return build_one_plate(ci_screens, tmp_path_factory.mktemp("fingerprints") / "data")


@pytest.fixture
def project(built_plate: Path, use_data_dir) -> Iterator[ProjectResource]:
    """The built project; files that a test changes are put back, since nothing is built by most tests."""
    kept = {path: path.read_bytes() for path in _small_inputs(built_plate)}
    times = {path: path.stat() for path in kept}
    yield use_data_dir(built_plate)
    for path, payload in kept.items():
        path.write_bytes(payload)
        os.utime(path, ns=(times[path].st_atime_ns, times[path].st_mtime_ns))


def _small_inputs(folder: Path) -> list[Path]:
    dataset = folder / "incoming" / DATASET
    found = [
        p for p in dataset.rglob("*") if p.is_file() and p.suffix in (".csv", ".txt", ".toml", ".parquet")
    ]
    return [p for p in found if ".zarr" not in str(p)]


def find_stale(project: ProjectResource) -> set[str]:
    """Tables of the plate and its dataset that would be built again now, were each looked at for itself."""
    state = look_at_stored(project.tables())
    sources, _ = project.discover([DATASET])
    settings = project.dataset_settings(sources[0].dataset_uri)
    stale: set[str] = set()

    def stored(name: str, partition: str) -> str | None:
        # What is built again is stored under another fingerprint afterwards, whatever it then holds.
        return "new" if name in stale else state.fingerprint(name, partition)

    for step in OF_THIS_PROJECT:
        partition = PLATE if step.dimension == "plate" else DATASET
        wanted = compute_fingerprints(step, partition, sources, settings, stored)
        stale |= {name for name, print_ in wanted.items() if state.fingerprint(name, partition) != print_}
    return stale


@pytest.fixture
def raise_version() -> Iterator[Callable[[str], None]]:
    """Raise the version of a table, as a developer does by one number in its spec."""
    raised: list[TableSpec] = []

    def change(name: str, by: int = 1) -> None:
        (table,) = (table for step in STEPS for table in step.tables if table.name == name)
        object.__setattr__(table, "version", table.version + by)  # specs are frozen
        raised.append(table)

    yield change
    for table in raised:
        object.__setattr__(table, "version", table.version - 1)


# Flags of fields may fail cells, of which profiles are made.
JUDGED = {
    "image_quality",
    "cosmicqc_profiles",
    "normalized_cells",
    "pycytominer_profiles",
    "plate_report",
    *list_tables("dataset"),
}


@pytest.mark.slow
def test_what_was_built_is_current(project):
    assert find_stale(project) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "stale"),
    [
        ("dataset_report", {"dataset_report"}),
        ("plate_report", {"plate_report"}),
        ("pycytominer_consensus", {"pycytominer_consensus", "dataset_report"}),
        (
            "pycytominer_profiles",
            {"pycytominer_profiles", "plate_report", *list_tables("dataset")},
        ),
        ("join_report", {"join_report", "plate_completeness", *JUDGED}),
        ("image_quality", JUDGED),
        ("plate_layout", {"plate_layout", "plate_completeness", "plate_report"}),
    ],
)
def test_a_raised_version_rebuilds_that_table_and_what_reads_it(project, raise_version, name, stale):
    raise_version(name)
    assert find_stale(project) == stale


@pytest.mark.slow
def test_a_raised_version_of_a_page_builds_one_page_and_writes_no_table(project, raise_version, built_plate):
    page = project.settings.reports_dir / "datasets" / f"{DATASET}.html"
    kept, before = page.read_bytes(), {path: path.read_bytes() for path in built_plate.rglob("*.parquet")}
    raise_version("dataset_report")
    report = materialize_plates(dg.DagsterInstance.local_temp(str(built_plate / "instance")))
    assert [(o.partition, o.status) for o in report.plates + report.datasets] == [
        (PLATE, "current"),
        (DATASET, "built"),
    ]
    assert {path: path.read_bytes() for path in built_plate.rglob("*.parquet")} == before
    assert page.read_bytes()[-60:] != kept[-60:]
    page.write_bytes(kept)


@pytest.mark.slow
def test_a_mended_measurement_file_leaves_the_scan_current(project, built_plate):
    measured = built_plate / "incoming" / DATASET / "measurements"
    file = next(path for path in measured.rglob("*") if path.name == "Cells.csv")
    file.write_bytes(file.read_bytes() + b"\n")
    stale = find_stale(project)
    of_images = {"cytomining_warehouse", "virtual_plates"}
    assert stale == {*list_tables("plate"), *list_tables("dataset")} - SCANNED - of_images


@pytest.mark.slow
def test_a_changed_platemap_leaves_the_join_alone(project, built_plate):
    file = next((built_plate / "incoming" / DATASET / "platemaps").rglob("*.txt"))
    os.utime(file, (1, 1))
    of_wells = {"normalized_cells", "pycytominer_profiles", "plate_report"}
    assert find_stale(project) == {*of_wells, *list_tables("dataset")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "stale"),
    [
        ("[join]\nprofile_site_offset = 1\n", {"joined_profiles", "join_report", "plate_completeness"}),
        ("[normalization]\ncenter_controls = true\n", {"pycytominer_profiles"}),
        ("[image_quality]\nz_limit = 9.0\n", {"image_quality"}),
        ("[quality_control]\nimage_flags = true\n", {"cosmicqc_profiles"}),
        ("# a remark\n", set()),
    ],
)
def test_a_setting_rebuilds_what_reads_it_first(project, built_plate, line, stale):
    file = built_plate / "incoming" / DATASET / "dataset.toml"
    before = file.read_text()
    table = line.split("\n")[0]
    file.write_text(
        before.replace(table, line) if table in before and line.startswith("[") else f"{before}\n{line}"
    )
    found = find_stale(project)
    assert stale <= found
    assert not found & SCANNED
    assert bool(found) == bool(stale)
    if "normalization" in line:
        assert "joined_profiles" not in found


@pytest.mark.slow
@pytest.mark.parametrize("step", OF_THIS_PROJECT, ids=[step.name for step in OF_THIS_PROJECT])
def test_a_step_reads_no_setting_that_it_does_not_declare(project, tmp_path, step):
    """Else a change of the setting would leave its tables as they are, and nobody would say so."""
    partition = PLATE if step.dimension == "plate" else DATASET
    inputs = give_inputs(project, partition, tmp_path, step.names)
    settings, asked = record_settings(inputs.settings)
    made = build_step(step, replace(inputs, settings=settings))
    for table in made.values():  # what is read while it is written
        rows = table.rows()
        if hasattr(rows, "read_next_batch"):
            sum(batch.num_rows for batch in rows)
    assert asked <= set(step.settings)


@pytest.mark.slow
def test_a_re_execution_from_failure_counts(built_plate, tmp_path, use_data_dir):
    """The measurements are mended after a run failed over them; the scan of that run is not made again."""
    folder = tmp_path / "data"
    shutil.copytree(built_plate / "incoming", folder / "incoming")
    project = use_data_dir(folder)
    measured = folder / "incoming" / DATASET / "measurements"
    file = next(path for path in measured.rglob("*") if path.name == "Cells.csv")
    payload = file.read_bytes()
    file.write_bytes(b"ImageNumber\n1\n")
    (tmp_path / "instance").mkdir()
    instance = dg.DagsterInstance.local_temp(str(tmp_path / "instance"))
    job = defs.resolve_job_def("plate_pipeline")
    from bioimage_assets.partitions import register_plates

    register_plates(instance, [PLATE])
    first = job.execute_in_process(
        partition_key=PLATE, instance=instance, raise_on_error=False, run_config=QUIET
    )
    assert not first.success
    file.write_bytes(payload)
    with dg.execute_job(
        dg.reconstructable(_plate_pipeline),
        instance=instance,
        run_config=QUIET,
        tags={"dagster/partition": PLATE},
        reexecution_options=dg.ReexecutionOptions.from_failure(first.run_id, instance),
    ) as again:
        assert again.success, describe_failures(again.all_events)
        steps = {event.step_key for event in again.all_events if event.is_step_success}
    assert "scan_plates" not in steps
    source = project.plate_sources([PLATE])[PLATE]
    settings = project.dataset_settings(source.dataset_uri)
    assert is_current(
        look_at_stored(project.tables()), list_steps("plate"), source.plate_key, [source], settings
    )


@pytest.mark.slow
def test_every_table_and_page_is_stored_by_an_io_manager(built_plate, tmp_path, use_data_dir, monkeypatch):
    """A step only gives its batch of plates; with IO managers that do nothing, nothing is stored."""
    folder = tmp_path / "data"
    shutil.copytree(built_plate / "incoming", folder / "incoming")
    project = use_data_dir(folder)
    (tmp_path / "instance").mkdir()
    instance = dg.DagsterInstance.local_temp(str(tmp_path / "instance"))
    handle, stored = ProjectIOManager.handle_output, []
    monkeypatch.setattr(ProjectIOManager, "handle_output", lambda self, context, obj: None)
    materialize_plates(instance, select=["image_assets", "single_cells"])
    assert not list((folder / "warehouse").rglob("*.parquet"))
    assert not list((folder / "catalog").rglob("*.parquet"))

    def watch(self, context, obj):
        handle(self, context, obj)
        stored.append(context.asset_key.path[-1])

    monkeypatch.setattr(ProjectIOManager, "handle_output", watch)
    assert materialize_plates(instance).is_ok
    assert sorted(stored) == sorted([*list_tables("plate"), *list_tables("dataset")])
    kept = {*project.warehouse().tables(), *project.settings.iceberg_tables, "plate_report", "dataset_report"}
    # The plate has too few controls to be corrected, and nobody asks for the others.
    absent = {
        "cytomining_warehouse",
        "normalized_cells",
        "virtual_plates",
        "sphered_profiles",
        "correction_scores",
    }
    assert set(stored) - absent <= kept


def _plate_pipeline() -> dg.JobDefinition:
    return defs.resolve_job_def("plate_pipeline")


def test_the_version_of_an_asset_is_the_version_of_its_table():
    graph = defs.resolve_asset_graph()
    for step in STEPS:
        for table in step.tables:
            assert graph.get(dg.AssetKey(table.name)).code_version == str(table.version)


def test_an_asset_waits_for_what_its_step_reads():
    graph = defs.resolve_asset_graph()
    for step in STEPS:
        for name in step.names:
            parents = {key.to_user_string() for key in graph.get(dg.AssetKey(name)).parent_keys}
            assert parents - {"image_stores"} == {*step.inputs, *step.of_plates, *step.after}, name


def test_a_step_declares_its_inputs_before_the_steps_that_read_them():
    known: set[str] = set()
    for step in STEPS:
        assert {*step.inputs, *step.of_plates, *step.after} <= known, step.name
        known |= set(step.names)
