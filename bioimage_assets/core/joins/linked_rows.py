"""Chosen columns of a join's rows, read before the whole join is: what a proof by pixels looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from bioimage_assets.core.joins.joined_columns import OutputPlan, build_output
from bioimage_assets.core.joins.matcher import Matcher
from bioimage_assets.core.joins.sources import ProfileSource


class LinkedRows:
    """Joined rows as a source of profiles; only the columns that are asked for, and the keys, are read."""

    is_rereadable = True

    def __init__(self, source: ProfileSource, matcher: Matcher, output: OutputPlan) -> None:
        self.schema = output.schema
        self._source, self._matcher, self._output = source, matcher, output

    def batches(self, positions: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
        """Batches of the columns at ascending ``positions`` (None: all), in row order."""
        wanted = range(len(self.schema)) if positions is None else positions
        count, whole = len(self._output.leading), self._output
        leading, others = [p for p in wanted if p < count], [p for p in wanted if p >= count]
        kept = [whole.profile_positions[p - count] for p in others]
        own = () if whole.profile_plate_key is None else (whole.profile_plate_key,)
        read = sorted({*kept, *self._matcher.read_positions, *own})
        place = {position: number for number, position in enumerate(read)}
        plan = replace(
            whole,
            schema=pa.schema([self.schema.field(p) for p in (*range(count), *others)]),
            profile_positions=tuple(place[position] for position in kept),
            profile_plate_key=place[own[0]] if own else None,
        )
        schema = pa.schema([self.schema.field(p) for p in wanted])
        for batch in self._source.batches(read):
            keys = {position: batch.column(place[position]) for position in self._matcher.read_positions}
            match = self._matcher.match(keys, batch.num_rows, is_counted=False)
            joined = build_output(plan, batch, match, keep_unmatched=True)
            columns = [*(joined.column(p) for p in leading), *joined.columns[count:]]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
