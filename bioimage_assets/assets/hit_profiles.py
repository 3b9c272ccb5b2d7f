"""Settings of a dataset turned into the stored wells that its treatments are measured on, or into what to do where there are none."""

from dataclasses import dataclass

from bioimage_assets.assets.rollups import SELECTED, find_wells
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.dataset_wells import StoredWells
from bioimage_assets.core.storage.step_inputs import StepInputs

SPHERED = "sphered_profiles"


@dataclass(frozen=True, slots=True)
class HitWells:
    """Wells of a dataset; None where there are none: ``absence`` then says why, and ``findings`` what to do."""

    wells: StoredWells | None
    absence: str = ""
    findings: tuple[Finding, ...] = ()


def find_hit_wells(inputs: StepInputs) -> HitWells:
    """The wells that ``[hits] profiles`` names. Wells with selected features never stand in for sphered ones that are missing."""
    if inputs.settings.hits_profiles == "selected":
        wells = find_wells(inputs, SELECTED)
        return HitWells(wells, "" if wells else "no selected features of this dataset")
    wells = find_wells(inputs, SPHERED)
    if wells is None:
        missing = _describe_absence()
        return HitWells(None, missing.message, (missing,))
    return HitWells(wells, findings=_find_left_out(inputs, wells))


def _describe_absence() -> Finding:
    text = (
        'Treatments are not measured: [hits] profiles = "sphered" in dataset.toml, and this dataset has no sphered_profiles, whose '
        "own note says why (too few control wells, or [batch_effects] asks for no correction). Name the control wells in the "
        'platemap ([controls] column and values) or change [batch_effects]; or write profiles = "selected".'
    )
    return Finding("no-sphered-profiles", "warning", "", text)


def _find_left_out(inputs: StepInputs, wells: StoredWells) -> tuple[Finding, ...]:
    """Wells of batches that could not be corrected are in no treatment."""
    left_out = (inputs.tables.count(SELECTED, inputs.partition) or 0) - wells.row_count
    if left_out <= 0:
        return ()
    are = count_words(left_out, "well is", "wells are")
    text = (
        f'{are} in no treatment, because [hits] profiles = "sphered" and sphered_profiles leave them out; its findings say which '
        'batches and why. Mend those, or write profiles = "selected".'
    )
    return (Finding("wells-not-sphered", "warning", "", text),)
