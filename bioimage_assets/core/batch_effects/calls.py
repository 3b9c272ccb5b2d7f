"""What a correction was made by, as a manifest records it: the call that gives the same numbers by hand, and what it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata

from bioimage_assets.core.batch_effects.dataset import Correction
from bioimage_assets.core.batch_effects.harmony import BATCH, SEED
from bioimage_assets.core.batch_effects.sphere import spell_epsilon
from bioimage_assets.core.profiling.library_calls import LibraryCall, describe_features
from bioimage_assets.core.settings.dataset import DatasetSettings

_OWN = "bioimage_assets.core.batch_effects"


def list_calls(
    correction: Correction, reference: str, settings: DatasetSettings
) -> list[Mapping[str, object]]:
    """The calls in their order."""
    rule = f"features that pycytominer.feature_select keeps over the plates of batch {reference!r}"
    features = describe_features(correction.features, rule)
    calls = [
        *_position_calls(correction, features, settings),
        *_method_calls(correction, features, reference, settings),
    ]
    return [call.to_dict() for call in calls]


def _position_calls(
    correction: Correction, features: Mapping[str, object], settings: DatasetSettings
) -> Sequence[LibraryCall]:
    return [
        LibraryCall(
            f"{_OWN}.position.fit_position_effects",
            {"features": features, "terms": report.position},
            {
                "rows": f"control wells of batch {report.batch!r}",
                "row_count": report.control_count,
                **_folds(settings),
            },
        )
        for report in correction.batches
        if report.position
    ]


def _method_calls(
    correction: Correction, features: Mapping[str, object], reference: str, settings: DatasetSettings
) -> Sequence[LibraryCall]:
    if settings.batch_method == "harmony":
        arguments = {"vars_use": BATCH, "random_state": SEED, "components": len(correction.columns)}
        rows = "principal components of all wells, standardised by the control wells"
        return [
            LibraryCall("harmonypy.run_harmony", arguments, {"rows": rows, "row_count": correction.rows.size})
        ]
    if settings.batch_method == "sphere":
        return [
            LibraryCall(
                "pycytominer.normalize",
                {
                    "features": features,
                    "samples": "the control wells",
                    "method": "spherize",
                    "spherize_method": "ZCA-cor",
                    "spherize_epsilon": spell_epsilon(settings.batch_epsilon, report.control_count),
                },
                {
                    "rows": f"wells of batch {report.batch!r} without their position effects",
                    "row_count": report.well_count,
                    "computed_by": f"numpy {metadata.version('numpy')}",
                    **_folds(settings),
                },
            )
            for report in correction.batches
        ]
    if settings.batch_method == "tvn":
        return [
            LibraryCall(
                f"{_OWN}.tvn.align_batch",
                {"epsilon": settings.batch_epsilon, "axes": f"of the controls of batch {reference!r}"},
                {
                    "rows": f"wells of batch {report.batch!r} without their position effects",
                    "row_count": report.well_count,
                    **_folds(settings),
                },
            )
            for report in correction.batches
        ]
    return []


def _folds(settings: DatasetSettings) -> Mapping[str, object]:
    """How control wells were corrected, which shaped the fit."""
    if settings.control_folds < 2 or settings.batch_method == "tvn":
        return {}
    return {"controls": f"each by the fit on the controls of the other folds ({settings.control_folds})"}
