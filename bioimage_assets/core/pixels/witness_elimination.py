"""Where nothing fits: whether that is because the centres count otherwise than the pixels, because nothing can be seen, or
because the pixels are of other cells."""

from __future__ import annotations

import numpy as np
from scipy import fft

from bioimage_assets.core.pixels.witness_fields import CellSet, FieldMaps, MapGrid
from bioimage_assets.core.pixels.witness_judge import CHANCE, CLEAR, Comparison, Sample
from bioimage_assets.core.pixels.witness_scores import Scores
from bioimage_assets.core.pixels.witness_verdict import Hypothesis, UndecidedCause

# A best shift is the best of some thousand: beyond this many deviations it is none of chance.
CLEAR_SHIFT = 7.0
OTHER_FIELDS = 3
# Centres of fewer cells and fields may miss the pixels by chance or by one bad well.
MIN_CELLS_OF_ANOTHER_PLATE = 60
MIN_FIELDS_OF_ANOTHER_PLATE = 6
# Height of the brightest spots over the noise of the same field: below, cells cannot be told from it.
MIN_SPOT_HEIGHT = 6.0
MAX_SHARE_OUTSIDE = 0.05
MIN_COVERED = 0.6

Outcome = tuple[UndecidedCause, str] | Hypothesis


def explain_misfit(sample: Sample, comparison: Comparison) -> Outcome:
    """Why the stated links are no better than chance, and no other hypothesis is clearly better."""
    return (
        _too_few(sample, comparison)
        or _other_pixels(sample)
        or _nothing_seen(sample)
        or _nearly_fits(comparison)
        or Hypothesis("other-plate")
    )


def _too_few(sample: Sample, comparison: Comparison) -> Outcome | None:
    fields = len(comparison.fit.sources)
    if sample.cell_count >= MIN_CELLS_OF_ANOTHER_PLATE and fields >= MIN_FIELDS_OF_ANOTHER_PLATE:
        return None
    return "too-few-cells", (
        f"{sample.cell_count} cells of {fields} fields fit their images no better than chance; that is too few to say more."
    )


def _other_pixels(sample: Sample) -> Outcome | None:
    """Centres that count in another coordinate system than the pixels of the image."""
    shift = _find_common_shift(sample)
    if shift is not None:
        return "centres-shifted", (
            f"The centres fit once they are moved by about {shift[0]:+d} pixels along y and {shift[1]:+d} along x: the cells were "
            "measured on cropped or aligned images."
        )
    y, x = (np.concatenate([getattr(own, axis) for own in sample.cells]) for axis in "yx")
    height, width = sample.grid.image_shape
    outside = float(((y < -1) | (y > height) | (x < -1) | (x > width)).mean())
    if outside > MAX_SHARE_OUTSIDE:
        return "centres-outside", (
            f"{outside:.0%} of the centres are outside of their images of {height} × {width} pixels: the cells were measured "
            "on images of another size, or in other units."
        )
    covered = min(float(np.ptp(y)) / height, float(np.ptp(x)) / width)
    if covered < MIN_COVERED:
        return "centres-outside", (
            f"The centres reach over {covered:.0%} of the height or width of the images only: the cells were measured on cropped or smaller images, "
            "or in other units."
        )
    if _has_own_shifts(sample):
        return "centres-shifted", (
            "The centres of each field fit once they are moved, by another distance in each field: the cells were measured on "
            "cropped or aligned images."
        )
    return None


def _correlate(cells: CellSet, maps: FieldMaps, grid: MapGrid) -> Scores:
    """Place score of the cells for every cyclic shift of them, over all channels; deviation 1 by chance."""
    row, column, inside = grid.look_up(cells.y, cells.x)
    points = np.zeros(grid.shape)
    np.add.at(points, (row[inside], column[inside]), 1.0)
    contrast = maps.contrast.mean(0)
    contrast = contrast / max(float(contrast.std()), 1e-6)
    spectrum = fft.rfft2(contrast) * np.conj(fft.rfft2(points))
    found: Scores = fft.irfft2(spectrum, grid.shape) / np.sqrt(max(1, inside.sum()))
    return found


def _find_common_shift(sample: Sample) -> tuple[int, int] | None:
    """Shift (y, x) in full-resolution pixels that makes all centres fit, None where there is none."""
    used = [number for number, own in enumerate(sample.cells) if own.count]
    total = sum(_correlate(sample.cells[n], sample.maps[n], sample.grid) for n in used) / np.sqrt(len(used))
    position = np.unravel_index(int(np.argmax(total)), sample.grid.shape)
    if total[position] < CLEAR_SHIFT:
        return None
    shape = sample.grid.shape
    signed = [int(p) - (size if p > size // 2 else 0) for p, size in zip(position, shape, strict=True)]
    return round(signed[0] * sample.grid.scale), round(signed[1] * sample.grid.scale)


def _has_own_shifts(sample: Sample) -> bool:
    """Whether cells fit their own field under some shift better than they fit others under theirs."""
    used = [number for number, own in enumerate(sample.cells) if own.count]
    gains = []
    for position, number in enumerate(used):
        best = [
            float(_correlate(sample.cells[number], sample.maps[target], sample.grid).max())
            for target in (
                number,
                *(used[(position + step) % len(used)] for step in range(1, OTHER_FIELDS + 1)),
            )
        ]
        gains.append(best[0] - float(np.mean(best[1:])))
    error = float(np.std(gains, ddof=1)) / np.sqrt(len(gains))
    return float(np.mean(gains)) > CLEAR * max(error, 1e-9)


def _nothing_seen(sample: Sample) -> Outcome | None:
    heights = np.median([own.spots for own in sample.maps], 0)
    if float(heights.max()) >= MIN_SPOT_HEIGHT:
        return None
    return "no-contrast", (
        "In the pixels that were read nothing of a cell's size stands out, so centres can neither fit nor miss."
    )


def _nearly_fits(comparison: Comparison) -> Outcome | None:
    """Something is there, but not enough to name it."""
    # Of very many pairs of wells one always fits by luck.
    all_found = [
        one.evidence.deviations for one in comparison.rivals if one.rival.hypothesis.kind != "swapped-wells"
    ]
    stated = comparison.stated.deviations if comparison.stated else 0.0
    if stated < CHANCE and max(all_found, default=0.0) < CLEAR:
        return None
    return "not-better-than-chance", (
        f"The cells fit their images {stated:.1f} deviations better than other fields, which is not enough to be sure "
        f"({CLEAR:.0f} are), and no other hypothesis is clear."
    )
