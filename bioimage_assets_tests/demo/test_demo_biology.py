"""At standard size a plate behaves like biology: faults are found, controls and the inert compound are quiet, dose counts.

Judged with coSMicQC and pycytominer themselves, on one plate with three wells per treatment.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bioimage_assets.core.discovery.dataset_file import read_dataset_settings
from bioimage_assets.demo.phenotypes import ACTIVE_COMPOUNDS, INERT_COMPOUND, NEGATIVE_CONTROL
from bioimage_assets.demo.screens import DemoPlate, build_screens
from bioimage_assets_tests.demo.readers import read_cells

pytestmark = pytest.mark.slow

POSITION = re.compile("_Location_|BoundingBox|_Center_|Orientation")
STRATA = ["Metadata_Well", "compound", "concentration_um"]


@pytest.fixture(scope="module")
def plate(standard_screens: Path) -> DemoPlate:
    """One plate of 60 wells x 2 sites x 540 px."""
    return build_screens(standard_screens, size="standard", datasets=["screen-a"], n_plates=1).plates[0]


@pytest.fixture(scope="module")
def cells(plate: DemoPlate) -> pd.DataFrame:
    """Cells with their truth, and whether a QC condition of the dataset flags them."""
    from cosmicqc import label_outliers

    cells = read_cells(plate)
    truth = pd.read_parquet(plate.paths.truth, columns=["compound", "concentration_um"])
    settings = read_dataset_settings(str(plate.paths.store.parent))
    thresholds = {name: dict(limits) for name, limits in settings.qc_thresholds.items()}
    features = sorted({feature for limits in thresholds.values() for feature in limits})
    labels = pd.DataFrame(label_outliers(cells[features], feature_thresholds=thresholds))
    failed = labels.filter(like="is_outlier").any(axis=1).rename("failed")
    return pd.concat([cells, truth, failed], axis=1)


@pytest.fixture(scope="module")
def activity(cells: pd.DataFrame) -> pd.Series:
    """Root mean square of a well's features in standard deviations of control cells, median over replicates."""
    from pycytominer import aggregate, normalize

    good = cells[~cells["failed"]]
    features = [
        n for n in good if n.startswith(("Cells_", "Cytoplasm_", "Nuclei_")) and not POSITION.search(n)
    ]
    samples = f"compound == '{NEGATIVE_CONTROL}'"
    scores = normalize(good, features=features, meta_features=STRATA, samples=samples, method="standardize")
    wells = aggregate(scores, strata=STRATA, features=features)
    wells["activity"] = np.sqrt((wells[features] ** 2).mean(axis=1))
    return wells.groupby(["compound", "concentration_um"])["activity"].median()


def test_quality_control_finds_the_injected_faults_and_spares_clean_cells(cells: pd.DataFrame):
    recall = cells.groupby("Metadata_truth_artefact")["failed"].mean()
    assert recall["saturation"] == 1.0
    assert recall["blur"] > 0.8
    assert recall["debris"] > 0.8
    assert recall["clean"] < 0.05


def test_every_artefact_is_common_enough_to_judge(cells: pd.DataFrame):
    counts = cells["Metadata_truth_artefact"].value_counts()
    assert counts["clean"] > 4_000
    assert counts[["blur", "saturation", "merged"]].min() >= 30
    assert counts["debris"] == 12


def test_activity_rises_with_dose_for_every_active_compound(activity: pd.Series):
    for compound in ACTIVE_COMPOUNDS:
        doses = activity[compound].sort_index().to_numpy()
        assert np.all(np.diff(doses) > 0), (compound, doses)
        assert doses[-1] > 1.8 * activity[(NEGATIVE_CONTROL, 0.0)], (compound, doses)


def test_the_inert_compound_is_as_quiet_as_the_controls(activity: pd.Series):
    control = activity[(NEGATIVE_CONTROL, 0.0)]
    assert control < 0.35
    # a dose has three wells, one or two of them on the rim, where cells are fewer and dimmer whatever they get
    assert activity[INERT_COMPOUND].median() < 1.25 * control
    assert activity[INERT_COMPOUND].max() < 1.5 * control
    assert activity[INERT_COMPOUND].max() < min(activity[(compound, 1.0)] for compound in ACTIVE_COMPOUNDS)


def test_treatments_kill_cells_as_planned(cells: pd.DataFrame):
    per_well = cells.groupby(STRATA).size().groupby(["compound", "concentration_um"]).mean()
    assert per_well[("nocodazole_like", 3.0)] < 0.85 * per_well[(NEGATIVE_CONTROL, 0.0)]
