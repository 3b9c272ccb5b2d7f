"""What a step reads must have been built: a missing table is an error that names it, and never an empty result.

A table that a plate does not have, since nothing was measured on it or it has no images by design, is written down in
``built_tables`` as built, so that it is not missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.step_spec import StepSpec
from bioimage_assets.core.model.table_specs import STEPS
from bioimage_assets.core.tables.completeness_reasons import list_names

IsStored = Callable[[str, str], bool]
"""Tells whether a table (name, partition) was built and is there."""
HasFailed = Callable[[str], bool]
"""Tells whether a failure of any step of a partition stands."""

PLATES_NOT_BUILT = "plates-not-built"


def require_inputs(step: StepSpec, partition: str, is_stored: IsStored, has_failed: HasFailed) -> None:
    """Raise MissingTableError where a table of the same partition that the step reads was never built, or is lost.

    A page of a partition whose step failed is made all the same: it says so.
    """
    missing = [name for name in step.inputs if not is_stored(name, partition)]
    if not missing or (step.tables[0].home == "page" and has_failed(partition)):
        return
    is_are, it = ("is", "it") if len(missing) == 1 else ("are", "them")
    raise MissingTableError(
        f"{', '.join(missing)} of {partition} {is_are} not stored; materialize {it} first "
        f"(or --select {_select_with_upstream(step)})."
    )


def _select_with_upstream(step: StepSpec) -> str:
    """What Dagster is asked for to build a step with all that it needs: its plain ``+name`` reaches one layer up only."""
    of_inputs = (other for other in STEPS if not {*other.names}.isdisjoint(step.inputs))
    plus = "+key:" if any(other.inputs for other in of_inputs) else "+"
    return f"{plus}{step.names[0]}"


def require_plates(
    step: StepSpec, dataset: str, sources: Sequence[PlateSource], is_stored: IsStored
) -> tuple[Finding, ...]:
    """Say which plates of the dataset or campaign a step goes without, because they were not built.

    One plate that fails takes nothing from the others, so a dataset is made of those that are there, and a finding names
    the others.

    Raises
    ------
    MissingTableError
        No plate of the dataset was built.
    """
    lacking = {
        source.plate_key: [name for name in step.of_plates if not is_stored(name, source.plate_key)]
        for source in sources
    }
    not_built = [key for key, names in lacking.items() if names]
    if not not_built:
        return ()
    tables = [name for name in step.of_plates if any(name in names for names in lacking.values())]
    named = f"{', '.join(tables)} of {list_names(not_built)}"
    if len(not_built) == len(sources):
        raise MissingTableError(
            f"No plate of {dataset} is built: {named} (plates: {len(sources)}) not stored; materialize the plates first."
        )
    text = (
        f"{len(not_built)} of {len(sources)} plates of {dataset} are not built and left out here: {named} not stored. "
        "See why in their own runs, or materialize them."
    )
    return (Finding(PLATES_NOT_BUILT, "warning", not_built[0], text),)
