"""The conditions of quality control and their features, as the names of stored columns tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_PREFIX, _FLAG, _SCORE = "Metadata_cqc_", "_is_outlier", "_zscore"


@dataclass(frozen=True, slots=True)
class StoredCondition:
    """One condition: its name, the column of its flag, and the column of the z-score of each of its features."""

    name: str
    flag: str
    scores: dict[str, str]


def list_conditions(columns: Sequence[str]) -> tuple[StoredCondition, ...]:
    """Conditions in stored order.

    >>> [found] = list_conditions(["Metadata_cqc_large_is_outlier", "Metadata_cqc_large_Nuclei_AreaShape_Area_zscore"])
    >>> found.name, list(found.scores)
    ('large', ['Nuclei_AreaShape_Area'])
    """
    names = [
        column.removeprefix(_PREFIX).removesuffix(_FLAG)
        for column in columns
        if column.startswith(_PREFIX) and column.endswith(_FLAG)
    ]
    scores: dict[str, dict[str, str]] = {name: {} for name in names}
    for column in columns:
        if not (column.startswith(_PREFIX) and column.endswith(_SCORE)):
            continue
        text = column.removeprefix(_PREFIX).removesuffix(_SCORE)
        # A condition's name may begin another's.
        owner = max((name for name in names if text.startswith(f"{name}_")), key=len, default=None)
        if owner is not None:
            scores[owner][text.removeprefix(f"{owner}_")] = column
    return tuple(StoredCondition(name, f"{_PREFIX}{name}{_FLAG}", scores[name]) for name in names)
