"""What the steps of a plate and of its dataset find and call travels with their tables, up to the dataset's page."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from bioimage_assets.assets.pages import build_dataset_page
from bioimage_assets.assets.rollups import build_selection, build_treatments
from bioimage_assets.assets.wells import build_qc, build_wells, cells_per_well
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.step_findings import store_findings
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.builders.tiff_plates import write_plane
from bioimage_assets_tests.core.profiling.plates import make_cells, plan_plate
from bioimage_assets_tests.dagster.step_inputs import give_inputs, read_findings, store_table
from bioimage_assets_tests.dagster.test_plates_without_profiles import store

pytestmark = pytest.mark.slow

PLATES = ("P1", "P2", "P3")
PLANS = plan_plate(control_count=12, replicates=3)


@pytest.fixture
def project(tmp_path: Path) -> ProjectResource:
    """Three plates with cells: P2 at two time points, P3 without controls; one well of all has no treatment."""
    folder = tmp_path / "incoming" / "screen"
    for plate in PLATES:
        write_plane(folder / plate / f"{plate}_A01_s1_w1.TIF")
        header = "well_position\tcompound\tconcentration_um\tcontrol_type\n"
        rows = [
            f"{p.well}\t{p.compound}\t{p.dose:g}\t{'negcon' if p.is_control and plate != 'P3' else ''}\n"
            for p in PLANS
        ]
        rows[-1] = f"{PLANS[-1].well}\t\t\t\n"
        path = folder / "platemaps" / "platemap" / f"{plate}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(header + "".join(rows))
    project = ProjectResource(data_dir=str(tmp_path))
    for number, plate in enumerate(PLATES):
        cells = make_cells(PLANS, plate=plate, seed=number, cells_per_well=40)
        times = ["24", "48"] if plate == "P2" else ["24"]
        cells = cells.append_column("Metadata_Time", pa.array(np.resize(times, cells.num_rows).tolist()))
        store(project, "joined_profiles", cells, f"screen/{plate}")
    return project


def keep(project: ProjectResource, name: str, partition: str, made: PlateTable) -> PlateTable:
    """Store a table and what was found, as the assets do."""
    store(project, name, made.data, partition)
    assert made.findings is not None
    assert not callable(made.findings)
    store_findings(project.warehouse(), partition, name, made.findings, "run-1")
    json.dumps(list(made.steps))  # plain values: the manifest holds them
    return made


def build_everything(project: ProjectResource) -> dict[str, PlateTable]:
    sources, _ = project.discover(["screen"])
    made = {}
    for source in sources:
        keep(project, "cosmicqc_profiles", source.plate_key, build_qc(give_inputs(project, source.plate_key)))
        wells = build_wells(give_inputs(project, source.plate_key))
        made[source.plate_key] = keep(project, "pycytominer_profiles", source.plate_key, wells)
    made["selection"] = keep(
        project, "pycytominer_selected_features", "screen", build_selection(give_inputs(project, "screen"))
    )
    made["consensus"] = keep(
        project, "pycytominer_consensus", "screen", build_treatments(give_inputs(project, "screen"))
    )
    return made


def test_findings_of_dataset_steps_are_kept_under_the_dataset_and_reach_its_page(
    project: ProjectResource,
) -> None:
    build_everything(project)
    found = {finding.code for finding in read_findings(project.warehouse(), "screen")}
    assert {
        "well-without-treatment", "consensus-by-time", "consensus-mixed-references", "selection-mixed-references",
    } <= found  # fmt: skip
    assert "profiles-by-time" in {finding.code for finding in read_findings(project.warehouse(), "screen/P2")}
    store_table(project, "dataset_report", "screen", build_dataset_page(give_inputs(project, "screen")))
    (page,) = project.settings.reports_dir.glob("datasets/screen.html")
    html = page.read_text()
    for code in ("well-without-treatment", "consensus-mixed-references", "profiles-by-time"):
        assert code in html


def test_findings_that_are_gone_leave_the_dataset(project: ProjectResource) -> None:
    build_everything(project)
    settings = "[consensus]\nmix_references = true\n\n[profiles]\ngroup_by = []\n"
    (Path(project.data_dir) / "incoming" / "screen" / "dataset.toml").write_text(settings)
    build_everything(project)
    found = [finding.code for finding in read_findings(project.warehouse(), "screen")]
    assert found.count("consensus-mixed-references") == 1
    assert "consensus-by-time" not in found
    assert "profiles-by-time" not in {
        finding.code for finding in read_findings(project.warehouse(), "screen/P2")
    }


def test_every_table_carries_the_calls_behind_it(project: ProjectResource) -> None:
    made = build_everything(project)
    calls = {name: [step["call"] for step in table.steps] for name, table in made.items()}
    assert calls["screen/P1"] == [
        "pandas.DataFrame.query", "pycytominer.normalize", "pycytominer.aggregate", "pycytominer.annotate",
    ]  # fmt: skip
    assert made["screen/P2"].steps[1]["group_by"] == ["Metadata_Time"]
    assert set(calls["selection"]) == {"pycytominer.feature_select"}
    assert calls["consensus"] == ["pycytominer.consensus"]
    assert "Metadata_Time" in made["consensus"].steps[0]["arguments"]["replicate_columns"]
    sources, _ = project.discover(["screen"])
    steps = build_qc(give_inputs(project, sources[0].plate_key)).steps
    assert {step["call"] for step in steps} == {"cosmicqc.identify_outliers"}
    assert all(step["version"] and step["arguments"]["feature_thresholds"] for step in steps)


def test_wells_of_several_time_points_are_counted_once(project: ProjectResource) -> None:
    made = build_everything(project)
    table = made["screen/P2"].data
    assert table.num_rows == 2 * len(PLANS)
    per_well = cells_per_well(table)
    assert set(per_well) == {plan.well for plan in PLANS}
    assert sum(per_well.values()) == sum(table["Metadata_Object_Count"].to_pylist())


def test_centring_is_named_by_the_steps_and_the_page(project: ProjectResource) -> None:
    settings = "[normalization]\ncenter_controls = true\n"
    (Path(project.data_dir) / "incoming" / "screen" / "dataset.toml").write_text(settings)
    made = build_everything(project)
    (center,) = [step for step in made["screen/P1"].steps if step["call"] == "pandas.DataFrame.sub"]
    assert center["setting"] == "[normalization] center_controls = true in dataset.toml"
    assert "pandas.DataFrame.sub" not in [step["call"] for step in made["screen/P3"].steps]
    store_table(project, "dataset_report", "screen", build_dataset_page(give_inputs(project, "screen")))
    (page,) = project.settings.reports_dir.glob("datasets/screen.html")
    html = page.read_text()
    assert "controls-centered" in html
    assert "the median of the 12 control wells was moved to zero" in html
