"""What the run of this process is doing, for whoever listens: the step that began, and rows as they stream through it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bioimage_assets.core.model.step_spec import Dimension

EVERY_S = 1.0  # rows are told no oftener


@dataclass(frozen=True)
class StepProgress:
    """Step ``number`` of ``count`` of a run; ``rows`` have streamed through it, ``rows_per_s`` since it began."""

    step: str
    number: int
    count: int
    rows: int = 0
    rows_per_s: float = 0.0

    def __str__(self) -> str:
        streamed = f", {self.rows:,} cells, {self.rows_per_s:,.0f}/s" if self.rows else ""
        return f"step {self.number} of {self.count}, {self.step}{streamed}"


_DIMENSIONS: dict[str, Dimension] = {"dataset_pipeline": "dataset", "campaign_pipeline": "campaign"}
Listener = Callable[[StepProgress], None]


class _Heard:
    """The listener of this process and the step that is under way."""

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.count = self.number = self.rows = 0
        self.step = ""
        self.began_s = self.told_s = 0.0

    def tell(self) -> None:
        self.told_s = time.monotonic()
        passed = max(self.told_s - self.began_s, 1e-3)
        if self.listener is not None:
            self.listener(StepProgress(self.step, self.number, self.count, self.rows, self.rows / passed))


_HEARD = _Heard()


@contextmanager
def listen(listener: Listener, job_name: str, selection: Sequence[str]) -> Iterator[None]:
    """Hear about one run of a job in this process."""
    from bioimage_assets.core.model.left_out import list_buildable

    steps = list_buildable(_DIMENSIONS.get(job_name, "plate"))
    _HEARD.count = sum(not selection or not set(selection).isdisjoint(step.names) for step in steps)
    _HEARD.number, _HEARD.listener = 0, listener
    try:
        yield
    finally:
        _HEARD.listener = None


def tell_step(step: str) -> None:
    """A step begins."""
    if _HEARD.listener is not None:
        _HEARD.number += 1
        _HEARD.step, _HEARD.rows, _HEARD.began_s = step, 0, time.monotonic()
        _HEARD.tell()


def count_rows(data: Any) -> Any:
    """The same rows, counted as they stream; anything but a stream, and everything where nobody listens, as it is."""
    import pyarrow as pa

    if _HEARD.listener is None or not isinstance(data, pa.RecordBatchReader):
        return data

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in data:
            _HEARD.rows += batch.num_rows
            if time.monotonic() - _HEARD.told_s >= EVERY_S:
                _HEARD.tell()
            yield batch

    return pa.RecordBatchReader.from_batches(data.schema, batches())
