"""Average precision of replicates among controls by copairs, the field's library for it, some treatments at a time.

https://github.com/cytomining/copairs. The library builds all pairs at once and rounds similarities to 32 bits; the built-in
ranking (``profiling.activity``) needs neither. Both give the same numbers unless two similarities differ by less than that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

import duckdb
import numpy as np
import pandas as pd

from bioimage_assets.core.extras import build_missing
from bioimage_assets.core.profiling.activity import Ranking, rank_strata
from bioimage_assets.core.profiling.profile_rows import ProfileRows
from bioimage_assets.core.profiling.replicate_wells import Replicates
from bioimage_assets.core.settings.dataset import AveragePrecision

BUILT_IN = "built in"
MAX_CONTROLS = 2_000  # copairs looks at all pairs of rows: of more controls, ranking is built in
_MAX_ROWS = 4_000  # wells and controls of one call: sixteen million pairs are looked at

_POSITIVE = {"pos_sameby": ["treatment"], "pos_diffby": ["position"]}
_NEGATIVE = {"neg_sameby": [], "neg_diffby": ["treatment", "reference"]}
CALL = "copairs.map.average_precision"
ARGUMENTS = {**_POSITIVE, **_NEGATIVE, "distance": "cosine"}


def choose_ranking(wanted: AveragePrecision, most_controls: int) -> tuple[Ranking, str]:
    """The ranking that the settings ask for, and its name; ``most_controls`` is the size of the largest stratum.

    Raises
    ------
    MissingExtraError
        copairs is asked for and not installed.
    """
    try:
        installed = version("copairs")
    except PackageNotFoundError as error:
        if wanted != "copairs":
            return rank_strata, BUILT_IN
        instead = 'Or write average_precision = "built_in" for the same numbers.'
        raise build_missing('[hits] average_precision = "copairs"', "hits", error, instead) from error
    if wanted == "built_in" or (wanted == "auto" and most_controls > MAX_CONTROLS):
        return rank_strata, BUILT_IN
    return rank_by_copairs, f"copairs {installed}"


def rank_by_copairs(
    profiles: ProfileRows,
    groups: Mapping[str, Replicates],
    controls: Mapping[int, np.ndarray],
    strata: Mapping[str, int],
) -> dict[str, np.ndarray]:
    """Average precision of each well of each treatment; see :func:`rank_strata`."""
    members: dict[int, dict[str, Replicates]] = {}
    for label, group in groups.items():
        members.setdefault(strata[label], {})[label] = group
    found: dict[str, np.ndarray] = {}
    for stratum, treatments in members.items():
        for block in _cut(treatments, max(1, _MAX_ROWS - controls[stratum].size)):
            found |= _rank_block(profiles, block, controls[stratum])
    return found


def _cut(groups: Mapping[str, Replicates], limit: int) -> Iterator[dict[str, Replicates]]:
    block: dict[str, Replicates] = {}
    for label, group in groups.items():
        if block and sum(one.rows.size for one in block.values()) + group.rows.size > limit:
            yield block
            block = {}
        block[label] = group
    if block:
        yield block


def _rank_block(
    profiles: ProfileRows, groups: Mapping[str, Replicates], controls: np.ndarray
) -> dict[str, np.ndarray]:
    from copairs.map import average_precision

    rows = np.concatenate([*(group.rows for group in groups.values()), controls])
    try:
        table = average_precision(
            _describe_rows(groups, controls.size), profiles.values[rows], **ARGUMENTS, progress_bar=False
        )
    except duckdb.OutOfMemoryException as error:
        raise MemoryError(f"copairs: {error}") from error
    except RuntimeError as error:
        # Python's word for a thread that gets no memory for its stack.
        if "start new thread" not in str(error):
            raise
        raise MemoryError(f"copairs: {error}") from error
    values = table["average_precision"].to_numpy(np.float64)
    found, start = {}, 0
    for label, group in groups.items():
        found[label] = values[start : start + group.rows.size]
        start += group.rows.size
    return found


def _describe_rows(groups: Mapping[str, Replicates], control_count: int) -> pd.DataFrame:
    """What copairs makes pairs by: controls share a treatment and are told apart by ``reference``, so that they are no replicates."""
    sizes = [group.rows.size for group in groups.values()]
    total = sum(sizes)
    number = np.arange(total + control_count)
    positions = np.concatenate([*(_positions(group) for group in groups.values()), np.arange(control_count)])
    return pd.DataFrame(
        {
            "treatment": np.concatenate(
                [np.repeat(np.arange(len(sizes)), sizes), np.full(control_count, -1)]
            ),
            # Controls are replicates of nothing, each other included: a treatment of one position has no pairs.
            "position": np.where(number < total, positions, -1),
            "reference": np.where(number < total, -1, number),
        }
    )


def _positions(group: Replicates) -> np.ndarray:
    """Wells at one position are no pair, unless all of a treatment's are."""
    return group.places if group.is_spread else np.arange(group.rows.size)
