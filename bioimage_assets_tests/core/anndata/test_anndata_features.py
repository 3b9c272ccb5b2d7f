"""Names of features are taken apart as the tools that measure them put them together."""

from __future__ import annotations

import pytest

from bioimage_assets.core.anndata.feature_names import FeatureName, build_var, parse_feature_name


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Cells_AreaShape_Zernike_4_2", FeatureName("Cells", "AreaShape", "Zernike_4_2")),
        ("Nuclei_Intensity_MeanIntensity_DNA", FeatureName("Nuclei", "Intensity", "MeanIntensity", "DNA")),
        ("Cells_Intensity_MeanIntensity_Mito_B2", FeatureName("Cells", "Intensity", "MeanIntensity", "Mito_B2")),
        ("Cells_Texture_Contrast_ER_3_00_256", FeatureName("Cells", "Texture", "Contrast", "ER", "", "3_00_256")),
        ("Cells_Texture_InfoMeas1_OrigER_3_02", FeatureName("Cells", "Texture", "InfoMeas1", "OrigER", "", "3_02")),
        ("Cytoplasm_Granularity_12_AGP", FeatureName("Cytoplasm", "Granularity", "12", "AGP")),
        ("Cells_RadialDistribution_FracAtD_RNA_1of4", FeatureName("Cells", "RadialDistribution", "FracAtD", "RNA", "", "1of4")),
        ("Cells_RadialDistribution_MeanFrac_RNA_Overflow", FeatureName("Cells", "RadialDistribution", "MeanFrac", "RNA", "", "Overflow")),
        ("Cells_RadialDistribution_ZernikePhase_ER_9_1", FeatureName("Cells", "RadialDistribution", "ZernikePhase", "ER", "", "9_1")),
        ("Cells_Correlation_RWC_DNA_ER", FeatureName("Cells", "Correlation", "RWC", "DNA", "ER")),
        ("Cells_Correlation_K_Mito_2_ER", FeatureName("Cells", "Correlation", "K", "Mito_2", "ER")),
        ("Cells_Correlation_K_a_b_c", FeatureName("Cells", "Correlation", "K", "a_b_c")),
        ("Cells_Neighbors_NumberOfNeighbors_5", FeatureName("Cells", "Neighbors", "NumberOfNeighbors_5")),
        ("Cells_Location_CenterMassIntensity_X_DNA", FeatureName("Cells", "Location", "CenterMassIntensity_X", "DNA")),
        ("Cells_Location_Center_X", FeatureName("Cells", "Location", "Center_X")),
        ("Soma_AreaShape_Area", FeatureName("Soma", "AreaShape", "Area")),
        ("Primary_Target_Area_wv1", FeatureName(measurement="Primary_Target_Area", channel="wv1")),
        ("efficientnet_17", FeatureName(category="efficientnet", measurement="17")),
        ("roundness", FeatureName(measurement="roundness")),
    ],
)  # fmt: skip
def test_a_name_is_taken_apart(name: str, parts: FeatureName) -> None:
    assert parse_feature_name(name, ["DNA", "ER", "Mito", "Mito_2"]) == parts


def test_every_feature_is_a_row_of_var() -> None:
    var = build_var(["Cells_Correlation_RWC_DNA_ER", "roundness"])
    assert var.index.tolist() == ["Cells_Correlation_RWC_DNA_ER", "roundness"]
    assert var["second_channel"].tolist() == ["ER", ""]
