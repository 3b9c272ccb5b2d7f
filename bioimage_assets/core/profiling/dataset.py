"""Selected features and consensus profiles of a dataset from the wells of all its plates, by pycytominer.

Both need every plate at once: features selected plate by plate leave plates with different columns
(https://github.com/cytomining/pycytominer/pull/708).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
from pycytominer import consensus, feature_select

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.library_calls import LibraryCall, describe_features
from bioimage_assets.core.profiling.profiling_report import NORMALIZED_TO, OBJECT_COUNT
from bioimage_assets.core.profiling.stacking import stack_wells
from bioimage_assets.core.profiling.treatments import Treatments, build_treatments
from bioimage_assets.core.profiling.well_groups import (
    MIXED,
    WellGroups,
    describe_references,
    find_well_groups,
)
from bioimage_assets.core.settings.dataset import DatasetSettings

# The order matters: nulls first (the correlation filter is 30 times slower with them), outliers last.
OPERATIONS = ("drop_na_columns", "blocklist", "variance_threshold", "correlation_threshold", "drop_outliers")
# These look at how wells differ, which a handful of wells cannot show: two wells correlate perfectly in everything.
_POPULATION_OPERATIONS = frozenset({"variance_threshold", "correlation_threshold"})
MIN_WELLS = 8  # fewer wells show neither variance nor correlation

REPLICATE_COUNT = "Metadata_Replicate_Count"
PLATE_COUNT = "Metadata_Plate_Count"
_WELL = "Metadata_Well"


@dataclass(frozen=True, slots=True)
class SelectionStep:
    """One operation of feature selection and the features that it removed."""

    operation: str
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SelectionReport:
    """What feature selection did over all plates of a dataset."""

    plate_count: int
    well_count: int
    wells_without_cells: int
    feature_count: int
    selected: tuple[str, ...]
    not_on_every_plate: tuple[str, ...]
    steps: tuple[SelectionStep, ...]
    findings: tuple[Finding, ...] = ()
    calls: tuple[LibraryCall, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON and run metadata."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ConsensusReport:
    """What became of the wells of a dataset on their way to one profile per treatment.

    ``strata`` are the columns besides the treatment's that tell profiles apart, ``references`` what wells are relative to.
    """

    well_count: int
    wells_without_treatment: int
    treatment_count: int
    control_profile_count: int
    treatment_columns: tuple[str, ...]
    operation: str
    findings: tuple[Finding, ...] = ()
    strata: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    calls: tuple[LibraryCall, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON and run metadata."""
        return asdict(self)


def build_selected_features(
    plates: pa.Table | Sequence[pa.Table],
    settings: DatasetSettings,
    *,
    operations: Sequence[str] = OPERATIONS,
    # pycytominer's default, as are the rules of the other operations.
    correlation_limit: float = 0.9,
    # pycytominer's default: features with a normalised value beyond are numerically unstable.
    outlier_limit: float = 500.0,
) -> tuple[pa.Table, SelectionReport]:
    """Keep the features that carry information over all plates of a dataset.

    Metadata columns stay. Wells without a passing cell have no profile and are left out (counted). With
    fewer than eight wells the operations that compare wells are not done, and a finding says so.

    Raises
    ------
    ProfilingError
        When there is no well, the plates share no feature, or nothing is left.
    """
    tables = [plates] if isinstance(plates, pa.Table) else list(plates)
    if not any(table.num_rows for table in tables):
        raise ProfilingError("There are no well profiles to select features from.")
    features, partial = _shared_features(tables)
    wells, odd = stack_wells([_drop_features(table, partial) for table in tables])
    frame = wells.to_pandas()
    has_profile = (frame[OBJECT_COUNT] > 0).to_numpy() if OBJECT_COUNT in frame else np.ones(len(frame), bool)
    has_profile = has_profile & frame[features].notna().any(axis=1).to_numpy()
    findings = [*odd, *_selection_findings(partial, len(frame), int(has_profile.sum()))]
    findings += _selection_references(frame, settings)
    # pycytominer allows 5 % nulls by default; a null anywhere would make replicate measures fail.
    limits = {"na_cutoff": 0, "corr_threshold": correlation_limit, "outlier_cutoff": outlier_limit}
    profiled = frame.loc[has_profile].reset_index(drop=True)
    kept, steps = _run_operations(profiled, features, operations, limits)
    if not kept:
        raise ProfilingError(
            f"Feature selection removed all {len(features)} features: "
            + ", ".join(f"{step.operation} {len(step.removed)}" for step in steps)
        )
    removed = set(features) - set(kept)
    table = wells.filter(pa.array(has_profile)).select([n for n in wells.column_names if n not in removed])
    report = SelectionReport(
        plate_count=_distinct(frame, "plate_key", len(tables)),
        well_count=table.num_rows,
        wells_without_cells=int((~has_profile).sum()),
        feature_count=len(features) + len(partial),
        selected=tuple(kept),
        not_on_every_plate=tuple(partial),
        steps=tuple(steps),
        findings=tuple(findings),
        calls=_selection_calls(features, steps, limits, len(profiled)),
    )
    return table, report


