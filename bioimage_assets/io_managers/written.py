"""A marker for outputs that a batch has stored plate by plate, so that one bad plate costs no other."""

from dataclasses import dataclass


@dataclass(frozen=True)
class WrittenPlates:
    """Value of an asset whose partitions are stored already; IO managers only pass it on.

    A batch of plates is written by the asset itself through ``assets.publish``: an IO manager sees one
    value for the whole run and could only store all plates or none.
    """

    table_name: str
    row_count: int
