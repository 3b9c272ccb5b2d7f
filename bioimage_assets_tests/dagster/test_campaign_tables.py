"""Tables of a campaign against pycytominer, called by hand on the stacked plates of all its datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pycytominer import consensus, feature_select

from bioimage_assets.core.hits.measure import measure_hits
from bioimage_assets.core.model.table_specs import STEPS, list_steps
from bioimage_assets.core.profiling.dataset import OPERATIONS
from bioimage_assets.core.storage.fingerprints import is_campaign_current
from bioimage_assets.core.storage.pages import locate_page
from bioimage_assets.core.storage.plate_table import PlateTable
from bioimage_assets.core.storage.stale import explain_stale
from bioimage_assets.core.storage.state import look_at_stored
from bioimage_assets.io_managers.plate_batch import build_step
from bioimage_assets.resources.project import ProjectResource
from bioimage_assets_tests.builders.campaign_plates import (
    FEATURES,
    make_cells,
    make_wells,
    store_rows,
    write_campaign,
)
from bioimage_assets_tests.builders.column_pages import list_differences
from bioimage_assets_tests.dagster.step_inputs import give_inputs, record_settings

KEY = "campaign:both"
PLATES = ("day-1/P1", "day-1/P2", "day-2/P1", "day-2/P3")
CAMPAIGN = '[campaigns.both]\ndatasets = ["day-1", "day-2"]\nsource = { day-2 = "lab 2" }\n'
ROW = ["Metadata_compound", "Metadata_control_type", "Metadata_Normalized_To", "Metadata_Well"]


def stack(plates: Mapping[str, pa.Table]) -> pd.DataFrame:
    return pd.concat([table.to_pandas() for table in plates.values()], ignore_index=True)


@pytest.fixture
def plates() -> dict[str, pa.Table]:
    return {key: make_wells(key, seed) for seed, key in enumerate(PLATES)}


@pytest.fixture
def project(tmp_path: Path, plates: dict[str, pa.Table]) -> ProjectResource:
    """Two datasets of two plates whose wells are stored."""
    write_campaign(tmp_path / "incoming", PLATES, CAMPAIGN)
    project = ProjectResource(data_dir=str(tmp_path), pictures=False)
    for key, wells in plates.items():
        store_rows(project.tables(), "pycytominer_profiles", key, wells, f"wells of {key}")
    return project


def build(project: ProjectResource, scratch: Path, name: str) -> dict[str, PlateTable]:
    """Build and store the step of a table, as a run does but for the fingerprint."""
    step = next(step for step in STEPS if name in step.names)
    made = build_step(step, give_inputs(project, KEY, scratch))
    for table, built in made.items():
        if isinstance(built.data, pa.Table):
            store_rows(project.tables(), table, KEY, built.data, "made")
    return made


def test_features_are_selected_over_all_plates_as_pycytominer_does(project, plates, tmp_path):
    table = build(project, tmp_path, "campaign_features")["campaign_features"].data
    stacked = stack(plates)
    left = feature_select(
        stacked, features=list(FEATURES), operation=list(OPERATIONS), na_cutoff=0, outlier_cutoff=500
    )
    rows = table.to_pandas().set_index("feature")
    assert sorted(rows.index[rows["is_selected"]]) == sorted(set(FEATURES) & set(left.columns))
    assert (~rows["is_selected"]).sum() == 1
    assert set(rows["removed_by"].dropna()) == {"correlation_threshold"}
    assert (rows["plate_count"] == 4).all()
    assert (rows["dataset_count"] == 2).all()


def test_the_limits_of_selection_are_those_of_the_file(project, plates, tmp_path):
    largest = stack(plates)[list(FEATURES)].abs().max().sort_values()
    limit = (largest.iloc[0] + largest.iloc[1]) / 2
    limits = f"[campaigns.both.selection]\ncorrelation_limit = 1.0\noutlier_limit = {limit}\n"
    (tmp_path / "incoming" / "campaign.toml").write_text(CAMPAIGN + limits)
    made = build(project, tmp_path, "campaign_features")["campaign_features"].data.to_pandas()
    assert made.loc[made["is_selected"], "feature"].tolist() == [largest.index[0]]
    assert set(made["removed_by"].dropna()) == {"drop_outliers"}


def test_a_feature_that_one_plate_lacks_is_named_with_how_many_have_it(project, plates, tmp_path):
    wells = plates["day-2/P3"].drop_columns([FEATURES[2]])
    store_rows(project.tables(), "pycytominer_profiles", "day-2/P3", wells, "fewer")
    made = build(project, tmp_path, "campaign_features")["campaign_features"].data.to_pandas()
    (row,) = made[made["feature"] == FEATURES[2]].to_dict("records")
    assert (row["removed_by"], row["plate_count"], row["dataset_count"]) == ("not_on_every_plate", 3, 2)


def test_treatments_are_combined_over_datasets_as_pycytominer_does(project, plates, tmp_path):
    build(project, tmp_path, "campaign_features")
    found = build(project, tmp_path, "campaign_consensus")["campaign_consensus"].data.to_pandas()
    names = [name for name in FEATURES if name in found]
    assert len(names) == len(FEATURES) - 1
    wells = stack(plates)
    wells["Metadata_Well"] = wells["Metadata_Well"].where(wells["Metadata_control_type"].notna(), None)
    wanted = consensus(wells, replicate_columns=ROW, operation="median", features=names)
    both = [frame.fillna("-").sort_values(ROW).reset_index(drop=True) for frame in (found, wanted)]
    np.testing.assert_array_equal(both[0][names], both[1][names])
    np.testing.assert_array_equal(both[0][ROW], both[1][ROW])


def test_a_treatment_says_how_many_wells_plates_datasets_and_sources_it_is_of(project, plates, tmp_path):
    build(project, tmp_path, "campaign_features")
    found = build(project, tmp_path, "campaign_consensus")["campaign_consensus"].data.to_pandas()
    counts = found[found["Metadata_compound"] == "alpha"].iloc[0]
    assert counts[[name for name in found if name.endswith("_Count")]].to_dict() == {
        "Metadata_Replicate_Count": 8,
        "Metadata_Plate_Count": 4,
        "Metadata_Dataset_Count": 2,
        "Metadata_Batch_Count": 2,
        "Metadata_Source_Count": 2,
        "Metadata_Object_Count": stack(plates)
        .query("Metadata_compound == 'alpha'")["Metadata_Object_Count"]
        .sum(),
    }
    assert set(found["campaign_id"]) == {"both"}
    assert set(found["campaign_key"]) == {KEY}


@pytest.mark.slow
def test_a_well_without_a_passing_cell_is_no_replicate(project, plates, tmp_path):
    wells = plates["day-1/P1"].to_pandas()
    row = wells.index[wells["Metadata_compound"] == "alpha"][0]
    wells.loc[row, list(FEATURES)] = np.nan
    wells.loc[row, "Metadata_Object_Count"] = 0
    store_rows(project.tables(), "pycytominer_profiles", "day-1/P1", pa.Table.from_pandas(wells), "empty")
    build(project, tmp_path, "campaign_features")
    found = build(project, tmp_path, "campaign_consensus")["campaign_consensus"].data.to_pandas()
    assert found[found["Metadata_compound"] == "alpha"]["Metadata_Replicate_Count"].tolist() == [7]


def test_replicates_are_measured_on_the_stored_wells(project, plates, tmp_path):
    features = build(project, tmp_path, "campaign_features")["campaign_features"].data
    found = build(project, tmp_path, "campaign_consensus")["campaign_replicates"].data.to_pandas()
    wells = stack(plates)
    names = features.filter(features["is_selected"])["feature"].to_pylist()
    chosen = wells[(wells["Metadata_compound"] == "beta") & (wells["dataset_id"] == "day-1")]
    matrix = np.corrcoef(chosen[names])
    apart = np.triu(chosen["Metadata_Well"].to_numpy()[:, None] != chosen["Metadata_Well"].to_numpy(), 1)
    row = found.query("treatment == 'beta' and batch == 'day-1'").iloc[0]
    assert row["replicate_correlation"] == pytest.approx(np.median(matrix[apart]), abs=1e-12)
    assert set(found["pairs"]) == {"within batch", "across batches", "across sources"}


def test_hits_of_a_campaign_are_those_of_its_wells_stacked_by_hand(project, plates, tmp_path):
    features = build(project, tmp_path, "campaign_features")["campaign_features"].data
    names = features.filter(features["is_selected"])["feature"].to_pylist()
    found = build(project, tmp_path, "campaign_hits")["campaign_hits"].data.to_pandas()
    settings = give_inputs(project, KEY).settings
    measured = measure_hits(stack(plates), stack(plates)[names].to_numpy(), settings, with_curves=False)
    by_hand = {row.treatment: row for row in measured.report.treatments}
    assert set(found["treatment"]) == set(by_hand) >= {"alpha", "beta"}
    for row in found.itertuples():
        assert row.mean_average_precision == pytest.approx(
            by_hand[row.treatment].mean_average_precision, abs=1e-12
        )
        assert row.distance == pytest.approx(measured.distances[row.treatment].distance, rel=1e-9)
        assert (row.replicate_count, row.plate_count, row.campaign_key) == (8, 4, KEY)


@pytest.mark.parametrize("operation", ["median", "mean"])
def test_cells_of_all_plates_are_aggregated_as_pandas_does(project, plates, tmp_path, operation):
    cells = {}
    for seed, (key, wells) in enumerate(plates.items()):
        cells[key], quality = make_cells(wells, seed)
        store_rows(project.tables(), "joined_profiles", key, cells[key], "cells")
        if key != "day-2/P3":  # a plate without quality control: all of its cells count
            store_rows(project.tables(), "cosmicqc_profiles", key, quality, "quality")
            cells[key] = cells[key].filter(pc.invert(quality["Metadata_cqc_failed"]))
    assert build(project, tmp_path, "campaign_features")
    assert build(project, tmp_path, "campaign_cell_profiles")["campaign_cell_profiles"].data is None
    (tmp_path / "incoming" / "campaign.toml").write_text(
        f'{CAMPAIGN}[campaigns.both.cells]\naggregate = "{operation}"\n'
    )
    found = build(project, tmp_path, "campaign_cell_profiles")["campaign_cell_profiles"].data.to_pandas()
    stored = project.tables().read("campaign_cell_profiles", KEY)
    assert list_differences("campaign_cell_profiles", stored.schema) == []
    names = [name for name in found if name in FEATURES]
    assert len(names) == len(FEATURES) - 1
    wanted = stack(cells).groupby(["plate_key", "well_id"])[names].agg(operation)
    both = found.set_index(["plate_key", "well_id"]).loc[wanted.index]
    np.testing.assert_allclose(both[names], wanted, atol=1e-12)
    assert sorted(set(both["Metadata_Object_Count"])) == [4, 5]


@pytest.mark.parametrize("step", ["campaign_features", "campaign_consensus", "campaign_hits"])
def test_columns_are_those_of_the_page(project, tmp_path, step):
    build(project, tmp_path, "campaign_features")
    for name, made in build(project, tmp_path, step).items():
        assert list_differences(name, made.data.schema) == []


def store_as_built(project: ProjectResource, tmp_path: Path) -> None:
    """Store every table and page of the campaign under the fingerprint that a run would give it."""
    from bioimage_assets.core.storage.fingerprints import compute_fingerprints

    for step in STEPS:
        if step.dimension == "campaign":
            inputs = give_inputs(project, KEY, tmp_path)
            state = look_at_stored(project.tables())
            wanted = compute_fingerprints(step, KEY, inputs.sources, inputs.settings, state.fingerprint)
            for name, built in build_step(step, inputs).items():
                store_rows(project.tables(), name, KEY, built.data, wanted[name])  # rows, or the page


def find_causes(project: ProjectResource) -> tuple[str, ...]:
    inputs = give_inputs(project, KEY)
    state = look_at_stored(project.tables())
    causes = explain_stale(state, "campaign", KEY, inputs.sources, inputs.settings)
    assert is_campaign_current(state, inputs.campaign, inputs.sources) == (not causes)
    return causes


@pytest.mark.slow
def test_a_campaign_is_current_until_a_plate_a_setting_or_its_datasets_change(project, plates, tmp_path):
    assert find_causes(project) == ("new",)
    store_as_built(project, tmp_path)
    assert find_causes(project) == ()
    store_rows(project.tables(), "pycytominer_profiles", "day-2/P1", plates["day-2/P1"], "built again")
    (cause, *_) = find_causes(project)
    assert "pycytominer_profiles of a plate" in cause
    store_as_built(project, tmp_path)
    file = tmp_path / "incoming" / "campaign.toml"
    file.write_text(f"{CAMPAIGN}[campaigns.both.selection]\ncorrelation_limit = 0.5\n")
    assert find_causes(project)[0] == "settings changed: [selection] correlation_limit"
    file.write_text(f"# a remark\n{CAMPAIGN}")
    assert find_causes(project) == ()
    file.write_text(CAMPAIGN.replace('"day-1", ', ""))
    assert find_causes(project) != ()


def test_a_plate_that_is_not_built_or_is_removed_makes_the_campaign_stale(project, plates, tmp_path):
    store_as_built(project, tmp_path)
    incoming = tmp_path / "incoming"
    write_campaign(incoming, ["day-1/P9"], CAMPAIGN)
    assert find_causes(project) != ()
    (incoming / "day-1" / "measurements" / "P9.csv").unlink()
    assert find_causes(project) == ()
    (incoming / "day-1" / "measurements" / "P2.csv").unlink()
    assert find_causes(project) != ()


@pytest.mark.slow
@pytest.mark.parametrize("step", list(list_steps("campaign")), ids=lambda step: step.name)
def test_a_step_reads_no_setting_that_it_does_not_declare(project, tmp_path, step):
    store_as_built(project, tmp_path)
    inputs = give_inputs(project, KEY, tmp_path)
    settings, asked = record_settings(inputs.settings)
    build_step(step, replace(inputs, settings=settings))
    # Where the file lies says nothing of the tables; what it states itself is among the disagreements.
    # The page says how its datasets are now.
    assert asked <= {*step.settings, "file_uri", "stated", "of_datasets"}


@pytest.mark.slow
def test_the_page_shows_batches_side_by_side_and_what_is_missing(project, plates, tmp_path):
    write_campaign(tmp_path / "incoming", ["day-2/P9"], CAMPAIGN.replace('["day-1"', '["gone", "day-1"'))
    store_as_built(project, tmp_path)
    page = locate_page(project.settings.reports_dir, KEY)
    assert page == project.settings.reports_dir / "campaigns" / "both.html"
    frames = pd.read_html(StringIO(page.read_text()))
    batches = next(frame for frame in frames if "datasets" in frame and "batch" in frame).set_index("batch")
    wells = stack(plates)
    of_day = wells[wells["dataset_id"] == "day-1"]
    assert batches.loc["day-1", ["plates", "wells", "cells passed", "cells failed"]].tolist() == [
        2, len(of_day), of_day["Metadata_Object_Count"].sum(), of_day["Metadata_QC_Failed_Count"].sum(),
    ]  # fmt: skip
    assert batches.loc["day-2", "source"] == "lab 2"
    datasets = next(frame for frame in frames if "out of date" in frame).set_index("dataset")
    assert datasets.iloc[:, -1].fillna("").tolist() == [
        "missing: no plate is in the watched roots", "2 to be built again", "1 without wells, 2 to be built again",
    ]  # fmt: skip
    replicates = next(frame for frame in frames if "pairs" in frame)
    assert replicates["pairs"].tolist() == [
        "within batch day-1", "within batch day-2", "across batches", "across sources",
    ]  # fmt: skip
    assert 'href="campaigns/both.html"' in (project.settings.reports_dir / "index.html").read_text()
