"""The well id from two columns of a table, row and column.

Opera Phenix, Columbus and many LoadData files have no well column. Rows are letters or numbers; numbers count
from one, as in ``r01c01``.
"""

from __future__ import annotations

from collections.abc import Sequence

from bioimage_assets.core.model.identity import normalize_well

_STEMS = (("row", ("row", "wellrow", "well_row")), ("column", ("column", "col", "wellcolumn", "wellcol", "well_column", "well_col")))  # fmt: skip
_PREFIXES = ("metadata_", "image_metadata_")


def find_well_columns(names: Sequence[str], *, with_bare: bool = False) -> tuple[str, str] | None:
    """Names of the columns that hold the row and the column of the well, None unless both are there.

    ``with_bare`` takes ``Row`` and ``Column`` without the prefix ``Metadata_``, too: the caller knows that they
    are not pixels.
    """
    by_case = {name.strip().lower(): name for name in reversed(names)}
    for prefix in (*_PREFIXES, *([""] if with_bare else [])):
        found = [
            next((by_case[prefix + stem] for stem in stems if prefix + stem in by_case), None)
            for _, stems in _STEMS
        ]
        if found[0] is not None and found[1] is not None:
            return found[0], found[1]
    return None


def join_well(row: str | None, column: str | None) -> str | None:
    """Well id of a row (letters or a number from one) and a column number; None where they name no well.

    >>> join_well("B", "3"), join_well("2", "03.0"), join_well("0", "1")
    ('B03', 'B03', None)
    """
    if row is None or column is None:
        return None
    row, column = (text.strip().removesuffix(".0") for text in (row, column))
    return normalize_well(f"{row},{column}") if row.isdecimal() else normalize_well(f"{row}{column}")
