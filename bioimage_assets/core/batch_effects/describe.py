"""What a correction of batches could not do, or did besides, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bioimage_assets.core.batch_effects.plate_positions import name_line
from bioimage_assets.core.batch_effects.position_terms import ChosenTerms
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words

_SHOWN = 6


def describe_axes(batch: str, chosen: ChosenTerms) -> list[Finding]:
    """Axes of a batch whose effect is not corrected, and lines that only the trend is taken off."""
    findings = []
    for axis, known, lines in chosen.left_out:
        message = (
            f"Batch {batch!r}: no effect of the {axis} is taken off. {known} of {count_words(lines, axis)} "
            f"{'has' if known == 1 else 'have'} controls in enough different wells (a well that is control on every plate counts "
            "once), which says nothing of the others. Spread controls over the plate, lower position_coverage or "
            "position_min_controls, or write position_regression = false in dataset.toml ([batch_effects])."
        )
        findings.append(Finding("position-axis-left-out", "info", f"{batch}, {axis}", message))
    if chosen.single:
        names = [name_line(*line) for line in chosen.single]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        message = (
            f"Batch {batch!r}: {count_words(len(names), 'line has', 'lines have')} too few controls for an effect of "
            f"{'its' if len(names) == 1 else 'their'} own; the trend alone is taken off: {', '.join(names[:_SHOWN])}{more}."
        )
        findings.append(Finding("position-by-trend", "info", f"{batch}, {names[0]}", message))
    return findings


def describe_few_controls(batch: str, controls: int, features: int) -> list[Finding]:
    """Fewer controls than features: some directions are seen by none."""
    if controls > features:
        return []
    message = (
        f"Batch {batch!r} has {count_words(controls, 'control well')} for {count_words(features, 'feature')}: how controls vary "
        "is known in part. More controls, or plates in one batch, help; a larger epsilon ([batch_effects] in dataset.toml) "
        "trusts them less."
    )
    return [Finding("batch-few-controls", "info", batch, message)]


def describe_lacking(batch: str, lacking: int, features: int) -> Finding:
    """A batch that lacks too many features of the reference batch."""
    message = (
        f"Batch {batch!r} is left out: {lacking} of the {count_words(features, 'feature')} of the reference batch have no value, "
        "or one value, in its controls. Measure it with the same pipeline, put it into a dataset of its own, or raise "
        "max_missing ([batch_effects] in dataset.toml)."
    )
    return Finding("batch-left-out", "warning", batch, message)


def describe_gaps(filled: np.ndarray, features: int) -> list[Finding]:
    """Wells with features without a value."""
    wells = int((filled > 0).sum())
    if not wells:
        return []
    message = (
        f"{count_words(wells, 'well lacks', 'wells lack')} a value in some feature of the reference batch (at most "
        f"{int(filled.max())} of {features}); the mean of the controls of its batch stands there "
        "(Metadata_Filled_Features counts them)."
    )
    return [Finding("batch-gaps-filled", "info", "Metadata_Filled_Features", message)]


def describe_harmony(batches: int) -> Finding:
    """Harmony was asked for."""
    message = (
        f"Harmony moves the wells of {count_words(batches, 'batch', 'batches')} together, treated wells, too: every new batch moves "
        "the profiles of all others, and what only one batch was treated with may be taken for the batch. "
        '[batch_effects] method = "sphere" in dataset.toml moves no old profile.'
    )
    return Finding("harmony-moves-all", "info", "", message)


def describe_lost(lost: Sequence[str], active: str, controls: int, features: int) -> list[Finding]:
    """Treatments that were active before the correction and are not after it; ``active`` says how many still are."""
    if not lost:
        return []
    more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    few = (
        f"The smallest batch has {count_words(controls, 'control well')} for {count_words(features, 'feature')}: a control that "
        "varies where the others do not lies far from them once it is corrected, and active is what lies further than 95 % of them. "
        if controls < features
        else ""
    )
    message = (
        f"Still active after the correction: {active} that were so before. No longer: {', '.join(lost[:_SHOWN])}{more}. {few}Compare with "
        'pycytominer_profiles before you call them inactive; [batch_effects] method = "none" in dataset.toml takes off position alone.'
    )
    return [Finding("actives-lost", "warning", lost[0], message)]
