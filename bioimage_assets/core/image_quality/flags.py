"""Turns the measures of a plate's fields into flags, each with its reason in words.

A field is compared with the other fields of its plate that have the same channel and were measured alike. A measure that does
not depend on the number of cells must be an outlier (robust z: distance from the median in 1.4826 median absolute deviations)
and be off by a share that matters; a plate of very equal fields has outliers that nobody would see. What an image alone shows
(pixels at the end of the scale, nothing but noise) has a limit of its own, so that a plate that is bad as a whole is flagged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from bioimage_assets.core.image_quality.limits import QualityLimits
from bioimage_assets.core.image_quality.measures import PlaneMeasures

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Of fewer fields a median and its deviation say too little; limits of their own hold alone then.
MIN_FIELDS = 8
_SIGMA_OF_MAD = 1.4826
# Brighter by this than all else in its field: so is no cell among cells that end at one value.
_ALONE = 2.0
# More says no more: the only cell of a field has nothing beside it.
_MOST_ALONE = 3.0


@dataclass(frozen=True, slots=True)
class FieldFlags:
    """Flags of one field and channel; None where its measures do not tell."""

    blurred: bool | None = None
    saturated: bool | None = None
    blank: bool | None = None
    debris: bool | None = None
    uneven: bool | None = None
    reasons: tuple[str, ...] = ()

    @property
    def is_flagged(self) -> bool | None:
        """Whether any flag is set; None where nothing was judged."""
        known = [flag for flag in (getattr(self, name) for name in KINDS) if flag is not None]
        return any(known) if known else None


KINDS = tuple(field.name for field in fields(FieldFlags) if field.name != "reasons")


@dataclass(frozen=True, slots=True)
class _Verdict:
    """One kind of flag over the fields of a group: which are judged, which are flagged, and a sentence for each."""

    is_judged: Mask
    is_flagged: Mask
    say: tuple[str, ...]


def judge_fields(measures: Sequence[PlaneMeasures], limits: QualityLimits) -> list[FieldFlags]:
    """Flag fields of one channel of one plate that were measured in the same way, in their order."""
    group = _Group(measures, limits)
    verdicts = {
        "blank": group.find_blank(),
        "saturated": group.find_saturated(),
    }
    verdicts["blurred"] = group.find_blurred()
    verdicts["uneven"] = group.find_uneven(verdicts["blurred"].is_flagged)
    verdicts["debris"] = group.find_debris(verdicts["uneven"].is_flagged, verdicts["saturated"].is_flagged)
    return [
        FieldFlags(
            reasons=tuple(verdicts[kind].say[number] for kind in KINDS if verdicts[kind].is_flagged[number]),
            **{kind: _flag(verdicts[kind], number) for kind in KINDS},
        )
        for number in range(len(measures))
    ]


def _flag(verdict: _Verdict, number: int) -> bool | None:
    return bool(verdict.is_flagged[number]) if verdict.is_judged[number] else None


class _Group:
    """Measures of one channel as columns, and what is usual among them."""

    def __init__(self, measures: Sequence[PlaneMeasures], limits: QualityLimits) -> None:
        self._limits = limits
        self._rows = measures
        self._is_blank: Mask = np.zeros(len(measures), bool)

    def _values(self, name: str) -> Values:
        return np.array([getattr(row, name) for row in self._rows], np.float64)

    def find_blank(self) -> _Verdict:
        """Nothing but noise, or next to nothing beside the other fields; of measured ones hardly any spread."""
        contrast, spread = self._values("contrast"), self._values("std_intensity")
        is_own = np.isfinite(contrast) | np.isinf(contrast)
        is_flat = spread == 0
        low = (contrast <= self._limits.blank_contrast) | is_flat
        value = np.where(is_own, contrast, spread)
        usual = _usual(value[~low])
        with np.errstate(invalid="ignore"):
            low |= value <= self._limits.blank_share * usual
        full = (self._values("percent_maximal") == 100) & (self._values("percent_at_type_maximum") == 100)
        self._is_blank = low & ~full
        name = ["contrast" if own else "spread of intensities" for own in is_own]
        say = [
            f"blank: {name[number]} {value[number]:.3g}, usual on the plate {usual:.3g}, noise alone 1"
            if is_own[number]
            else f"blank: {name[number]} {value[number]:.3g}, usual on the plate {usual:.3g}"
            for number in range(len(value))
        ]
        return _Verdict(np.isfinite(value) | is_own, self._is_blank, tuple(say))

    def find_saturated(self) -> _Verdict:
        """A plateau at the brightest value; noise and dim images have one brightest pixel, or a few."""
        percent = self._values("percent_maximal")
        limit = self._limits.saturated_percent
        with np.errstate(invalid="ignore"):
            flagged = (percent >= limit) & ~self._is_blank
        say = [
            f"saturated: {value:.3g} % of pixels at the brightest value, limit {limit:g} %"
            for value in percent
        ]
        return _Verdict(np.isfinite(percent), flagged, tuple(say))

    def find_debris(self, is_excused: Mask, is_saturated: Mask) -> _Verdict:
        """A place that is brighter than those of other fields and than all else in its own, and larger than they are.

        Where cells are saturated, too, nothing is known of how bright they are.
        """
        height, percent = self._values("bright_place"), self._values("bright_percent")
        ratio, limits = self._values("bright_ratio"), self._limits
        usual, usual_percent = _usual(height[~self._is_blank]), _usual(percent[~self._is_blank])
        with np.errstate(invalid="ignore", divide="ignore"):
            prominence = height / usual * np.minimum(ratio, _MOST_ALONE)
            flagged = (prominence >= limits.debris_prominence) & (percent >= limits.debris_percent)
            flagged &= percent >= limits.debris_size * usual_percent
            flagged &= ~is_saturated | (ratio >= _ALONE)
        flagged &= ~self._is_blank & ~is_excused
        say = [
            f"debris: a place of {area:.2g} % of the field (usual {usual_percent:.2g} %) is {value / usual:.2g} times as bright as "
            f"the brightest of other fields and {own:.2g} times as bright as all else in this one"
            for value, area, own in zip(height, percent, ratio, strict=True)
        ]
        return _Verdict(np.isfinite(height), flagged, tuple(say))

    def find_blurred(self) -> _Verdict:
        """Fine detail is lost; of measured fields, power falls off faster than in others."""
        detail, slope = self._values("detail_ratio"), self._values("power_log_log_slope")
        is_own = np.isfinite(self._values("contrast")) | np.isinf(self._values("contrast"))
        usual, usual_slope = _usual(detail), _usual(slope[~self._is_blank])
        limits = self._limits
        with np.errstate(invalid="ignore", divide="ignore"):
            lost = (_robust_z(np.log(np.maximum(detail, 1e-6))) < -limits.z_limit) & (
                detail <= (1 - limits.blur_loss) * usual
            )
            own = lost | (detail < limits.min_detail)
            steep = (_robust_z(np.where(self._is_blank, np.nan, slope)) < -limits.z_limit) & (
                slope <= usual_slope - limits.blur_slope
            )
        flagged = np.where(is_own, own, steep) & ~self._is_blank
        say = [
            f"blurred: detail ratio {one:.3g}, usual on the plate {usual:.3g}"
            if own_measure
            else f"blurred: power slope {two:.3g}, usual on the plate {usual_slope:.3g}"
            for one, two, own_measure in zip(detail, slope, is_own, strict=True)
        ]
        return _Verdict(is_own | np.isfinite(slope), flagged, tuple(say))

    def find_uneven(self, is_blurred: Mask) -> _Verdict:
        """Light falls off to a side, more than on the plate, or more than a correction can mend.

        Cells that cover one part of a field differ from the background of another without such a slope; what is blurred
        spreads its light over the background.
        """
        ratio = self._values("illumination_ratio")
        usual = _usual(ratio)
        limits = self._limits
        with np.errstate(invalid="ignore", divide="ignore"):
            off = (_robust_z(np.log(ratio)) > limits.z_limit) & (ratio >= limits.uneven_ratio * usual)
            flagged = off | (ratio >= limits.max_illumination)
            flagged &= (self._values("illumination_slope_share") >= limits.uneven_slope_share) & ~is_blurred
        say = [
            f"uneven: background of the brightest block {value:.2g} times that of the dimmest, usual on the plate {usual:.2g}"
            for value in ratio
        ]
        return _Verdict(np.isfinite(ratio), flagged, tuple(say))


def _usual(values: Values) -> float:
    """Median of what is known of enough fields, else NaN, with which nothing compares."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size >= MIN_FIELDS else np.nan


def _robust_z(values: Values) -> Values:
    """Distances from the median in robust deviations; NaN where too few are known."""
    known = values[np.isfinite(values)]
    if known.size < MIN_FIELDS:
        return np.full(values.shape, np.nan)
    centre = np.median(known)
    deviation = _SIGMA_OF_MAD * np.median(np.abs(known - centre))
    # Half of the fields are equal: any other is far off, and the share that matters decides.
    return np.asarray((values - centre) / max(deviation, 1e-9), np.float64)
