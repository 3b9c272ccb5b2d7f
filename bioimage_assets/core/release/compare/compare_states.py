"""Two states of tables in; everything that differs between them out: the order of rows, files and their layout are no difference."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from bioimage_assets.core.errors import MissingTableError, UsageError
from bioimage_assets.core.model.identity import is_partition_key
from bioimage_assets.core.model.table_specs import TABLES
from bioimage_assets.core.near_names import suggest_name, suggest_plate
from bioimage_assets.core.release.compare.compare_partition import (
    PartitionResult,
    TwoPartitions,
    compare_partition,
)
from bioimage_assets.core.release.compare.diff_model import ColumnDiff, PartitionDiff, StateDiff, TableDiff
from bioimage_assets.core.release.compare.partition_rows import PartitionRows
from bioimage_assets.core.release.compare.renamed_plates import find_renamed
from bioimage_assets.core.release.compare.state import ComparedState, ComparedTable
from bioimage_assets.core.storage.step_keys import partition_of
from bioimage_assets.core.warehouse.manifest.layout import WHOLE_TABLE

# Ids that tell an object whatever the table; a table's own come first.
_OBJECT_IDS = (("Metadata_ObjectID",),)


@dataclass(frozen=True, slots=True)
class DiffOptions:
    """``tables`` and ``partitions`` limit what is compared, None: everything. ``max_bytes`` bounds the values that are read at once.

    ``ignored`` are columns that do not matter, whatever table has them: addresses of images, where a project was moved.
    ``read_all`` reads partitions, too, whose files are the same in both states by the digests that their manifests have.
    """

    tables: Collection[str] | None = None
    partitions: Collection[str] | None = None
    max_bytes: int = 128 << 20
    read_all: bool = False
    ignored: Collection[str] = ()


def compare_states(a: ComparedState, b: ComparedState, options: DiffOptions | None = None) -> StateDiff:
    """Compare all tables of two states.

    A table of the catalog and one of a warehouse root are one table where a state has only one of them. Partitions whose files
    are the same in both, by their digests, are not read.

    Raises
    ------
    MissingTableError
        A table was asked for that neither state has.
    UsageError
        A plate, dataset or campaign was asked for that neither state has.
    """
    chosen = options or DiffOptions()
    if chosen.tables is not None:
        _need_tables(chosen.tables, a, b)
    if chosen.partitions is not None:
        _need_partitions(chosen.partitions, a, b)
    pairs = [_limit(pair, chosen) for pair in _pair_tables(a, b) if _is_wanted(pair, chosen)]
    both = [(pair.a, pair.b) for pair in pairs if pair.a is not None and pair.b is not None]
    renamed = find_renamed(both, chosen.max_bytes)
    tables = tuple(_compare_pair(pair, renamed, chosen) for pair in pairs)
    return StateDiff(
        a.label,
        b.label,
        tables,
        renamed=renamed,
        recorded=tuple(_compare_records(a, b)),
        notes=tuple(_list_notes(tables)),
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """The same table in both states, or in one."""

    name: str
    a: ComparedTable | None
    b: ComparedTable | None

    @property
    def home(self) -> str:
        """Where it is kept, in A first where the states differ."""
        homes = dict.fromkeys(table.home for table in (self.a, self.b) if table is not None)
        return ", ".join(homes)


def _pair_tables(a: ComparedState, b: ComparedState) -> Iterator[_Pair]:
    rest_a, rest_b = dict(a.tables), dict(b.tables)
    found = [_Pair(key[1], rest_a.pop(key), rest_b.pop(key)) for key in list(rest_a) if key in rest_b]
    for key in list(rest_a):
        # A root that was made of a project has its catalog's tables, too.
        other = next((each for each in rest_b if each[1] == key[1]), None)
        found.append(_Pair(key[1], rest_a.pop(key), rest_b.pop(other) if other is not None else None))
    found += [_Pair(key[1], None, table) for key, table in rest_b.items()]
    yield from sorted(found, key=lambda pair: (pair.name, pair.home))


def _is_wanted(pair: _Pair, options: DiffOptions) -> bool:
    return options.tables is None or pair.name in options.tables


def _need_tables(names: Collection[str], a: ComparedState, b: ComparedState) -> None:
    known = {name for state in (a, b) for _, name in state.tables}
    missing = sorted({*names} - known)
    if missing:
        raise MissingTableError(
            f"Neither state has a table {missing[0]!r}.{suggest_name(missing[0], sorted(known))}"
        )


def _need_partitions(keys: Collection[str], a: ComparedState, b: ComparedState) -> None:
    parts = [key for state in (a, b) for table in state.tables.values() for key in table.partitions]
    known = sorted({*map(partition_of, parts)} - {WHOLE_TABLE})
    missing = sorted({*keys} - {*known})
    if missing:
        near = suggest_plate(missing[0], [key for key in known if is_partition_key(key)])
        raise UsageError(f"Neither state has a plate, dataset or campaign {missing[0]!r}.{near}")


def _limit(pair: _Pair, options: DiffOptions) -> _Pair:
    """Only the partitions that are asked for."""
    if options.partitions is None:
        return pair
    wanted = set(options.partitions)

    def cut(table: ComparedTable | None) -> ComparedTable | None:
        if table is None or WHOLE_TABLE in table.partitions:
            return table
        kept = {key: part for key, part in table.partitions.items() if partition_of(key) in wanted}
        return replace(table, partitions=kept)

    return _Pair(pair.name, cut(pair.a), cut(pair.b))


def _compare_pair(pair: _Pair, renamed: Mapping[str, str], options: DiffOptions) -> TableDiff:
    if pair.a is None or pair.b is None:
        there = pair.a or pair.b
        assert there is not None
        rows = (there.row_count, 0) if pair.a is not None else (0, there.row_count)
        return TableDiff(pair.name, pair.home, "only_a" if pair.a is not None else "only_b", *rows)
    a, b = pair.a, pair.b
    if WHOLE_TABLE in a.partitions or WHOLE_TABLE in b.partitions:
        return _compare_whole(pair, a, b, options)
    moved = dict(_list_renamed(a, b, renamed))
    # A partition without a row holds what one that is not there holds: a catalog keeps none, a warehouse does.
    lost = [key for key in _with_rows(a) if key not in b.partitions and key not in moved]
    added = [key for key in _with_rows(b) if key not in a.partitions and key not in moved.values()]
    common = [key for key in a.partitions if key in b.partitions]
    return _collect(
        TableDiff(pair.name, pair.home, "both", a.row_count, b.row_count, tuple(lost), tuple(added), moved),
        (_compare_keys(a, b, key, options) for key in common if options.read_all or not _is_same(a, b, key)),
    )


def _with_rows(table: ComparedTable) -> list[str]:
    return [key for key, part in table.partitions.items() if part.row_count]


def _list_renamed(
    a: ComparedTable, b: ComparedTable, renamed: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Partitions of renamed plates; tables of steps name the plate and then the step."""
    for key in a.partitions:
        for old, new in renamed.items():
            moved = new + key[len(old) :]
            is_its = key == old or (key.startswith(old) and not key[len(old)].isalnum())
            if is_its and key not in b.partitions and moved in b.partitions and moved not in a.partitions:
                yield key, moved


