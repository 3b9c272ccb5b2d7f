"""Plates that only one state has in; those of them that are one plate under another name out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow.types as pt

from bioimage_assets.core.release.compare.partition_rows import PartitionRows, plan_columns
from bioimage_assets.core.release.compare.row_digests import add_column
from bioimage_assets.core.release.compare.state import ComparedTable

Signature = tuple[int, int]
TwoTables = tuple[ComparedTable, ComparedTable]


def find_renamed(tables: Iterable[TwoTables], max_bytes: int) -> dict[str, str]:
    """Key in A to key in B of partitions with the same measured values, row by row in any order.

    Told by the columns of floating-point numbers, which no name of a plate can change: in the table that has most of them the
    rows must be as good as unique, and no other table may contradict. Of several that would do none is taken.
    """
    found = sorted(_list_wide(tables), key=lambda pair: -pair[0])
    renamed: dict[str, str] = {}
    for _, a, b in found:
        lost = [key for key in a.partitions if key not in b.partitions and key not in renamed]
        taken = set(renamed.values())
        added = [key for key in b.partitions if key not in a.partitions and key not in taken]
        if not lost or not added:
            continue
        pairs = _match(_sign(a, lost, max_bytes, telling=True), _sign(b, added, max_bytes, telling=True))
        renamed |= {
            old: new
            for old, new in pairs.items()
            if all(_agree(x, y, old, new, max_bytes) for _, x, y in found if x is not a)
        }
    return renamed


def _list_wide(tables: Iterable[TwoTables]) -> Iterable[tuple[int, ComparedTable, ComparedTable]]:
    for a, b in tables:
        lost = next((key for key in a.partitions if key not in b.partitions), None)
        if lost is not None:
            count = len(_float_columns(PartitionRows(a.open(lost))))
            if count:
                yield count, a, b


def _float_columns(rows: PartitionRows) -> list[str]:
    return sorted(field.name for field in rows.schema if pt.is_floating(field.type))


def _match(a: Mapping[str, Signature], b: Mapping[str, Signature]) -> dict[str, str]:
    """Pairs of the same signature that are the only ones to have it."""
    by_signature: dict[Signature, list[str]] = {}
    for key, signature in b.items():
        by_signature.setdefault(signature, []).append(key)
    own = list(a.values())
    return {
        key: by_signature[signature][0]
        for key, signature in a.items()
        if own.count(signature) == 1 and len(by_signature.get(signature, ())) == 1
    }


def _agree(a: ComparedTable, b: ComparedTable, old: str, new: str, max_bytes: int) -> bool:
    """Whether another table has the same values of both, or neither."""
    if (old in a.partitions) != (new in b.partitions):
        return False
    return _sign(a, [old], max_bytes).get(old) == _sign(b, [new], max_bytes).get(new)


def _sign(
    table: ComparedTable, keys: Sequence[str], max_bytes: int, *, telling: bool = False
) -> dict[str, Signature]:
    """Number of rows, and a sum over their digests; with ``telling`` only of partitions whose rows differ among each other."""
    found: dict[str, Signature] = {}
    for key in keys:
        if key not in table.partitions:
            continue
        rows = PartitionRows(table.open(key))
        count, digests = rows.row_count, np.zeros(rows.row_count, np.uint64)
        for names in plan_columns(rows.schema, _float_columns(rows), count, max_bytes):
            read = rows.read(names)
            for name in names:
                digests = add_column(digests, read[name], name, rows.schema.field(name).type)
        if not telling or (count > 1 and 2 * len(np.unique(digests)) > count):
            found[key] = (count, int(digests.sum(dtype=np.uint64)))
    return found
