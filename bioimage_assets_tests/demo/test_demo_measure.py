"""The vectorised measurements equal scikit-image's object-by-object ones."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.feature import graycomatrix, graycoprops
from skimage.measure import regionprops

from bioimage_assets.demo.make_well import render_field
from bioimage_assets.demo.measure import measure_field
from bioimage_assets.demo.measure_intensity import INTENSITY_SCALE
from bioimage_assets.demo.measure_texture import build_grey_levels
from bioimage_assets.demo.plan import FieldImages
from bioimage_assets.demo.screens import build_plans
from bioimage_assets.demo.sizes import SIZES


@pytest.fixture(scope="module")
def field() -> FieldImages:
    """A field with touching, clipped and merged objects."""
    return render_field(build_plans(SIZES["demo"], 5)[0], 3, 1)


@pytest.fixture(scope="module")
def features(field: FieldImages) -> dict[str, np.ndarray]:
    """Measured features by name."""
    measured = measure_field(field.pixels, field.cells, field.nuclei)
    return dict(zip(measured.names, measured.values.T, strict=True))


@pytest.mark.parametrize(("compartment", "attribute"), [("Cells", "cells"), ("Nuclei", "nuclei")])
def test_shapes_equal_regionprops(field, features, compartment, attribute):
    regions = regionprops(getattr(field, attribute))
    expected = {
        "Area": [r.area for r in regions],
        "Center_Y": [r.centroid[0] for r in regions],
        "BoundingBoxMinimum_X": [r.bbox[1] for r in regions],
        "BoundingBoxMaximum_Y": [r.bbox[2] for r in regions],
        "Perimeter": [r.perimeter for r in regions],
        "Eccentricity": [r.eccentricity for r in regions],
        "MajorAxisLength": [r.axis_major_length for r in regions],
        "MinorAxisLength": [r.axis_minor_length for r in regions],
        "FormFactor": [4 * np.pi * r.area / r.perimeter**2 for r in regions],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(
            features[f"{compartment}_AreaShape_{name}"], values, rtol=1e-6, err_msg=name
        )


def test_intensity_statistics_equal_numpy_per_object(field, features):
    for label in range(1, len(field.artefacts) + 1):
        values = field.pixels[2][field.cells == label] / INTENSITY_SCALE
        expected = {
            "IntegratedIntensity": values.sum(),
            "StdIntensity": values.std(),
            "MinIntensity": values.min(),
            "MaxIntensity": values.max(),
            "LowerQuartileIntensity": np.quantile(values, 0.25),
            "MedianIntensity": np.median(values),
            "MADIntensity": np.median(np.abs(values - np.median(values))),
        }
        for name, value in expected.items():
            assert features[f"Cells_Intensity_{name}_RNA"][label - 1] == pytest.approx(value), name


@pytest.mark.parametrize(("code", "angle"), [("00", 0.0), ("02", np.pi / 2)])
def test_textures_equal_the_full_cooccurrence_matrix(field, features, code, angle):
    grey = build_grey_levels(field.pixels)[1]
    for label, region in enumerate(regionprops(field.nuclei)):
        # background gets a level of its own, which is cut off the matrix afterwards
        patch = np.where(region.image, grey[region.slice].astype(int), 256)
        matrix = graycomatrix(patch.astype(np.uint16), [3], [angle], levels=257, symmetric=True)[:256, :256]
        probability = matrix / matrix.sum()
        flat = probability[probability > 0]
        expected = {
            "Contrast": graycoprops(probability, "contrast"),
            "Correlation": graycoprops(probability, "correlation"),
            "AngularSecondMoment": graycoprops(probability, "ASM"),
            "Entropy": -np.sum(flat * np.log2(flat)),
        }
        for name, value in expected.items():
            measured = features[f"Nuclei_Texture_{name}_ER_3_{code}_256"][label]
            assert measured == pytest.approx(float(np.squeeze(value))), name


def test_correlation_and_radial_fractions_are_what_they_say(field, features):
    cell = field.cells == 1
    expected = np.corrcoef(field.pixels[0][cell], field.pixels[4][cell])[0, 1]
    assert features["Cells_Correlation_Correlation_DNA_Mito"][0] == pytest.approx(expected)
    rings = [features[f"Cells_RadialDistribution_FracAtD_ER_{step}of4"] for step in range(1, 5)]
    np.testing.assert_allclose(np.sum(rings, axis=0), 1.0)
