"""Chunks that lie behind a link that was not followed: nobody looked, so they are neither present nor absent."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.stores.links import RefusedLinks


class RefusedChunks:
    """Makes presence null in rows that are absent from arrays whose listing left out a link."""

    def __init__(self, links: RefusedLinks) -> None:
        self._links = links
        self._seen: set[str] = set()
        self._arrays: set[str] = set()

    def clear(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with presence only where it is known; the arrays of the batch were listed before."""
        if not self._links.count:
            return batch
        self._collect()
        paths = batch["array_path"].unique().to_pylist()
        touched = [path for path in paths if (path or "") in self._arrays]
        if not touched:
            return batch
        is_touched = pc.is_in(batch["array_path"], pa.array(touched, pa.string()))
        unknown = pc.and_(is_touched, pc.invert(pc.fill_null(batch["is_present"], True)))
        column = batch.schema.get_field_index("is_present")
        cleared = pc.if_else(unknown, pa.scalar(None, pa.bool_()), batch["is_present"])
        return batch.set_column(column, batch.schema.field(column), cleared)

    def _collect(self) -> None:
        """Every folder above a link; that of an array among them."""
        for folder in self._links.folders - self._seen:
            self._seen.add(folder)
            while folder not in self._arrays:
                self._arrays.add(folder)
                folder = folder.rpartition("/")[0]
