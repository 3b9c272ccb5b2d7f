"""The measures that CellProfiler has, too, are its own numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from bioimage_assets.core.image_quality.formulas import measure_focus_score, measure_power_slope, scale_plane
from bioimage_assets.core.image_quality.measures import measure_plane


def _picture(height: int, width: int, sigma: float, seed: int) -> np.ndarray:
    """Twelve bright spots on a slope with noise, blurred."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    pixels = 0.1 + 0.002 * x / width * seed
    for _ in range(12):
        spot_y, spot_x, radius = rng.random(3) * (height, width, 8)
        pixels = pixels + 0.05 * np.exp(-((y - spot_y) ** 2 + (x - spot_x) ** 2) / (2 * (2 + radius) ** 2))
    pixels = pixels + 0.004 * rng.random((height, width))
    return gaussian_filter(pixels, sigma) if sigma else pixels


# Written down from centrosome 1.3.4 (radial_power_spectrum.rps) and the least-squares fit of MeasureImageQuality.
RECORDED = (
    ((64, 64, 0, 1), -4.717990853595176),
    ((64, 96, 0, 2), -2.648207537775542),
    ((65, 81, 0, 3), -3.833895800327247),
    ((128, 128, 2, 4), -3.4678277115121254),
    ((96, 64, 4, 5), -3.7402847119504767),
    ((33, 200, 0, 6), -1.4636466989301513),
)


@pytest.mark.parametrize(("picture", "slope"), RECORDED)
def test_the_power_slope_is_that_of_centrosome(picture, slope):
    assert measure_power_slope(_picture(*picture)) == pytest.approx(slope, abs=1e-9)


def _slope_by_hand(pixels: np.ndarray) -> float:
    """The same, pixel by pixel: rings around the nearest corner, powers summed, a line through their logarithms."""
    height, width = pixels.shape
    spectrum = np.abs(np.fft.fft2(pixels - pixels.mean())) ** 2
    sums: dict[int, float] = {}
    for row in range(height):
        for column in range(width):
            distance = np.hypot(min(row, height - 1 - row), min(column, width - 1 - column))
            ring = int(np.floor(distance)) + 1
            sums[ring] = sums.get(ring, 0.0) + spectrum[row, column]
    rings = list(range(2, int(min(height, width) / 8)))
    return float(np.polyfit(np.log(rings), np.log([sums[ring] for ring in rings]), 1)[0])


@pytest.mark.parametrize("shape", [(40, 56), (57, 40), (41, 43)])
def test_the_power_slope_is_a_line_through_the_sums_of_rings(shape):
    pixels = _picture(*shape, 0, 7)
    assert measure_power_slope(pixels) == pytest.approx(_slope_by_hand(pixels), rel=1e-9)


def test_a_plane_that_holds_nothing_to_fit_has_no_slope():
    spot = np.full((64, 64), 0.5)
    spot[0, 0], spot[0, 1] = (
        1.0,
        0.0,
    )  # nearly all pixels at the mean: CellProfiler divides by zero, and gives 0
    for pixels in (np.zeros((64, 64)), spot, np.random.default_rng(0).random((31, 50))):
        assert measure_power_slope(pixels) == 0.0


def test_intensities_are_those_of_measure_image_quality():
    counts = np.random.default_rng(5).integers(100, 4000, (37, 51)).astype(np.uint16)
    counts[:2] = 4000
    found = measure_plane(counts)
    values = [value / 65535 for row in counts.tolist() for value in row]
    mean, ordered = sum(values) / len(values), sorted(values)
    median = ordered[len(values) // 2]
    distances = sorted(abs(value - median) for value in values)
    assert found.mean_intensity == pytest.approx(mean)
    assert found.std_intensity == pytest.approx((sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5)
    assert (found.min_intensity, found.max_intensity) == (ordered[0], ordered[-1])
    assert found.median_intensity == pytest.approx(median)
    assert found.mad_intensity == pytest.approx(distances[len(values) // 2])
    assert found.focus_score == pytest.approx(sum((v - mean) ** 2 for v in values) / (len(values) * mean))
    assert found.percent_maximal == pytest.approx(100 * values.count(ordered[-1]) / len(values))
    assert found.percent_minimal == pytest.approx(100 * values.count(ordered[0]) / len(values))
    assert found.total_area_px == 37 * 51


@pytest.mark.parametrize(
    ("dtype", "largest"), [("uint8", 255), ("uint16", 65535), (">u2", 65535), ("uint32", 2**32 - 1)]
)
def test_whole_numbers_are_divided_by_the_largest_of_their_type(dtype, largest):
    plane = np.array([[0, 17], [90, largest]], dtype)
    assert scale_plane(plane).tolist() == [[0.0, 17 / largest], [90 / largest, 1.0]]


def test_other_numbers_are_taken_as_they_are():
    assert scale_plane(np.array([[0.25, 3.0]], np.float32)).tolist() == [[0.25, 3.0]]


def test_saturation_is_counted_against_the_type_and_against_the_image():
    plane = np.random.default_rng(1).integers(0, 900, (40, 50)).astype(np.uint16)
    plane[:4] = 4095  # the end of a camera of 12 bits
    found = measure_plane(plane)
    assert (found.percent_maximal, found.percent_at_type_maximum) == (10.0, 0.0)
    plane[:4] = 65535
    found = measure_plane(plane)
    assert (found.percent_maximal, found.percent_at_type_maximum) == (10.0, 10.0)
    assert np.isnan(measure_plane(plane / 65535).percent_at_type_maximum)


def test_a_dark_plane_has_no_focus_score():
    assert measure_focus_score(np.zeros((8, 8))) == 0.0


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 16), (9, 200)])
def test_planes_of_any_size_and_planes_without_a_number_are_measured_without_an_error(shape):
    noise = np.random.default_rng(2).random(shape)
    assert measure_plane(noise).total_area_px == noise.size
    assert np.isnan(measure_plane(np.full(shape, np.nan)).mean_intensity)


def test_pixels_that_are_no_numbers_count_as_the_mean_of_the_others():
    noise = np.random.default_rng(3).random((32, 32))
    holed = noise.copy()
    holed[5, 5], holed[6, 7] = np.nan, np.inf
    rest = np.delete(noise.ravel(), [5 * 32 + 5, 6 * 32 + 7])
    assert measure_plane(holed).mean_intensity == pytest.approx(rest.mean())