def _is_same(a: ComparedTable, b: ComparedTable, key: str) -> bool:
    token = a.partitions[key].token
    return token is not None and token == b.partitions[key].token


def _compare_whole(pair: _Pair, a: ComparedTable, b: ComparedTable, options: DiffOptions) -> TableDiff:
    """A table whose rows are in no partition, in one state at least, is compared as one."""
    diff = TableDiff(pair.name, pair.home, "both", a.row_count, b.row_count)
    return _collect(diff, [_compare_keys(a, b, None, options)])


def _compare_keys(
    a: ComparedTable, b: ComparedTable, key: str | None, options: DiffOptions
) -> PartitionResult:
    spec = TABLES.get(a.name)
    unique_by = (*((spec.unique_by,) if spec is not None and spec.unique_by else ()), *_OBJECT_IDS)
    rows_a, rows_b = (PartitionRows(table.open(key)) for table in (a, b))
    return compare_partition(
        TwoPartitions(
            key or WHOLE_TABLE, rows_a, rows_b, unique_by, options.max_bytes, frozenset(options.ignored)
        )
    )


def _collect(diff: TableDiff, results: Iterator[PartitionResult] | list[PartitionResult]) -> TableDiff:
    """Gather partitions, and columns over all partitions: what is kept grows with columns and partitions, not with both."""
    partitions: list[PartitionDiff] = []
    columns: dict[tuple[str, str, str | None, str | None], ColumnDiff] = {}
    for result in results:
        if result.partition is not None:
            partitions.append(result.partition)
        for column in result.columns:
            kind = (column.name, column.change, column.type_a, column.type_b)
            columns[kind] = _add(columns[kind], column) if kind in columns else column
    return replace(diff, partitions=tuple(partitions), columns=tuple(columns.values()))


def _add(a: ColumnDiff, b: ColumnDiff) -> ColumnDiff:
    is_larger = (b.max_abs or 0.0) > (a.max_abs or 0.0) or a.example is None
    return replace(
        a,
        partitions=a.partitions + b.partitions,
        changed=a.changed + b.changed,
        null_to_value=a.null_to_value + b.null_to_value,
        value_to_null=a.value_to_null + b.value_to_null,
        nan_changed=a.nan_changed + b.nan_changed,
        max_abs=_larger(a.max_abs, b.max_abs),
        max_relative=_larger(a.max_relative, b.max_relative),
        example=b.example if is_larger and b.example is not None else a.example,
    )


def _larger(a: float | None, b: float | None) -> float | None:
    return max((value for value in (a, b) if value is not None), default=None)


def _compare_records(a: ComparedState, b: ComparedState) -> Iterator[str]:
    """What two releases say of how they were made; nothing where one side is none."""
    if not (a.is_release and b.is_release):
        return
    for path in sorted({*a.settings, *b.settings}):
        if a.settings.get(path) != b.settings.get(path):
            where = "in both, with other text" if path in a.settings and path in b.settings else "only in "
            yield f"{path}: {where}{'' if where.startswith('in both') else 'A' if path in a.settings else 'B'}"
    for name in sorted({*a.software, *b.software}):
        if a.software.get(name) != b.software.get(name):
            yield f"{name}: {a.software.get(name, 'not known')} in A, {b.software.get(name, 'not known')} in B"


def _list_notes(tables: Collection[TableDiff]) -> Iterator[str]:
    for table in tables:
        names = [column.name for column in table.columns if not column.is_compared]
        if names:
            yield (
                f"{table.name}: values of {', '.join(sorted(set(names))[:5])} were not compared, their types cannot be equal."
            )
        if any(not part.row_key for part in table.partitions):
            yield (
                f"{table.name}: no columns tell its rows, so a row with a changed value is one lost and one added."
            )
