"""The features of a dataset that carry information over all its plates, by pycytominer's rules.

Statistics of columns come from an engine that streams the wells (``core/engines``); the rules are those of
``pycytominer.feature_select`` with the same result. Selected wells are handed on plate by plate, so that a campaign's profiles are
never in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import pandas as pd
import pyarrow as pa

from bioimage_assets.core.engines.aggregates import aggregate
from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.open_engine import open_engine
from bioimage_assets.core.engines.open_source import arrow_source
from bioimage_assets.core.engines.plan import Condition, HasValue, IsPositive, Measure, Rows
from bioimage_assets.core.engines.selection import SelectionLimits, select_features
from bioimage_assets.core.engines.table_source import TableSource
from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.library_calls import LibraryCall, describe_features
from bioimage_assets.core.profiling.result_columns import NORMALIZED_TO, OBJECT_COUNT
from bioimage_assets.core.profiling.stacking import stack_wells
from bioimage_assets.core.profiling.strata import list_time_columns
from bioimage_assets.core.profiling.well_groups import describe_references, find_well_groups
from bioimage_assets.core.settings.dataset import DatasetSettings

# The order matters: nulls first (the correlation filter is 30 times slower with them), outliers last.
OPERATIONS = ("drop_na_columns", "blocklist", "variance_threshold", "correlation_threshold", "drop_outliers")
# These look at how wells differ, which a handful of wells cannot show: two wells correlate perfectly in everything.
_POPULATION_OPERATIONS = frozenset({"variance_threshold", "correlation_threshold"})
MIN_WELLS = 8  # fewer wells show neither variance nor correlation

# Wells that are handed on at once: some hundred megabytes of a wide table.
_BATCH_WELLS = 20_000


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
class SelectedWells:
    """Wells with their selected features, read from the plates' profiles while they are stored."""

    engine: Engine
    source: TableSource
    conditions: tuple[Condition, ...]
    schema: pa.Schema

    def reader(self) -> pa.RecordBatchReader:
        """The wells, some plates at a time, in the order of the plates."""
        return pa.RecordBatchReader.from_batches(self.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for part in self._parts():
            rows = self.engine.collect(Rows(part, self.conditions), self.schema.names)
            yield from rows.cast(self.schema).to_batches()

    def _parts(self) -> Iterator[TableSource]:
        """Some plates; one by one where they store their columns in different ways, which are read one after the other."""
        for part in self.source.split(_BATCH_WELLS):
            is_alike = len(part.alike(self.schema.names)) < 2
            yield from [part] if is_alike else part.split(1)


@dataclass(frozen=True, slots=True)
class DatasetFeatures:
    """Features with a value in some well: those that every plate has, in the order of the first one, and the others."""

    shared: tuple[str, ...]
    partial: tuple[str, ...]
    profile_count: int


@dataclass(frozen=True, slots=True)
class _Plates:
    """Wells of a dataset's plates, and what is known of them besides their features."""

    source: TableSource
    metadata: pd.DataFrame
    plate_count: int
    findings: tuple[Finding, ...] = ()


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
    """Keep the features that carry information over all plates of a dataset, given as tables.

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
    shared, partial = _share_features([list_profile_features(table.schema) for table in tables])
    wells, odd = stack_wells([table.drop_columns(_only(partial, table)) for table in tables])
    engine, source = open_engine(), arrow_source("well profiles", [wells])
    count, _ = _count_profiles(engine, source, shared)
    features = DatasetFeatures(tuple(shared), tuple(partial), count)
    known = _Plates(
        source, wells.select(_reference_columns(wells.schema)).to_pandas(), len(tables), tuple(odd)
    )
    limits = SelectionLimits(na_cutoff=0, corr_threshold=correlation_limit, outlier_cutoff=outlier_limit)
    removed, report = _select(engine, known, features, settings, operations, limits)
    names = [name for name in wells.column_names if name not in removed]
    return _filter_profiled(wells, shared).select(names), report


def select_stored_features(
    engine: Engine,
    plates: TableSource,
    settings: DatasetSettings,
    features: DatasetFeatures,
    # A null anywhere would make replicate measures fail; pycytominer allows 5 % by default.
    limits: SelectionLimits = SelectionLimits(na_cutoff=0),  # noqa: B008 (frozen)
) -> tuple[SelectedWells, SelectionReport]:
    """The same of stored plates, which are read through four times: by nobody at once.

    ``features`` are those that :func:`find_features` found.
    """
    rows = engine.collect(Rows(plates), _reference_columns(plates.schema)).to_pandas()
    known = _Plates(plates, rows, len([part for part in plates.parts if part.row_count]))
    removed, report = _select(engine, known, features, settings, OPERATIONS, limits)
    everything = set(list_profile_features(plates.schema)) - set(features.shared)
    kept = [field for field in plates.schema if field.name not in removed | everything]
    conditions = _has_profile(plates, features.shared)
    return SelectedWells(engine, plates, conditions, pa.schema(kept)), report


def find_features(engine: Engine, plates: TableSource) -> DatasetFeatures:
    """Features of a dataset's plates that have any value in a well with a profile; none where no well has one.

    Raises
    ------
    ProfilingError
        The plates share no feature.
    """
    per_plate: dict[str | None, list[str]] = {}
    for part in plates.parts:
        if part.row_count:
            stored = pa.schema([pa.field(name, column.type) for name, column in part.columns.items()])
            per_plate.setdefault(part.partition, []).extend(list_profile_features(stored))
    if not any(per_plate.values()):
        return DatasetFeatures((), (), 0)
    shared, partial = _share_features(list(per_plate.values()))
    count, values = _count_profiles(engine, plates, shared, partial)
    filled = {name for name, found in zip((*shared, *partial), values, strict=True) if found}
    return DatasetFeatures(
        tuple(name for name in shared if name in filled),
        tuple(name for name in partial if name in filled),
        count,
    )


def _share_features(per_plate: Sequence[Sequence[str]]) -> tuple[list[str], list[str]]:
    """Features that every plate has, in the order of the first one, and those that only some have."""
    everywhere = set(per_plate[0]).intersection(*map(set, per_plate))
    anywhere = dict.fromkeys(name for names in per_plate for name in names)
    shared = [name for name in anywhere if name in everywhere]
    if not anywhere:
        raise ProfilingError(f"No well of {len(per_plate)} plate(s) has a value in any feature.")
    if not shared:
        raise ProfilingError(f"The {len(per_plate)} plates have no feature column in common.")
    return shared, [name for name in anywhere if name not in everywhere]


def _has_profile(source: TableSource, features: Iterable[str]) -> tuple[Condition, ...]:
    """Wells that have a profile: some cell that passed, and some value."""
    counted = (IsPositive(OBJECT_COUNT),) if OBJECT_COUNT in source.schema.names else ()
    return (*counted, HasValue(tuple(features)))


def _count_profiles(
    engine: Engine, source: TableSource, shared: Sequence[str], partial: Sequence[str] = ()
) -> tuple[int, list[int]]:
    """Wells with a profile, and how many of them have a value in each feature."""
    measures = [Measure("rows", name="rows")]
    measures += [Measure("values", name, f"values:{place}") for place, name in enumerate((*shared, *partial))]
    counts = aggregate(engine, Rows(source, _has_profile(source, shared)), [], measures)
    return int(counts["rows"][0].as_py()), [int(counts[m.output][0].as_py()) for m in measures[1:]]


def _only(names: Iterable[str], table: pa.Table) -> list[str]:
    there = set(table.column_names)
    return [name for name in names if name in there]


def _reference_columns(schema: pa.Schema) -> list[str]:
    """Metadata columns that say what wells are relative to."""
    known = (NORMALIZED_TO, "plate_key", "Metadata_Plate", *list_time_columns(schema.names))
    return [name for name in dict.fromkeys(known) if name in schema.names]


def _filter_profiled(wells: pa.Table, features: Sequence[str]) -> pa.Table:
    """Wells that :func:`_has_profile` means, of a table in memory."""
    frame = wells.select(_only((OBJECT_COUNT, *features), wells)).to_pandas()
    has_profile = frame[list(features)].notna().any(axis=1)
    if OBJECT_COUNT in frame:
        has_profile &= frame[OBJECT_COUNT] > 0
    return wells.filter(pa.array(has_profile.to_numpy()))


def _select(
    engine: Engine,
    plates: _Plates,
    features: DatasetFeatures,
    settings: DatasetSettings,
    operations: Sequence[str],
    limits: SelectionLimits,
) -> tuple[set[str], SelectionReport]:
    """Names of shared features that are left out, and the report."""
    source, shared = plates.source, features.shared
    if not shared:
        raise ProfilingError(f"The {plates.plate_count} plates have no feature column in common.")
    rows = Rows(source, _has_profile(source, shared))
    is_small = features.profile_count < MIN_WELLS
    asked = [name for name in operations if not (is_small and name in _POPULATION_OPERATIONS)]
    selection = select_features(engine, rows, shared, asked, limits)
    steps = tuple(SelectionStep(operation, removed) for operation, removed in selection.removed)
    if not selection.kept:
        raise ProfilingError(
            f"Feature selection removed all {len(shared)} features: "
            + ", ".join(f"{step.operation} {len(step.removed)}" for step in steps)
        )
    count = features.profile_count
    findings = [
        *plates.findings,
        *_selection_findings(features.partial, source.row_count, count),
        *_selection_references(plates.metadata, settings),
    ]
    report = SelectionReport(
        plate_count=_distinct(plates.metadata, "plate_key", plates.plate_count),
        well_count=count,
        wells_without_cells=source.row_count - count,
        feature_count=len(shared) + len(features.partial),
        selected=selection.kept,
        not_on_every_plate=features.partial,
        steps=steps,
        findings=tuple(findings),
        calls=_selection_calls(shared, steps, limits, count, engine),
    )
    return set(shared) - set(selection.kept), report


def _selection_calls(
    features: Sequence[str],
    steps: Sequence[SelectionStep],
    limits: SelectionLimits,
    row_count: int,
    engine: Engine,
) -> tuple[LibraryCall, ...]:
    kept = list(features)
    calls = []
    arguments = {name: getattr(limits, name) for name in ("na_cutoff", "corr_threshold", "outlier_cutoff")}
    for step in steps:
        left = [name for name in kept if name not in set(step.removed)]
        rule = "features that all plates have, less those removed by the calls before"
        calls.append(
            LibraryCall(
                "pycytominer.feature_select",
                {"features": describe_features(kept, rule), "operation": step.operation, **arguments},
                {
                    "rows": "rows of pycytominer_profiles of all plates of the dataset that have a profile",
                    "row_count": row_count,
                    "removed_count": len(step.removed),
                    "computed_by": f"statistics of columns by {engine.version}",
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


def _distinct(frame: pd.DataFrame, column: str, default: int) -> int:
    return int(frame[column].nunique()) if column in frame else default