def _shared_features(tables: Sequence[pa.Table]) -> tuple[list[str], list[str]]:
    """Features that every plate has, in the order of the first one, and those that only some have."""
    per_plate = [list_profile_features(table.schema) for table in tables]
    everywhere = set(per_plate[0]).intersection(*map(set, per_plate))
    anywhere = dict.fromkeys(name for names in per_plate for name in names)
    shared = [name for name in anywhere if name in everywhere]
    if not anywhere:
        raise ProfilingError(f"No well of {len(tables)} plate(s) has a value in any feature.")
    if not shared:
        raise ProfilingError(f"The {len(tables)} plates have no feature column in common.")
    return shared, [name for name in anywhere if name not in everywhere]


def _drop_features(table: pa.Table, names: Sequence[str]) -> pa.Table:
    dropped = set(names)
    return table.select([name for name in table.column_names if name not in dropped])


def _run_operations(
    frame: pd.DataFrame, features: list[str], operations: Sequence[str], limits: Mapping[str, float]
) -> tuple[list[str], list[SelectionStep]]:
    kept = list(features)
    steps = []
    for operation in operations:
        if not kept or (len(frame) < MIN_WELLS and operation in _POPULATION_OPERATIONS):
            continue
        try:
            # One operation at a time: the report names what each removed, and pycytominer would not say.
            left = feature_select(frame[kept], features=kept, operation=operation, **limits)
        except ValueError as error:
            raise ProfilingError(f"pycytominer could not select features by {operation}: {error}") from error
        remaining = set(left.columns)
        steps.append(SelectionStep(operation, tuple(name for name in kept if name not in remaining)))
        kept = [name for name in kept if name in remaining]
    return kept, steps


def _selection_calls(
    features: Sequence[str], steps: Sequence[SelectionStep], limits: Mapping[str, float], row_count: int
) -> tuple[LibraryCall, ...]:
    kept = list(features)
    calls = []
    for step in steps:
        left = [name for name in kept if name not in set(step.removed)]
        rule = "features that all plates have, less those removed by the calls before"
        calls.append(
            LibraryCall(
                "pycytominer.feature_select",
                {"features": describe_features(kept, rule), "operation": step.operation, **limits},
                {
                    "rows": "rows of pycytominer_profiles of all plates of the dataset that have a profile",
                    "row_count": row_count,
                    "removed_count": len(step.removed),
                },
            )
        )
        kept = left
    return tuple(calls)


def _selection_references(frame: pd.DataFrame, settings: DatasetSettings) -> list[Finding]:
    groups = find_well_groups(frame, settings)
    consequence = (
        "Features are selected over all of them, although their numbers are not the same quantity. Give each plate "
        f"{settings.min_controls} control wells, or put plates without controls into a dataset of their own."
    )
    return describe_references(frame, groups, "selection-mixed-references", consequence)


