"""The camera: uint16 pixels from the light of a field, with optics, uneven illumination, plate effects and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bioimage_assets.demo.render import PSF_SIGMA_PX, FloatImage

OFFSET_COUNTS = 180.0  # dark level of an sCMOS camera
READ_NOISE_COUNTS = 1.0
ELECTRONS_PER_COUNT = 4.0  # gain; shot noise is the root of the electrons
VIGNETTE = 0.12  # loss of light in the corners
EDGE_LOSS = 0.05
COLUMN_DRIFT = 0.004  # per column, as dispensers and readers leave it
PLATE_GAIN_SPREAD = 0.08
MAX_COUNT = 65_535


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the microscope did to one field.

    Parameters
    ----------
    gains
        Factor per channel (plate, well position and exposure errors together).
    blur_sigma_px
        Width of the optics' point spread; larger when out of focus.
    """

    gains: tuple[float, ...]
    blur_sigma_px: float = PSF_SIGMA_PX


def build_plate_gains(rng: np.random.Generator, channel_count: int) -> tuple[float, ...]:
    """Staining differs from plate to plate by some per cent, channel by channel."""
    return tuple(float(gain) for gain in rng.lognormal(0, PLATE_GAIN_SPREAD, channel_count))


def build_position_gain(column: int, *, is_edge: bool) -> float:
    """Dimmer at the rim of the plate, slowly brighter along the columns as it is imaged."""
    return (1 - EDGE_LOSS if is_edge else 1.0) * (1 + COLUMN_DRIFT * column)


def expose(rng: np.random.Generator, light: FloatImage, exposure: Exposure) -> NDArray[np.uint16]:
    """Take the picture; light is (c, y, x) in counts without offset."""
    size = light.shape[-1]
    blurred = ndimage.gaussian_filter(
        light, (0, exposure.blur_sigma_px, exposure.blur_sigma_px), mode="nearest"
    )
    gains = np.asarray(exposure.gains, dtype=np.float32)[:, None, None]
    signal = blurred * gains * _vignette(size)
    # Photons follow Poisson's law: in electrons the variance is the mean, in counts the mean over the gain.
    variance = signal / ELECTRONS_PER_COUNT + READ_NOISE_COUNTS**2
    noise = rng.standard_normal(light.shape, dtype=np.float32) * np.sqrt(variance)
    counts: NDArray[np.uint16] = np.clip(np.rint(signal + OFFSET_COUNTS + noise), 0, MAX_COUNT).astype(
        np.uint16
    )
    return counts


def _vignette(size: int) -> FloatImage:
    position = np.linspace(-1, 1, size, dtype=np.float32)
    return (1 - VIGNETTE * (position[:, None] ** 2 + position[None, :] ** 2) / 2).astype(np.float32)
