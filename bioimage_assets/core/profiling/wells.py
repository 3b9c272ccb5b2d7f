"""The well of every cell of a plate, from the image it was measured on and from the measurements.

Well spelling is that of ``core.model.identity.normalize_well``: ``C6`` and ``C06`` are one well, where a plain
join of raw names loses every cell.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.model.identity import normalize_well


def build_well_column(table: pa.Table) -> pa.ChunkedArray:
    """Give the normalised well of each row: ``well_id`` of the image, else ``Metadata_Well``; null where neither."""
    parts = [_normalized(table[name]) for name in ("well_id", "Metadata_Well") if name in table.column_names]
    if not parts:
        return pa.chunked_array([pa.nulls(table.num_rows, pa.string())])
    return parts[0] if len(parts) == 1 else pc.coalesce(*parts)


def count_well_conflicts(table: pa.Table) -> int:
    """Count rows whose image shows another well than their measurements say."""
    if "well_id" not in table.column_names or "Metadata_Well" not in table.column_names:
        return 0
    differs = pc.not_equal(_normalized(table["well_id"]), _normalized(table["Metadata_Well"]))
    return int(pc.sum(differs).as_py() or 0)


def _normalized(column: pa.ChunkedArray) -> pa.ChunkedArray:
    text = column.cast(pa.string()) if not pa.types.is_string(column.type) else column
    encoded = text.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    names = pa.array([normalize_well(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([names.take(encoded.indices)])


def well_sort_key(well: str | None) -> tuple[int, str, int]:
    """Order wells as a plate is read, row by row; ``AA01`` comes after ``Z48`` and names that are not wells last."""
    name = normalize_well(well)
    if name is None:
        # Rows have one letter or two.
        return (99, str(well), 0)
    return (len(name) - 2, name[:-2], int(name[-2:]))
