"""Image quality: precision and recall on generated plates, the smallest blur that is found, and time per megapixel.

python bench/image_quality.py [first seed] [plates]
"""

import sys
import time
from collections import Counter, defaultdict

import numpy as np
from scipy import ndimage

from bioimage_assets.core.image_quality.flags import KINDS, judge_fields
from bioimage_assets.core.image_quality.limits import QualityLimits
from bioimage_assets.core.image_quality.measures import PlaneMeasures, measure_plane
from bioimage_assets_tests.builders.quality_plates import design_plate, make_planes


def score(first: int, plates: int) -> None:
    """Planted faults of whole plates: found, wrong, missed."""
    found: dict[str, Counter[tuple[bool, bool]]] = defaultdict(Counter)
    for seed in range(first, first + plates):
        measured: dict[str, list[tuple[str | None, PlaneMeasures]]] = defaultdict(list)
        for plane in make_planes(design_plate(seed)):
            measured[plane.channel].append((plane.fault, measure_plane(plane.pixels)))
        for own in measured.values():
            for (fault, _), flags in zip(
                own, judge_fields([one for _, one in own], QualityLimits()), strict=True
            ):
                for kind in KINDS:
                    found[kind][fault == kind, bool(getattr(flags, kind))] += 1
    for kind, counts in found.items():
        hit, wrong, missed = counts[True, True], counts[False, True], counts[True, False]
        print(
            f"{kind:10} precision {hit / max(hit + wrong, 1):.3f} recall {hit / max(hit + missed, 1):.3f} of {hit + missed}"
        )


def find_smallest_blur() -> None:
    """Share of fields found that were blurred by a Gaussian, at full resolution and at a level of half the side."""
    planes = [plane for plane in make_planes(design_plate(300, faults_per_kind=0)) if plane.channel == "DNA"]
    for halvings in (0, 1):
        line = []
        for sigma in (1.0, 1.5, 2.0, 3.0, 4.0):
            pixels = [
                ndimage.gaussian_filter(plane.pixels, sigma) if number % 8 == 0 else plane.pixels
                for number, plane in enumerate(planes)
            ]
            small = [
                one.reshape(128, 2, 128, 2).mean((1, 3)).astype(np.uint16) if halvings else one
                for one in pixels
            ]
            flags = judge_fields([measure_plane(one) for one in small], QualityLimits())
            blurred = [flag.blurred for number, flag in enumerate(flags) if number % 8 == 0]
            others = sum(bool(flag.blurred) for number, flag in enumerate(flags) if number % 8)
            line.append(f"sigma {sigma}: {sum(map(bool, blurred))} of {len(blurred)} (+{others})")
        print(f"level {halvings}: " + ", ".join(line))


def measure_time() -> None:
    """Processor time of all measures of one plane."""
    for side in (256, 540, 1080):
        plane = np.random.default_rng(0).integers(0, 4_000, (side, side)).astype(np.uint16)
        measure_plane(plane)
        start = time.process_time()
        for _ in range(3):
            measure_plane(plane)
        spent = (time.process_time() - start) / 3
        print(f"{side} px: {spent * 1e3:.0f} ms, {spent / side**2 * 1e9:.0f} ms per megapixel")


if __name__ == "__main__":
    first, plates = (int(word) for word in (sys.argv[1:] + ["200", "20"][len(sys.argv) - 1 :]))
    measure_time()
    find_smallest_blur()
    score(first, plates)
