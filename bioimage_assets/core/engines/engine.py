"""What an engine can do; everything else is the same for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from bioimage_assets.core.engines.plan import Measure, Rows, Scaled

# Float64 bytes of the values that an engine is given at once where it has to hold them all.
DEFAULT_MEMORY_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Products:
    """Sums over rows of pairs of columns, after ``centers`` were taken off; a missing value counts as nothing.

    ``counts`` are rows with a value in both, ``sums`` and ``squares`` of the first column of a pair over those rows.
    """

    products: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray


class Engine(Protocol):
    """Reads a table as it is stored and reduces it."""

    @property
    def name(self) -> str:
        """Name of the setting."""
        ...

    @property
    def version(self) -> str:
        """What computes, with its version, for the record."""
        ...

    @property
    def memory_bytes(self) -> int:
        """How many bytes of values a reduction that needs all of a group may hold."""
        ...

    @property
    def batch_rows(self) -> int:
        """How many rows of whole plates are reduced fastest at once, where plates can be taken one after the other."""
        ...

    def group(self, rows: Rows, keys: Sequence[str], measures: Sequence[Measure]) -> pa.Table:
        """One row per combination of keys, in any order; null is a key, too. Without keys one row."""
        ...

    def collect(self, rows: Rows, columns: Sequence[str], scaled: Sequence[Scaled] = ()) -> pa.Table:
        """Rows in memory, in stored order whatever the columns: these as they are, then scaled ones."""
        ...

    def products(self, rows: Rows, columns: Sequence[str], centers: np.ndarray) -> Products:
        """Sums of products of all pairs of columns."""
        ...
