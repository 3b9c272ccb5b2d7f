"""Limits of image quality, as the dataset's settings state them."""

from __future__ import annotations

from dataclasses import dataclass

from bioimage_assets.core.settings.dataset import DatasetSettings


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """When a field is flagged; what each number means stands at its key in ``DatasetSettings``."""

    z_limit: float = 5.0
    blur_loss: float = 0.3
    min_detail: float = 0.0
    blur_slope: float = 0.5
    saturated_percent: float = 0.1
    blank_contrast: float = 1.2
    blank_share: float = 0.05
    debris_prominence: float = 4.0
    debris_percent: float = 0.5
    debris_size: float = 1.2
    uneven_ratio: float = 1.5
    uneven_slope_share: float = 0.8
    max_illumination: float = 5.0


def read_limits(settings: DatasetSettings) -> QualityLimits:
    """Limits of a dataset."""
    return QualityLimits(
        z_limit=settings.image_z_limit,
        blur_loss=settings.image_blur_loss,
        min_detail=settings.image_min_detail,
        blur_slope=settings.image_blur_slope,
        saturated_percent=settings.image_saturated_percent,
        blank_contrast=settings.image_blank_contrast,
        blank_share=settings.image_blank_share,
        debris_prominence=settings.image_debris_prominence,
        debris_percent=settings.image_debris_percent,
        debris_size=settings.image_debris_size,
        uneven_ratio=settings.image_uneven_ratio,
        uneven_slope_share=settings.image_uneven_slope_share,
        max_illumination=settings.image_max_illumination,
    )