def _selection_findings(partial: Sequence[str], well_count: int, profile_count: int) -> list[Finding]:
    findings = []
    if partial:
        message = f"{count_words(len(partial), 'feature is', 'features are')} not on every plate and left out: {', '.join(partial[:4])}."
        findings.append(Finding("feature-not-on-every-plate", "warning", ", ".join(partial[:4]), message))
    if profile_count < well_count:
        message = f"{count_words(well_count - profile_count, 'well has', 'wells have')} no passing cell and hence no profile."
        findings.append(Finding("well-without-profile", "warning", "", message))
    if profile_count < MIN_WELLS:
        message = f"{count_words(profile_count, 'well is', 'wells are')} too few to compare (expected {MIN_WELLS}); only nulls, blocklist and outliers were removed."
        findings.append(Finding("selection-limited", "warning", "", message))
    return findings


def build_consensus(
    wells: pa.Table,
    settings: DatasetSettings,
    *,
    operation: str = "median",
    counted: Mapping[str, str] = MappingProxyType({}),
) -> tuple[pa.Table, ConsensusReport]:
    """Combine the replicate wells of each treatment into one profile.

    Negative controls stay apart by well position (``Metadata_Well`` is set for them only), so that position effects
    can be seen instead of averaged. Time points stay apart (``settings.profile_group_by``), and so do wells of plates
    that are normalised to controls and to themselves, unless ``settings.mix_references``; ``Metadata_Normalized_To`` says
    what a row is relative to. Wells without treatment are left out and counted; where no well has one, every well
    position is a treatment. ``counted`` names further columns of counts, and the columns whose distinct values they count.

    Raises
    ------
    ProfilingError
        When there is no well or no feature.
    """
    features = list_profile_features(wells.schema)
    if not features or wells.num_rows == 0:
        raise ProfilingError("There are no well profiles to build a consensus of.")
    frame = wells.to_pandas()
    groups = find_well_groups(frame, settings)
    treatments = build_treatments(frame, settings, groups.columns)
    mixed = _consensus_references(frame, groups)
    chosen, by_well, odd = _choose_wells(treatments, settings)
    position = frame[_WELL] if _WELL in frame else frame["well_id"]
    # The well is a key of controls only: None joins the wells of a treatment.
    frame = frame.assign(**{_WELL: position.where(by_well, None)}).loc[chosen]
    keys = _consensus_keys(frame, treatments, groups, settings)
    table = _combine(frame, keys, features, operation, wells.schema, counted)
    control_count = sum(value is not None for value in table[_WELL].to_pylist())
    report = ConsensusReport(
        wells.num_rows,
        int((~chosen).sum()),
        table.num_rows - control_count,
        control_count,
        treatments.columns,
        operation,
        (*groups.findings, *mixed, *odd),
        groups.strata,
        groups.references,
        (_consensus_call(keys, features, operation, len(frame)),),
    )
    return table, report


def _choose_wells(
    treatments: Treatments, settings: DatasetSettings
) -> tuple[np.ndarray, np.ndarray, list[Finding]]:
    """Wells that go into the consensus, wells that keep their position, and what is odd about it."""
    chosen = treatments.is_treated | treatments.is_control
    if not chosen.any():
        message = (
            f"No well has a treatment ({list(settings.treatment_columns)}); each well position counts as one."
        )
        everything = np.ones(chosen.size, bool)
        return everything, everything, [Finding("consensus-by-well", "warning", _WELL, message)]
    skipped = int((~chosen).sum())
    return chosen, treatments.is_control, [_untreated_finding(skipped, settings)] if skipped else []


