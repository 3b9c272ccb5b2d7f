"""The library calls that made a plate's profiles, as a reader can repeat them."""

from __future__ import annotations

from collections.abc import Sequence

from bioimage_assets.core.profiling.library_calls import LibraryCall, describe_features
from bioimage_assets.core.profiling.normalization import AGGREGATION, WELL, NormalizationPlan
from bioimage_assets.core.profiling.normalization_method import SEED, MethodOptions
from bioimage_assets.core.profiling.platemap import PlateMap
from bioimage_assets.core.profiling.reference import Scaling
from bioimage_assets.core.profiling.strata import NO_STRATUM

FEATURE_RULE = (
    "number columns of this table that are neither keys nor Metadata_* and hold a value in these rows; the others have no "
    "spread in the reference and are null"
)
CENTER_SETTING = "[normalization] center_controls = true in dataset.toml"


def list_profile_calls(
    plan: NormalizationPlan,
    strata: Sequence[str],
    scaled: Sequence[str],
    platemap: PlateMap | None,
    *,
    has_qc: bool,
    nonfinite_count: int,
) -> tuple[LibraryCall, ...]:
    """Calls behind the well profiles of one plate, in their order; ``scaled`` are the features that hold a value."""
    calls: list[LibraryCall] = []
    if has_qc:
        rows = "joined_profiles merged with cosmicqc_profiles on Metadata_ObjectID"
        calls.append(
            LibraryCall("pandas.DataFrame.query", {"expr": "Metadata_cqc_failed == False"}, {"rows": rows})
        )
    if nonfinite_count:
        infinite = {"to_replace": ["inf", "-inf"], "value": "nan"}
        calls.append(LibraryCall("pandas.DataFrame.replace", infinite))
    for scalings in _alike(plan.scalings):
        calls += _scaling_calls(plan, scalings, strata, scaled)
    if platemap is not None:
        arguments: dict[str, object] = {
            "platemap": platemap.uri,
            "join_on": [WELL, WELL],
            "add_metadata_id_to_platemap": False,
            "clean_cellprofiler": False,
        }
        rows = "all profiles; wells that the platemap does not describe are added to it without values"
        calls.append(LibraryCall("pycytominer.annotate", arguments, {"rows": rows}))
    return tuple(calls)


def _alike(scalings: Sequence[Scaling]) -> list[list[Scaling]]:
    """Strata that were scaled in the same way together: by their own reference, or by that of all rows."""
    own = [scaling for scaling in scalings if scaling.is_own]
    return [group for group in (own, [s for s in scalings if not s.is_own]) if group]


def _spell_stratum(strata: Sequence[str], scaling: Scaling) -> dict[str, str | None]:
    """Values of the rows that a scaling is for, None where they have none."""
    values = (None if value == NO_STRATUM else value for value in scaling.stratum)
    return dict(zip(strata, values, strict=True))


def _scaling_calls(
    plan: NormalizationPlan, scalings: Sequence[Scaling], strata: Sequence[str], scaled: Sequence[str]
) -> list[LibraryCall]:
    features = describe_features(scaled, FEATURE_RULE)
    names = [WELL, *strata]
    notes: dict[str, object] = {}
    if strata:
        is_own = scalings[0].is_own
        notes["rows"] = "cells of one value in kept at a time" if is_own else "all cells"
        notes["group_by"] = list(strata) if is_own else []
        notes["kept"] = [_spell_stratum(strata, scaling) for scaling in scalings]
    normalize: dict[str, object] = {
        "features": features,
        "meta_features": names,
        "samples": scalings[0].samples,
    }
    aggregate = {"strata": names, "features": features, "operation": AGGREGATION}
    calls = [
        LibraryCall("pycytominer.normalize", normalize | plan.options.arguments(), notes),
        LibraryCall("pycytominer.aggregate", aggregate, notes),
    ]
    if plan.options.is_of_wells:
        cells = normalize | MethodOptions("standardize").arguments()
        calls = [LibraryCall("pycytominer.normalize", cells, notes), *reversed(calls)]
    if plan.options.method == "inverse_normal":
        why: dict[str, object] = {
            "rows": "before each call of pycytominer.normalize, which draws 10,000 rows of a larger reference"
        }
        calls.insert(0, LibraryCall("numpy.random.seed", {"seed": SEED}, why))
    if plan.centered_wells:
        arguments = {"other": "median", "samples": f"{WELL} in {sorted(plan.centered_wells)}"}
        notes |= {"setting": CENTER_SETTING, "features": features}
        calls.append(LibraryCall("pandas.DataFrame.sub", arguments, notes))
    return calls
