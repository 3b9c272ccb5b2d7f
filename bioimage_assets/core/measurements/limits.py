"""How much of a foreign file is believed before it is read; what exceeds a limit is refused with what to do.

Each limit is far beyond what tools write. Python callers raise one with ``read_measurements(limits=...)``.
"""

from __future__ import annotations

from dataclasses import dataclass

from bioimage_assets.core.text_files.dialect import MAX_COLUMNS


@dataclass(frozen=True, slots=True)
class MeasurementLimits:
    """Limits for the measurements of one plate.

    Parameters
    ----------
    max_columns
        Columns of one table. CellProfiler writes up to 10,000, embeddings have up to 8,192 numbers.
    max_cells_per_field
        Rows of one ``.npz``, which is one field of view; a whole slide has less than a million.
    max_array_bytes
        Unpacked bytes of one array of an ``.npz``: 200,000 cells with 2,560 numbers of four bytes.
    max_value_bytes
        One text or blob of a database, where CellProfiler stores numbers, names and paths.
    max_query_s
        Seconds that a database may work without giving a row: a view that never ends, or a sort of everything.
    """

    max_columns: int = MAX_COLUMNS
    max_cells_per_field: int = 1_000_000
    max_array_bytes: int = 2 << 30
    max_value_bytes: int = 16 << 20
    max_query_s: float = 600.0


DEFAULT_LIMITS = MeasurementLimits()
