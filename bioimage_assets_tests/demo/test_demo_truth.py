"""The measurement tables agree with the pixels and labels that lie on disk, and the truth with both."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from bioimage_assets.demo.measure_intensity import INTENSITY_SCALE
from bioimage_assets.demo.render import CHANNELS
from bioimage_assets.demo.screens import DemoScreens
from bioimage_assets_tests.demo.readers import read_cells, read_stored_field

PLATES = ("screen-a/SA-P1", "screen-a/SA-P2", "screen-b/SB-P1", "screen-b/SB-P2")
FIELD = ["Metadata_Well", "Metadata_Site"]


@pytest.mark.parametrize("plate_key", PLATES)
def test_mean_intensities_recomputed_from_stored_pixels_equal_the_table(screens: DemoScreens, plate_key):
    plate = screens.plate(plate_key)
    for (well, site), cells in read_cells(plate).groupby(FIELD):
        field = read_stored_field(plate, well, site)
        for index, channel in enumerate(CHANNELS):
            for name, labels in (("Cells", field.cells), ("Nuclei", field.nuclei)):
                expected = [field.pixels[index][labels == n].mean() for n in cells["Metadata_ObjectNumber"]]
                measured = cells[f"{name}_Intensity_MeanIntensity_{channel}"] * INTENSITY_SCALE
                np.testing.assert_allclose(measured, expected, rtol=1e-9)


@pytest.mark.parametrize("plate_key", PLATES)
def test_every_label_is_one_row_and_every_field_has_cells(screens: DemoScreens, plate_key):
    plate = screens.plate(plate_key)
    cells = read_cells(plate)
    assert len(cells) == plate.stamp.cell_count
    assert cells.groupby(FIELD).ngroups == plate.stamp.image_count
    for (well, site), rows in cells.groupby(FIELD):
        field = read_stored_field(plate, well, site)
        labels = list(range(1, len(rows) + 1))
        assert rows["Metadata_ObjectNumber"].tolist() == labels
        assert np.unique(field.cells)[1:].tolist() == labels
        assert np.unique(field.nuclei)[1:].tolist() == labels
        assert np.array_equal(field.cells[field.nuclei > 0], field.nuclei[field.nuclei > 0])


def test_intensities_of_another_field_do_not_match(screens: DemoScreens):
    plate = screens.plate("screen-a/SA-P1")
    cells = read_cells(plate)
    own = cells[cells["Metadata_Well"] == "A01"]
    other = read_stored_field(plate, "A02", "0")
    label = own["Metadata_ObjectNumber"].iloc[0]
    swapped = other.pixels[0][other.cells == label].mean() / INTENSITY_SCALE
    assert abs(swapped - own["Cells_Intensity_MeanIntensity_DNA"].iloc[0]) > 1e-6


@pytest.mark.parametrize("plate_key", PLATES)
def test_truth_table_has_the_same_cells_and_all_field_artefacts(screens: DemoScreens, plate_key):
    plate = screens.plate(plate_key)
    keys = [
        "Metadata_Plate",
        "Metadata_Well",
        "Metadata_Site",
        "Metadata_ImageNumber",
        "Metadata_ObjectNumber",
    ]
    truth, cells = pd.read_parquet(plate.paths.truth), read_cells(plate)
    assert truth[keys].to_numpy().tolist() == cells[keys].to_numpy().tolist()
    assert truth["Metadata_truth_artefact"].tolist() == cells["Metadata_truth_artefact"].tolist()
    assert {"clean", "blur", "saturation", "debris"} <= set(truth["Metadata_truth_artefact"])


@pytest.mark.parametrize("plate_key", PLATES)
def test_artefacts_are_in_the_pixels(screens: DemoScreens, plate_key):
    cells = read_cells(screens.plate(plate_key))
    kinds = cells.groupby("Metadata_truth_artefact")
    brightest = kinds["Nuclei_Intensity_MaxIntensity_DNA"].median()
    sharpness = kinds["Nuclei_Texture_Correlation_DNA_3_00_256"].median()
    area = kinds["Nuclei_AreaShape_Area"].median()
    assert brightest["saturation"] > 5 * brightest["clean"]
    assert sharpness["blur"] > sharpness["clean"]
    assert area["debris"] < area["clean"] / 2


def test_file_names_and_md5_in_the_tables_are_those_of_the_files(screens: DemoScreens):
    folder = screens.plate("screen-b/SB-P2").paths
    images = pd.read_csv(folder.measurements / "Image.csv")
    one_channel = screens.plate("screen-b/SB-P1")
    cells = read_cells(one_channel)
    for channel in CHANNELS:
        pairs = [
            (folder.store / name, md5)
            for name, md5 in images[[f"FileName_{channel}", f"MD5Digest_{channel}"]].to_numpy()
        ]
        named = (
            cells[[f"Image_FileName_{channel}", f"Image_MD5Digest_{channel}"]].drop_duplicates().to_numpy()
        )
        pairs += [(one_channel.paths.store / name, md5) for name, md5 in named]
        for path, md5 in pairs:
            assert hashlib.md5(path.read_bytes()).hexdigest() == md5


@pytest.mark.parametrize("plate_key", PLATES)
def test_features_are_complete_finite_and_named_as_cellprofiler_names_them(screens: DemoScreens, plate_key):
    cells = read_cells(screens.plate(plate_key))
    features = cells.filter(regex="^(Cells|Cytoplasm|Nuclei)_(?!Number|Parent)")
    assert features.shape[1] == 497
    assert np.isfinite(features.to_numpy()).all()
    assert {
        "Cells_Texture_Contrast_DNA_3_00_256",
        "Cytoplasm_Texture_InfoMeas1_ER_3_02_256",
        "Cytoplasm_Granularity_2_ER",
        "Nuclei_AreaShape_FormFactor",
        "Nuclei_AreaShape_BoundingBoxMaximum_X",
        "Nuclei_Location_Center_Y",
        "Cells_RadialDistribution_FracAtD_Mito_1of4",
        "Cells_Correlation_Correlation_DNA_Mito",
    } <= set(features)


def test_image_csv_counts_the_rows_of_the_object_tables(screens: DemoScreens):
    folder = screens.plate("screen-b/SB-P2").paths.measurements
    images = pd.read_csv(folder / "Image.csv")
    for compartment in ("Cells", "Cytoplasm", "Nuclei"):
        rows = pd.read_csv(folder / f"{compartment}.csv").groupby("ImageNumber").size()
        assert images.set_index("ImageNumber")[f"Count_{compartment}"].tolist() == rows.tolist()
