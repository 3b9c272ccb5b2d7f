"""Turns the box columns of many profile rows into square windows of pixels, all rows of a batch at once.

The same rules as ``core.pixels.boxes`` has for one row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.pixels.boxes import DEFAULT_BOX_SIZE_PX, BoxColumns

# Further from the corner than any image reaches: such numbers are no places.
_MAX_PIXEL = 2**30


@dataclass(frozen=True, slots=True)
class Windows:
    """Of each row: the corner of its window, its own box (y start, y stop, x start, x stop), and whether it has a place.

    ``has_box`` is false throughout where the profiles know a centre only. Numbers of rows without a place mean nothing.
    """

    y_start: npt.NDArray[np.int32]
    x_start: npt.NDArray[np.int32]
    box: npt.NDArray[np.int32]
    is_placed: npt.NDArray[np.bool_]
    has_box: bool


def read_windows(batch: pa.RecordBatch | pa.Table, columns: BoxColumns, size_px: int) -> Windows:
    """Squares of ``size_px`` around the middle of each row's box, or around its centre."""
    numbers = np.stack([_read_numbers(batch[name]) for name in columns.names])
    with np.errstate(invalid="ignore"):
        is_placed = np.asarray((np.abs(numbers) < _MAX_PIXEL).all(axis=0))  # a NaN is not
    numbers = np.where(is_placed, numbers, 0.0)
    if columns.is_center:
        start = np.floor(numbers + 0.5 - DEFAULT_BOX_SIZE_PX / 2)
        box = np.stack([start[0], start[0], start[1], start[1]])
        box[1::2] += DEFAULT_BOX_SIZE_PX
    else:
        y_min, x_min, y_max, x_max = numbers
        box = np.stack([np.floor(y_min), np.ceil(y_max), np.floor(x_min), np.ceil(x_max)])
    whole = box.astype(np.int64)
    y, x = ((whole[first] + whole[first + 1]) // 2 - size_px // 2 for first in (0, 2))
    return Windows(
        y.astype(np.int32), x.astype(np.int32), whole.T.astype(np.int32), is_placed, not columns.is_center
    )


def _read_numbers(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return np.full(len(column), np.nan)
    found = pc.cast(column, pa.float64(), safe=False)
    return np.asarray(
        found.to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else found.to_numpy()
    )
