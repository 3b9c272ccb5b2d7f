"""Measure one field: its single-cell table with CellProfiler feature names, from pixels and label images.

The compartments are CellProfiler's: Cells, Nuclei, and Cytoplasm = cell without its nucleus. Row ``i`` is object
``i + 1`` in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bioimage_assets.demo.measure_intensity import (
    build_granularity_losses,
    measure_correlation,
    measure_granularity,
    measure_intensity,
    measure_radial_distribution,
)
from bioimage_assets.demo.measure_objects import Features, ObjectPixels, prefixed
from bioimage_assets.demo.measure_shape import measure_shape
from bioimage_assets.demo.measure_texture import build_grey_levels, measure_texture

COMPARTMENTS = ("Cells", "Cytoplasm", "Nuclei")


@dataclass(frozen=True, slots=True)
class MeasuredField:
    """Feature names and a matrix (object, feature); objects are in label order."""

    names: tuple[str, ...]
    values: NDArray[np.float64]


def measure_field(
    image: NDArray[np.uint16], cells: NDArray[np.uint16], nuclei: NDArray[np.uint16]
) -> MeasuredField:
    """Measure every object; image is (c, y, x), each label must occur in cells, nuclei and between them."""
    compartments = {
        "Cells": cells,
        "Cytoplasm": np.where(nuclei == 0, cells, 0).astype(np.uint16),
        "Nuclei": nuclei,
    }
    grey, losses = build_grey_levels(image), build_granularity_losses(image)
    features: Features = {}
    for compartment in COMPARTMENTS:
        pixels = ObjectPixels.of(compartments[compartment])
        measured = measure_shape(pixels) | measure_intensity(pixels, image)
        measured |= measure_texture(pixels, grey) | measure_granularity(pixels, losses)
        measured |= measure_correlation(pixels, image)
        if compartment == "Cells":
            measured |= measure_radial_distribution(pixels, image)
        features |= prefixed(compartment, measured)
    return MeasuredField(tuple(features), np.stack(list(features.values()), axis=1))
