"""Which batches of a dataset can be corrected, and which one the others are brought to, from what is known of its wells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.batches import Batches, choose_reference, find_batches
from bioimage_assets.core.profiling.treatments import build_treatments
from bioimage_assets.core.profiling.well_groups import describe_references, find_well_groups
from bioimage_assets.core.settings.dataset import DatasetSettings


@dataclass(frozen=True, slots=True)
class CorrectionPlan:
    """Batches of the wells, the ``usable`` ones in the order of their names, and ``reference`` among them.

    ``is_control`` tells the control wells row by row.
    """

    batches: Batches
    usable: tuple[str, ...]
    reference: str
    is_control: np.ndarray
    findings: tuple[Finding, ...]


def plan_correction(wells: pd.DataFrame, settings: DatasetSettings, stored: str | None) -> CorrectionPlan:
    """Plan from the metadata of all wells; ``stored`` is the reference batch of the table that is stored, if there is one.

    Raises
    ------
    ProfilingError
        No batch has enough control wells, or the reference that is asked for is not to be used.
    """
    batches = find_batches(wells, settings)
    is_control = build_treatments(wells, settings).is_control
    least = count_needed(settings)
    counts = {name: int((is_control & (batches.of_wells == name)).sum()) for name in batches.names}
    usable = tuple(name for name, count in counts.items() if count >= least)
    if not usable:
        most = max(counts.values(), default=0)
        raise ProfilingError(
            f"No batch of this dataset has the {least} control wells that a correction is fitted on (the most is {most}). Mark "
            f"the negative controls in the platemaps ({settings.control_column} = {' or '.join(settings.control_values)}, or "
            "[controls] column and values in dataset.toml)."
        )
    findings = [*batches.findings, *_describe_unusable(counts, least, len(usable))]
    consequence = "Controls of both define the correction, although their numbers are not the same quantity."
    groups = find_well_groups(wells, settings)
    findings += describe_references(wells, groups, "sphering-mixed-references", consequence)
    reference = choose_reference(batches.names, settings, stored, usable)
    return CorrectionPlan(batches, usable, reference, is_control, tuple(findings))


def count_needed(settings: DatasetSettings) -> int:
    """Control wells that a batch needs."""
    return max(settings.min_controls, 2)


def _describe_unusable(counts: dict[str, int], least: int, usable: int) -> list[Finding]:
    few = [f"{name} ({count})" for name, count in counts.items() if count < least]
    if not few:
        return []
    message = (
        f"{count_words(len(few), 'batch has', 'batches have')} fewer than {least} control wells and no corrected profiles: "
        f"{', '.join(few[:4])}. Mark their controls in the platemaps, or join them to another batch in dataset.toml "
        f"([batch_effects] batches); {count_words(usable, 'batch is', 'batches are')} corrected."
    )
    return [Finding("batch-left-out", "warning", few[0], message)]
