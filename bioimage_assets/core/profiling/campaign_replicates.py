"""How alike the replicates of a treatment are within each batch of a campaign, across its batches, and across its sources.

Only pairs within one treatment are computed, treatment by treatment: memory is bounded by its wells, not by the wells squared. What
chance gives is drawn with a fixed seed from wells of different treatments that are spread over batches in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from bioimage_assets.core.profiling.campaign_wells import BATCH, SOURCE
from bioimage_assets.core.profiling.null_correlations import MAX_NULL_WELLS, NULL_PERCENTILE
from bioimage_assets.core.profiling.profile_rows import ProfileRows
from bioimage_assets.core.profiling.replicate_wells import SEED, draw_rows
from bioimage_assets.core.profiling.treatments import build_treatments
from bioimage_assets.core.profiling.well_groups import find_well_groups
from bioimage_assets.core.settings.campaign import CampaignSettings
from bioimage_assets.core.tables.schemas import CAMPAIGN_REPLICATES

WITHIN_BATCH, ACROSS_BATCHES, ACROSS_SOURCES = "within batch", "across batches", "across sources"
# Of a treatment with more wells (a positive control on every plate) as many are drawn: two million pairs.
MAX_WELLS = 2_000
NULL_DRAWS = 1_000  # per way in which wells are spread over batches


@dataclass(frozen=True, slots=True)
class _Group:
    """Wells of one treatment that are compared: row numbers, their sides (batches or sources) and their positions."""

    rows: np.ndarray
    sides: np.ndarray
    places: np.ndarray

    def take(self, side: int) -> _Group:
        chosen = self.sides == side
        return _Group(self.rows[chosen], self.sides[chosen], self.places[chosen])

    def spread(self) -> tuple[tuple[int, int], ...]:
        """How many wells lie on each side."""
        sides, counts = np.unique(self.sides, return_counts=True)
        return tuple((int(side), int(count)) for side, count in zip(sides, counts, strict=True))

    def correlate(self, profiles: ProfileRows, *, is_across: bool) -> np.ndarray:
        """Pearson correlation of each pair on one side, or of each pair across; at different positions where there are any.

        Wells at one position of the plate are alike for that reason, too.
        """
        rows = profiles.standard(self.rows)
        pairs = np.triu(np.ones((self.rows.size, self.rows.size), bool), k=1)
        if is_across:
            pairs &= self.sides[:, None] != self.sides[None, :]
        elsewhere = pairs & (self.places[:, None] != self.places[None, :])
        return np.asarray((rows @ rows.T)[elsewhere if elsewhere.any() else pairs])


class _Nulls:
    """Median correlations of wells of different treatments that are spread over sides as a treatment is."""

    def __init__(self, profiles: ProfileRows, groups: Mapping[str, np.ndarray], sides: np.ndarray) -> None:
        self._profiles, self._random = profiles, np.random.default_rng(SEED)
        self._rows: dict[int, dict[int, np.ndarray]] = {}
        for number, rows in enumerate(groups.values()):
            for side in np.unique(sides[rows]):
                self._rows.setdefault(int(side), {})[number] = rows[sides[rows] == side]
        self._limits: dict[tuple[object, ...], float | None] = {}

    def limit(self, spread: Sequence[tuple[int, int]], *, is_across: bool) -> float | None:
        """95th percentile of the median correlation that chance gives; None where there are too few treatments."""
        key = (is_across, *spread)
        if key not in self._limits:
            drawn = (self._draw(spread) for _ in range(NULL_DRAWS))
            medians = [self._median(*draw, is_across=is_across) for draw in drawn]
            found = [median for median in medians if median is not None]
            self._limits[key] = float(np.percentile(found, NULL_PERCENTILE)) if found else None
        return self._limits[key]

    def _draw(self, spread: Sequence[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        """One well of each of several treatments, as many on each side as the treatment has, and never more than the limit."""
        used: set[int] = set()
        rows: list[int] = []
        sides: list[int] = []
        share = max(1, MAX_NULL_WELLS // len(spread))
        for side, count in spread:
            known = self._rows[side]
            numbers = self._random.permutation(np.fromiter(known, dtype=np.int64, count=len(known)))
            fresh = [int(number) for number in numbers if number not in used][: min(count, share)]
            used.update(fresh)
            places = self._random.random(len(fresh))
            rows += [
                int(known[number][int(place * known[number].size)])
                for number, place in zip(fresh, places, strict=True)
            ]
            sides += [side] * len(fresh)
        return np.asarray(rows, dtype=np.int64), np.asarray(sides, dtype=np.int64)

    def _median(self, rows: np.ndarray, sides: np.ndarray, *, is_across: bool) -> float | None:
        if rows.size < 2:
            return None
        drawn = _Group(rows, sides, np.arange(rows.size))
        values = drawn.correlate(self._profiles, is_across=is_across)
        return float(np.median(values)) if values.size else None


def measure_campaign_replicates(
    campaign: CampaignSettings, wells: pd.DataFrame, profiles: ProfileRows
) -> pa.Table:
    """One row per treatment and batch, one across batches, and one across sources where the campaign names several.

    ``wells`` are the metadata of the rows of ``profiles``, with the columns of ``campaign_wells``. Treatments without a pair
    of a kind have no row of it.
    """
    treatments = build_treatments(wells, campaign, find_well_groups(wells, campaign).columns)
    groups = {label: draw_rows(rows, MAX_WELLS) for label, rows in treatments.groups().items()}
    places = pd.factorize(wells["Metadata_Well" if "Metadata_Well" in wells else "well_id"])[0]
    plates = pd.factorize(wells["plate_key"])[0]
    rows: list[dict[str, object]] = []
    for kind, column in ((WITHIN_BATCH, BATCH), (ACROSS_BATCHES, BATCH), (ACROSS_SOURCES, SOURCE)):
        sides, names = pd.factorize(wells[column])
        if kind != WITHIN_BATCH and len(names) < 2:
            continue
        nulls = _Nulls(profiles, groups, sides)
        is_across = kind != WITHIN_BATCH
        for label, members in groups.items():
            group = _Group(members, sides[members], places[members])
            for batch, part in [(None, group)] if is_across else _split(group, names):
                values = part.correlate(profiles, is_across=is_across)
                if values.size:
                    limit = nulls.limit(part.spread(), is_across=is_across)
                    rows.append(_describe(label, kind, batch, part, plates, values, limit))
    words = {"campaign_key": campaign.key, "campaign_id": campaign.name}
    return pa.Table.from_pylist([{**words, **row} for row in rows], schema=CAMPAIGN_REPLICATES)


def _split(group: _Group, names: Sequence[str]) -> Iterator[tuple[str, _Group]]:
    return ((str(names[side]), group.take(side)) for side in np.unique(group.sides))


def _describe(
    label: str,
    kind: str,
    batch: str | None,
    group: _Group,
    plates: np.ndarray,
    values: np.ndarray,
    limit: float | None,
) -> dict[str, object]:
    median = float(np.median(values))
    return {
        "treatment": label,
        "pairs": kind,
        "batch": batch,
        "well_count": int(group.rows.size),
        "plate_count": int(np.unique(plates[group.rows]).size),
        "pair_count": int(values.size),
        "replicate_correlation": median,
        "null_limit": limit,
        "is_replicating": None if limit is None else median > limit,
    }


@dataclass(frozen=True, slots=True)
class ReplicateSummary:
    """Treatments of one kind of pairs (of one batch, or across), and how many of them replicate."""

    pairs: str
    batch: str | None
    treatment_count: int
    percent_replicating: float | None
    median_correlation: float | None


def summarize_replicates(table: pa.Table) -> tuple[ReplicateSummary, ...]:
    """Percent replicating and the median replicate correlation per batch and across."""
    frame = table.to_pandas()
    found = []
    for (pairs, batch), part in frame.groupby(["pairs", "batch"], dropna=False, sort=False):
        known = part["is_replicating"].dropna().astype(bool)
        values = part["replicate_correlation"].dropna()
        found.append(
            ReplicateSummary(
                str(pairs),
                None if pd.isna(batch) else str(batch),
                len(part),
                100.0 * float(known.mean()) if len(known) else None,
                float(values.median()) if len(values) else None,
            )
        )
    return tuple(found)
