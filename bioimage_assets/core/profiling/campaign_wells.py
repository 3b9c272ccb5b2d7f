"""The wells of all plates of a campaign as they are stored, read by columns or plate by plate: nothing holds all of them."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from bioimage_assets.core.engines.aggregates import aggregate
from bioimage_assets.core.engines.engine import Engine
from bioimage_assets.core.engines.plan import Condition, HasValue, IsPositive, Measure, Rows
from bioimage_assets.core.engines.table_source import TableSource
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.profiling.dataset_wells import list_metadata
from bioimage_assets.core.profiling.features import list_profile_features
from bioimage_assets.core.profiling.profile_rows import ProfileRows
from bioimage_assets.core.profiling.result_columns import OBJECT_COUNT
from bioimage_assets.core.settings.campaign import CampaignSettings

# Columns that are set for the campaign; a platemap may have columns of nearly the same names.
DATASET, BATCH, SOURCE = "campaign_dataset", "campaign_batch", "campaign_source"
_WORDS = (DATASET, BATCH, SOURCE)
_BATCH_WELLS = 20_000  # read at once: some hundred megabytes of a wide table


@dataclass(frozen=True, slots=True)
class CampaignWells:
    """Wells that have a profile, with the campaign's words for each; every read gives the same rows in the same order."""

    engine: Engine
    source: TableSource
    campaign: CampaignSettings
    conditions: tuple[Condition, ...]
    schema: pa.Schema
    row_count: int

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of all wells."""
        found = list(self.read_parts(columns))
        return pa.concat_tables(found) if found else self._choose(columns).empty_table()

    def read_parts(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The same, some plates at a time."""
        asked = list(dict.fromkeys(["plate_key", *(name for name in columns if name not in _WORDS)]))
        for part in self._parts(asked):
            rows = self.engine.collect(Rows(part, self.conditions), asked)
            words = self._name(rows["plate_key"].to_pylist())
            chosen = {name: words[name] if name in _WORDS else rows[name] for name in columns}
            yield pa.table(chosen).cast(self._choose(columns))

    def _choose(self, columns: Sequence[str]) -> pa.Schema:
        return pa.schema([self.schema.field(name) for name in columns])

    def _parts(self, columns: Sequence[str]) -> Iterator[TableSource]:
        """Plates that store these columns alike are read together, the others one by one: rows keep the order of the plates."""
        for part in self.source.split(_BATCH_WELLS):
            yield from [part] if len(part.alike(columns)) < 2 else part.split(1)

    def _name(self, plate_keys: Sequence[str]) -> dict[str, pa.Array]:
        words = {
            DATASET: map(dataset_of, plate_keys),
            BATCH: map(self.campaign.batch_of, plate_keys),
            SOURCE: map(self.campaign.source_of, plate_keys),
        }
        return {name: pa.array(found, pa.string()) for name, found in words.items()}


def open_wells(
    engine: Engine, source: TableSource, campaign: CampaignSettings, features: Sequence[str]
) -> CampaignWells:
    """Wells with a passing cell and a value in any of these features, which are the only ones they keep.

    The dataset's id is left out: it is no key of a campaign.
    """
    others = {*list_profile_features(source.schema), "dataset_id", *_WORDS} - set(features)
    kept = [field for field in source.schema if field.name not in others]
    words = [pa.field(name, pa.string()) for name in _WORDS]
    counted = (IsPositive(OBJECT_COUNT),) if OBJECT_COUNT in source.schema.names else ()
    conditions = (*counted, HasValue(tuple(features)))
    measures = [Measure("rows", name="rows"), Measure("values", features[0], "values")]
    counts = aggregate(engine, Rows(source, conditions), [], measures)
    return CampaignWells(
        engine, source, campaign, conditions, pa.schema([*kept, *words]), int(counts["rows"][0].as_py())
    )


def spool_profiles(wells: CampaignWells, scratch: Path) -> tuple[pd.DataFrame, ProfileRows]:
    """What is known of every well, and their profiles as rows of numbers in a file of the scratch folder."""
    features, metadata = list_profile_features(wells.schema), list_metadata(wells)
    shape = (wells.row_count, len(features))
    values = spool_numbers(scratch / "campaign_wells.f64", shape)
    frames, start = [], 0
    for part in wells.read_parts([*metadata, *features]):
        for place, name in enumerate(features):
            values[start : start + part.num_rows, place] = part[name].to_numpy()
        frames.append(part.select(metadata))
        start += part.num_rows
    return pa.concat_tables(frames).to_pandas(), ProfileRows(values)


def spool_numbers(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers in a file; OSError where the disk has no room for all of them."""
    size = math.prod(shape) * np.dtype(np.float64).itemsize
    with path.open("w+b") as file:
        # Room is taken now: a disk that is full when a mapped page is written ends the process.
        os.posix_fallocate(file.fileno(), 0, size)
        mapped = mmap.mmap(file.fileno(), size)
    return np.frombuffer(mapped, np.float64).reshape(shape)
