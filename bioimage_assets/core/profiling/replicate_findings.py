"""What replicate measures cannot tell of a dataset, and what of it was drawn instead of compared in full."""

from __future__ import annotations

from collections.abc import Mapping

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.null_correlations import MAX_NULL_WELLS
from bioimage_assets.core.profiling.replicate_wells import (
    MAX_CONTROLS,
    MAX_WELLS,
    SEED,
    ControlWells,
    Replicates,
)

SAMPLED = "replicates-sampled"


def describe_lack_of_memory(well_count: int, feature_count: int) -> Finding:
    """A warning that stands in the place of the measures."""
    size_gb = well_count * feature_count * 8 / 1e9
    message = (
        f"Treatments were not measured: memory did not suffice for {well_count:,} wells x {feature_count:,} features "
        f"({size_gb:,.3g} GB of numbers, about twice that with everything beside them). All other tables are stored. Give the "
        "run more memory and build hits again."
    )
    return Finding("replicates-not-measured", "warning", "", message)


def describe_gaps(groups: Mapping[str, Replicates], controls: ControlWells) -> tuple[Finding, ...]:
    """Treatments that cannot be judged, or not by themselves."""
    found = []
    single = [label for label, group in groups.items() if group.well_count < 2]
    if single:
        have = count_words(len(single), "treatment has", "treatments have")
        message = f"{have} one well and cannot be judged: {', '.join(single[:4])}."
        found.append(Finding("treatment-without-replicate", "info", ", ".join(single[:4]), message))
    fixed = [label for label, group in groups.items() if group.well_count > 1 and not group.is_spread]
    if fixed:
        message = (
            f"All replicates of {count_words(len(fixed), 'treatment')} lie at one position of the plate, so that effects of treatment "
            f"and position cannot be told apart: {', '.join(fixed[:4])}."
        )
        found.append(Finding("replicates-at-one-position", "info", ", ".join(fixed[:4]), message))
    unknown = [label for label in groups if controls.count(label) < 2]
    if unknown:
        some = (
            ""
            if len(unknown) == len(groups)
            else f" of {count_words(len(unknown), 'treatment')} ({', '.join(unknown[:4])})"
        )
        message = f"Fewer than two control wells; activity{some} is unknown."
        found.append(Finding("activity-without-controls", "warning", "", message))
    return tuple(found)


def describe_sampling(
    groups: Mapping[str, Replicates], controls: ControlWells, of_controls: Replicates
) -> tuple[Finding, ...]:
    """What was drawn instead of compared in full; nothing where the numbers are those of all wells."""
    parts = []
    sampled = [label for label, group in groups.items() if group.is_sampled]
    if sampled:
        parts.append(
            f"{MAX_WELLS:,} wells each of {count_words(len(sampled), 'treatment')} are compared ({', '.join(sampled[:4])})"
        )
    if of_controls.is_sampled:
        parts.append(
            f"the correlation of the {of_controls.well_count:,} control wells is that of {MAX_WELLS:,}"
        )
    many = [rows.size for code, rows in controls.rows.items() if rows.size > controls.ranked[code].size]
    if many:
        parts.append(
            f"treatments are ranked among {MAX_CONTROLS:,} of up to {max(many):,} control wells of their group"
        )
    large = [label for label, group in groups.items() if group.rows.size > MAX_NULL_WELLS]
    if large:
        parts.append(
            f"the null of {count_words(len(large), 'treatment')} with more than {MAX_NULL_WELLS} wells is that of {MAX_NULL_WELLS}"
        )
    if not parts:
        return ()
    message = f"Replicate measures were made of samples, drawn with the seed {SEED}: {'; '.join(parts)}."
    return (Finding(SAMPLED, "info", "", message),)
