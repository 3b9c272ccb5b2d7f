"""The smaller levels of an image's pyramid, each half of the last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LARGE_FIELD_PX = 512


def count_levels(field_px: int) -> int:
    """Two levels for small fields, three for those that a viewer would not show at once."""
    return 3 if field_px > LARGE_FIELD_PX else 2


def build_image_pyramid(pixels: NDArray[np.uint16], level_count: int) -> list[NDArray[np.uint16]]:
    """Levels by the mean of 2 x 2 pixels; the last two axes are y and x, odd rims are dropped."""
    levels = [pixels]
    while len(levels) < level_count:
        last = levels[-1]
        height, width = last.shape[-2] // 2, last.shape[-1] // 2
        blocks = last[..., : height * 2, : width * 2].reshape(*last.shape[:-2], height, 2, width, 2)
        levels.append(np.rint(blocks.mean(axis=(-3, -1))).astype(np.uint16))
    return levels


def build_label_pyramid(labels: NDArray[np.uint16], level_count: int) -> list[NDArray[np.uint16]]:
    """Levels by taking every second pixel, which never invents a label."""
    levels = [labels]
    while len(levels) < level_count:
        last = levels[-1]
        height, width = last.shape[-2] // 2, last.shape[-1] // 2
        levels.append(np.ascontiguousarray(last[..., : height * 2 : 2, : width * 2 : 2]))
    return levels
