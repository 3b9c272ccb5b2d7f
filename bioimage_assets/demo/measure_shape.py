"""CellProfiler's AreaShape and Location features of label images.

Definitions follow CellProfiler's MeasureObjectSizeShape, which takes them from scikit-image's
``regionprops`` (moments of pixel centres, 4-neighbour perimeter).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bioimage_assets.demo.measure_objects import Features, ObjectPixels, Values

# Weights of a border pixel by its pattern of border neighbours (scikit-image, measure._regionprops_utils.perimeter).
_PERIMETER_WEIGHTS = np.zeros(50)
_PERIMETER_WEIGHTS[[5, 7, 15, 17, 25, 27]] = 1
_PERIMETER_WEIGHTS[[21, 33]] = np.sqrt(2)
_PERIMETER_WEIGHTS[[13, 23]] = (1 + np.sqrt(2)) / 2


def measure_shape(pixels: ObjectPixels) -> Features:
    """AreaShape and Location features of every object; lengths in pixels, bounding boxes half open."""
    rows, columns, area = pixels.rows, pixels.columns, pixels.areas
    center_y, center_x = pixels.means(rows), pixels.means(columns)
    top, bottom = pixels.minima(rows), pixels.maxima(rows) + 1
    left, right = pixels.minima(columns), pixels.maxima(columns) + 1
    box_area = (bottom - top) * (right - left)
    perimeter = _perimeters(pixels)
    round_area = np.maximum(perimeter, 1.0) ** 2 / (4 * np.pi)
    return {
        "AreaShape_Area": area,
        "AreaShape_BoundingBoxArea": box_area,
        "AreaShape_BoundingBoxMaximum_X": right,
        "AreaShape_BoundingBoxMaximum_Y": bottom,
        "AreaShape_BoundingBoxMinimum_X": left,
        "AreaShape_BoundingBoxMinimum_Y": top,
        "AreaShape_Center_X": center_x,
        "AreaShape_Center_Y": center_y,
        "AreaShape_EquivalentDiameter": np.sqrt(4 * area / np.pi),
        "AreaShape_Extent": area / box_area,
        "AreaShape_FormFactor": area / round_area,
        "AreaShape_Compactness": round_area / area,
        "AreaShape_Perimeter": perimeter,
        **_ellipse(pixels, rows, columns, center_y, center_x),
        "Location_Center_X": center_x,
        "Location_Center_Y": center_y,
    }


def _ellipse(
    pixels: ObjectPixels, rows: Values, columns: Values, center_y: Values, center_x: Values
) -> Features:
    """Axes, eccentricity and orientation of the ellipse with the object's second moments."""
    delta_y, delta_x = rows - center_y[pixels.owner], columns - center_x[pixels.owner]
    moment_yy = pixels.means(delta_y**2)
    moment_xx = pixels.means(delta_x**2)
    moment_xy = pixels.means(delta_y * delta_x)
    mean, spread = (moment_xx + moment_yy) / 2, np.hypot((moment_xx - moment_yy) / 2, moment_xy)
    major, minor = mean + spread, np.maximum(mean - spread, 0)
    return {
        "AreaShape_MajorAxisLength": 4 * np.sqrt(major),
        "AreaShape_MinorAxisLength": 4 * np.sqrt(minor),
        "AreaShape_Eccentricity": np.sqrt(1 - minor / major),
        "AreaShape_Orientation": np.degrees(0.5 * np.arctan2(2 * moment_xy, moment_xx - moment_yy)),
    }


def _perimeters(pixels: ObjectPixels) -> Values:
    """Perimeter of every object at once; a neighbour counts only if it carries the same label."""
    border = np.pad(_border(pixels.labels), 1)
    labels = np.pad(pixels.labels, 1)
    rows, columns = np.nonzero(border)
    own = labels[rows, columns]
    code = np.ones(len(rows), dtype=np.intp)
    for step_y in (-1, 0, 1):
        for step_x in (-1, 0, 1):
            if step_y or step_x:
                neighbour = (rows + step_y, columns + step_x)
                same = border[neighbour] & (labels[neighbour] == own)
                code += same * (10 if step_y and step_x else 2)
    weights = _PERIMETER_WEIGHTS[code]
    return np.bincount(own.astype(np.intp) - 1, weights, minlength=pixels.count).astype(np.float64)


def _border(labels: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Pixels of an object with a 4-neighbour outside it; the image's rim counts as outside."""
    padded = np.pad(labels, 1)
    inner = np.ones(labels.shape, dtype=bool)
    for step_y, step_x in ((0, 1), (2, 1), (1, 0), (1, 2)):
        inner &= padded[step_y : step_y + labels.shape[0], step_x : step_x + labels.shape[1]] == labels
    return (labels > 0) & ~inner
