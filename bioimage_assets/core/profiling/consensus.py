"""One profile per treatment of a dataset from the wells of all its plates, by pycytominer's rule.

Stored wells are combined by an engine (``core/engines``), wells in memory by pycytominer itself; the numbers are the same. Profiles
are combined feature by feature, so that pycytominer is given some features of all wells at a time: the result is that of
one call, and memory is bounded by a block of columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
from pycytominer import consensus

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.profiling.dataset_wells import (
    StoredWells,
    WellData,
    as_stored,
    block_columns,
    read_metadata,
)
from bioimage_assets.core.profiling.engine_groups import EngineWells, are_told_apart, combine_groups
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.library_calls import LibraryCall, describe_features
from bioimage_assets.core.profiling.result_columns import NORMALIZED_TO, OBJECT_COUNT
from bioimage_assets.core.profiling.treatments import Treatments, build_treatments
from bioimage_assets.core.profiling.well_groups import (
    MIXED,
    WellGroups,
    describe_references,
    find_well_groups,
)
from bioimage_assets.core.settings.dataset import DatasetSettings

REPLICATE_COUNT = "Metadata_Replicate_Count"
PLATE_COUNT = "Metadata_Plate_Count"
_WELL = "Metadata_Well"
# Features are combined one by one by these; the weights of modz are made of all features.
_BY_FEATURE = ("median", "mean")


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


def build_consensus(
    wells: WellData,
    settings: DatasetSettings,
    *,
    operation: str = "median",
    counted: Mapping[str, str] = MappingProxyType({}),
    engine_wells: EngineWells | None = None,
) -> tuple[pa.Table, ConsensusReport]:
    """Combine the replicate wells of each treatment into one profile.

    Negative controls stay apart by well position (``Metadata_Well`` is set for them only), so that position effects
    can be seen instead of averaged. Time points stay apart (``settings.profile_group_by``), and so do wells of plates
    that are normalised to controls and to themselves, unless ``settings.mix_references``; ``Metadata_Normalized_To`` says
    what a row is relative to. Wells without treatment are left out and counted; where no well has one, every well
    position is a treatment. ``counted`` names further columns of counts, and the columns whose distinct values they count.
    ``engine_wells`` are the same wells for an engine, which then combines them by median or mean, unless two wells
    have one name.

    Raises
    ------
    ProfilingError
        When there is no well or no feature.
    """
    stored = as_stored(wells)
    features = list_profile_features(stored.schema)
    if not features or stored.row_count == 0:
        raise ProfilingError("There are no well profiles to build a consensus of.")
    frame = read_metadata(stored)
    groups = find_well_groups(frame, settings)
    treatments = build_treatments(frame, settings, groups.columns)
    mixed = _consensus_references(frame, groups)
    chosen, by_well, odd = _choose_wells(treatments, settings)
    names = None if engine_wells is None or operation not in _BY_FEATURE else _name_wells(stored, groups)
    position = frame[_WELL] if _WELL in frame else frame["well_id"]
    # The well is a key of controls only: None joins the wells of a treatment.
    frame = frame.assign(**{_WELL: position.where(by_well, None)}).loc[chosen]
    keys = _consensus_keys(frame, treatments, groups, settings)
    counts, texts = _count_groups(frame, keys, counted)
    if engine_wells is not None and names is not None:
        numbers = frame.groupby(keys, dropna=False).ngroup().to_numpy()
        values = combine_groups(engine_wells, names.filter(pa.array(chosen)), numbers, features, operation)
        computed_by = {"computed_by": engine_wells.engine.version}
        merged = counts.reset_index()
    else:
        merged, values = _combine(stored, chosen, frame[keys].reset_index(drop=True), counts, operation)
        computed_by = {}
    table = _build_table(stored.schema, merged, counts, texts, values)
    control_count = len(table) - table[_WELL].null_count
    report = ConsensusReport(
        stored.row_count,
        int((~chosen).sum()),
        table.num_rows - control_count,
        control_count,
        treatments.columns,
        operation,
        (*groups.findings, *mixed, *odd),
        groups.strata,
        groups.references,
        (_consensus_call(keys, features, operation, len(frame), computed_by),),
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


def _consensus_call(
    keys: list[str], features: list[str], operation: str, row_count: int, computed_by: Mapping[str, str]
) -> LibraryCall:
    rule = "number columns of this table that are neither keys nor Metadata_*"
    arguments: dict[str, object] = {
        "replicate_columns": keys,
        "operation": operation,
        "features": describe_features(features, rule),
    }
    rows = f"pycytominer_selected_features with a treatment; {_WELL} is set for controls only"
    notes = {"rows": rows, "row_count": row_count, **computed_by}
    return LibraryCall("pycytominer.consensus", arguments, notes)


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


def _name_wells(wells: StoredWells, groups: WellGroups) -> pa.Table | None:
    """Columns that tell all wells apart; None where they do not."""
    well = next((name for name in ("well_id", _WELL) if name in wells.schema.names), None)
    if well is None or "plate_key" not in wells.schema.names:
        return None
    names = wells.read(list(dict.fromkeys(["plate_key", well, *groups.strata])))
    return names if are_told_apart(names) else None


def _combine(
    wells: StoredWells, chosen: np.ndarray, keys: pd.DataFrame, counts: pd.DataFrame, operation: str
) -> tuple[pd.DataFrame, dict[str, pa.Array]]:
    """Keys and counts of each group, and its profile, by pycytominer; ``keys`` are those of the chosen wells."""
    features = list_profile_features(wells.schema)
    merged: pd.DataFrame | None = None
    values: dict[str, pa.Array] = {}
    names_of_keys = list(keys.columns)
    for names in block_columns(wells, features) if operation in _BY_FEATURE else [features]:
        block = wells.read(names).filter(pa.array(chosen)).to_pandas()
        given = pd.concat([keys, block], axis="columns")
        del block
        profiles = pd.DataFrame(
            consensus(given, replicate_columns=names_of_keys, operation=operation, features=names)
        )
        del given
        if merged is None:
            # pycytominer's consensus keeps no counts.
            merged = profiles[names_of_keys].merge(counts.reset_index(), on=names_of_keys, how="left")
        values |= {name: pa.array(profiles[name], pa.float64(), from_pandas=True) for name in names}
    assert merged is not None, "there is a feature"
    return merged, values


def _build_table(
    schema: pa.Schema,
    merged: pd.DataFrame,
    counts: pd.DataFrame,
    texts: Sequence[str],
    values: Mapping[str, pa.Array],
) -> pa.Table:
    """One row per combination of keys."""
    columns: dict[str, pa.Array] = {}
    for name in texts:
        # As stored: a column of nulls has no type of its own, and the datasets of a root share one table.
        is_number = name in schema.names and pa.types.is_floating(schema.field(name).type)
        columns[name] = pa.array(merged[name], pa.float64() if is_number else pa.string(), from_pandas=True)
    for name in counts.columns:
        if name not in texts:
            columns[name] = pa.array(merged[name], pa.int64(), from_pandas=True)
    return pa.table(columns | dict(values))


def _count_groups(
    frame: pd.DataFrame, keys: list[str], counted: Mapping[str, str]
) -> tuple[pd.DataFrame, list[str]]:
    """Wells, plates and cells of each combination of keys; columns of it and of the keys that are no counts."""
    # pandas drops groups with a null key by default; a control has nulls in the treatment's columns.
    grouped = frame.groupby(keys, dropna=False)
    counts = grouped.size().rename(REPLICATE_COUNT).to_frame()
    counts[PLATE_COUNT] = grouped["plate_key"].nunique() if "plate_key" in frame else 1
    for name, column in counted.items():
        counts[name] = grouped[column].nunique()
    if OBJECT_COUNT in frame:
        counts[OBJECT_COUNT] = grouped[OBJECT_COUNT].sum()
    if NORMALIZED_TO not in frame or NORMALIZED_TO in keys:
        return counts, list(keys)
    counts[NORMALIZED_TO] = _name_references(frame, keys)
    return counts, [*keys, NORMALIZED_TO]


def _name_references(frame: pd.DataFrame, keys: list[str]) -> pd.Series:
    """What each row of several wells is relative to."""
    grouped = frame.groupby(keys, dropna=False)[NORMALIZED_TO]
    # nunique and first leave nulls out, too, and call no function per group: a campaign has a hundred thousand.
    return grouped.first().where(grouped.nunique() < 2, MIXED)