def _consensus_call(keys: list[str], features: list[str], operation: str, row_count: int) -> LibraryCall:
    rule = "number columns of this table that are neither keys nor Metadata_*"
    arguments: dict[str, object] = {
        "replicate_columns": keys,
        "operation": operation,
        "features": describe_features(features, rule),
    }
    rows = f"pycytominer_selected_features with a treatment; {_WELL} is set for controls only"
    return LibraryCall("pycytominer.consensus", arguments, {"rows": rows, "row_count": row_count})


def _untreated_finding(count: int, settings: DatasetSettings) -> Finding:
    message = (
        f"{count_words(count, 'well has', 'wells have')} no treatment ({', '.join(settings.treatment_columns)}), without being "
        "negative controls, and no place in a consensus profile."
    )
    return Finding("well-without-treatment", "warning", ", ".join(settings.treatment_columns), message)


def _consensus_references(frame: pd.DataFrame, groups: WellGroups) -> list[Finding]:
    if groups.is_reference_kept:
        consequence = (
            f"They are kept in rows of their own ({NORMALIZED_TO}). Write [consensus] mix_references = true in dataset.toml "
            "to combine them."
        )
    else:
        consequence = (
            f"They are combined, because dataset.toml says [consensus] mix_references = true; {NORMALIZED_TO} is {MIXED!r} "
            "where a row holds both."
        )
    return describe_references(frame, groups, "consensus-mixed-references", consequence)


def _consensus_keys(
    frame: pd.DataFrame, treatments: Treatments, groups: WellGroups, settings: DatasetSettings
) -> list[str]:
    keys = ["dataset_id"] if "dataset_id" in frame else []
    keys += treatments.columns
    if settings.control_column in frame:
        keys.append(settings.control_column)
    keys += groups.strata
    if groups.is_reference_kept and NORMALIZED_TO in frame:
        keys.append(NORMALIZED_TO)
    return [*dict.fromkeys(keys), _WELL]


def _combine(
    frame: pd.DataFrame,
    keys: list[str],
    features: list[str],
    operation: str,
    stored: pa.Schema,
    counted: Mapping[str, str],
) -> pa.Table:
    profiles = pd.DataFrame(consensus(frame, replicate_columns=keys, operation=operation, features=features))
    # pandas drops groups with a null key by default; a control has nulls in the treatment's columns.
    grouped = frame.groupby(keys, dropna=False)
    counts = grouped.size().rename(REPLICATE_COUNT).to_frame()
    counts[PLATE_COUNT] = grouped["plate_key"].nunique() if "plate_key" in frame else 1
    for name, column in counted.items():
        counts[name] = grouped[column].nunique()
    if OBJECT_COUNT in frame:
        counts[OBJECT_COUNT] = grouped[OBJECT_COUNT].sum()
    numbers = list(counts.columns)
    texts = list(keys)
    if NORMALIZED_TO in frame and NORMALIZED_TO not in keys:
        counts[NORMALIZED_TO] = grouped[NORMALIZED_TO].agg(_name_reference)
        texts.append(NORMALIZED_TO)
    # pycytominer's consensus keeps no counts.
    merged = profiles.merge(counts.reset_index(), on=keys, how="left")
    columns: dict[str, pa.Array] = {}
    for name in texts:
        # As stored: a column of nulls has no type of its own, and the datasets of a root share one table.
        is_number = name in stored.names and pa.types.is_floating(stored.field(name).type)
        kind = pa.float64() if is_number else pa.string()
        columns[name] = pa.array(merged[name], kind, from_pandas=True)
    for name in numbers:
        columns[name] = pa.array(merged[name], pa.int64(), from_pandas=True)
    for name in features:
        columns[name] = pa.array(merged[name], pa.float64(), from_pandas=True)
    return pa.table(columns)


def _name_reference(references: pd.Series) -> str | None:
    """What a row of several wells is relative to."""
    names = references.dropna().unique()
    return None if not len(names) else str(names[0]) if len(names) == 1 else MIXED


def _distinct(frame: pd.DataFrame, column: str, default: int) -> int:
    return int(frame[column].nunique()) if column in frame else default
