"""Snapshots of a table by id, time or tag: list them, name one as a release, go back to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from bioimage_assets.core.catalog.retry import call_with_retry, catalog_errors
from bioimage_assets.core.catalog.session import list_leaf_names, parse_identifier, parse_namespace
from bioimage_assets.core.errors import MissingTableError, UsageError


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """One snapshot: when it was committed, what it did, and the properties its writer gave it."""

    snapshot_id: int
    committed_at: datetime
    operation: str
    row_count: int | None
    tags: tuple[str, ...]
    properties: Mapping[str, str]


def resolve_snapshot(table: Table, as_of: int | str | datetime | None) -> int | None:
    """Snapshot id that ``as_of`` means; None for the newest state.

    An integer is a snapshot id, text is a tag (or branch), else a snapshot id, else an ISO time. Times
    without a zone are UTC. UsageError where nothing matches, with what there is.
    """
    if as_of is None:
        return None
    if isinstance(as_of, str) and as_of in table.refs():
        # A tag first: a release may be called 2024, which is also a number.
        return table.refs()[as_of].snapshot_id
    if isinstance(as_of, str) and as_of.isdecimal():
        as_of = int(as_of)
    if isinstance(as_of, int):
        if table.snapshot_by_id(as_of) is None:
            raise UsageError(f"Table {_name(table)} has no snapshot {as_of}{_known(table)}")
        return as_of
    when = _parse_time(table, as_of) if isinstance(as_of, str) else as_of
    moment = when if when.tzinfo else when.replace(tzinfo=UTC)
    # Iceberg's times are whole milliseconds.
    snapshot = table.snapshot_as_of_timestamp(round(moment.timestamp() * 1000))
    if snapshot is None:
        raise UsageError(f"Table {_name(table)} had no snapshot yet at {moment.isoformat()}{_known(table)}")
    return snapshot.snapshot_id


def _parse_time(table: Table, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is neither a tag of {_name(table)} nor a snapshot id nor an ISO time{_known(table)}"
        ) from error


def _name(table: Table) -> str:
    return ".".join(table.name())


def _known(table: Table) -> str:
    tags = sorted(name for name in table.refs() if name != "main")
    first = table.history()[0].timestamp_ms / 1000 if table.history() else None
    since = f" since {datetime.fromtimestamp(first, UTC).isoformat()}" if first is not None else ""
    return f"; it has {len(table.snapshots())} snapshot(s){since}, tags: {', '.join(tags) or 'none'}."


def list_snapshots(catalog: Catalog, identifier: str | Sequence[str]) -> tuple[SnapshotRecord, ...]:
    """All snapshots that still exist, oldest first."""
    parts = parse_identifier(identifier)
    with catalog_errors(f"Listing the snapshots of {'.'.join(parts)}"):
        table = catalog.load_table(parts)
    names: dict[int, list[str]] = {}
    for name, ref in table.refs().items():
        if name != "main":
            names.setdefault(ref.snapshot_id, []).append(name)
    records = []
    for snapshot in table.snapshots():
        summary = snapshot.summary
        properties = dict(summary.additional_properties) if summary else {}
        total = properties.get("total-records")
        records.append(
            SnapshotRecord(
                snapshot_id=snapshot.snapshot_id,
                committed_at=datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
                operation=summary.operation.value if summary else "",
                row_count=int(total) if total is not None else None,
                tags=tuple(sorted(names.get(snapshot.snapshot_id, ()))),
                properties=properties,
            )
        )
    return tuple(records)


def tag_release(
    catalog: Catalog, namespace: str | Sequence[str], tag: str, tables: Sequence[str] | None = None
) -> dict[str, int]:
    """Name the present snapshot of every table of a namespace; give the snapshot id per table.

    Tagged snapshots survive maintenance and are read with ``as_of=tag``. Tables without a snapshot are left
    out. UsageError where a table already has a tag of that name on another snapshot; nothing is tagged then.

    Examples
    --------
    >>> from bioimage_assets import open_catalog, register_store
    >>> catalog = open_catalog("embedded")
    >>> _ = register_store("data/experiment.zarr", catalog, "bioimage.cytotable")
    >>> "image_assets" in tag_release(catalog, "bioimage.cytotable", "v1")
    True
    """
    if not tag or tag == "main":
        raise UsageError(f"{tag!r} cannot be the name of a release.")
    parts = parse_namespace(namespace)
    with catalog_errors(f"Tagging {'.'.join(parts)} as {tag!r}"):
        names = list(tables) if tables is not None else list_leaf_names(catalog, parts)
        if not names:
            raise MissingTableError(f"Namespace {'.'.join(parts)} has no tables to tag.")
        loaded = {name: catalog.load_table((*parts, name)) for name in names}
        heads = {
            name: head.snapshot_id for name, table in loaded.items() if (head := table.current_snapshot())
        }
        snapshots = {(*parts, name): snapshot_id for name, snapshot_id in heads.items()}
        _refuse_taken({(*parts, name): loaded[name] for name in heads}, tag, snapshots)
        for identifier, snapshot_id in snapshots.items():
            _create_tag(catalog, identifier, tag, snapshot_id)
    return heads


def check_tag(catalog: Catalog, tag: str, snapshots: Mapping[tuple[str, ...], int]) -> None:
    """UsageError where a table already has a tag of that name on another snapshot than its own here."""
    with catalog_errors(f"Looking for the tag {tag!r}"):
        _refuse_taken({parts: catalog.load_table(parts) for parts in snapshots}, tag, snapshots)


def tag_snapshots(catalog: Catalog, tag: str, snapshots: Mapping[tuple[str, ...], int]) -> None:
    """Name one snapshot of each table; what has the tag already is left as it is.

    UsageError where the tag is on another snapshot, or a snapshot is gone; nothing is tagged then.
    """
    check_tag(catalog, tag, snapshots)
    with catalog_errors(f"Tagging {len(snapshots)} tables as {tag!r}"):
        for identifier, snapshot_id in snapshots.items():
            _create_tag(catalog, identifier, tag, snapshot_id)


def _refuse_taken(
    tables: Mapping[tuple[str, ...], Table], tag: str, snapshots: Mapping[tuple[str, ...], int]
) -> None:
    for identifier, snapshot_id in snapshots.items():
        table = tables[identifier]
        existing = table.refs().get(tag)
        if existing is not None and existing.snapshot_id != snapshot_id:
            raise UsageError(
                f"Table {identifier[-1]} already has a tag {tag!r} on snapshot {existing.snapshot_id}. Choose another name."
            )
        if table.snapshot_by_id(snapshot_id) is None:
            raise UsageError(f"Table {_name(table)} has no snapshot {snapshot_id} any more{_known(table)}")


def _create_tag(catalog: Catalog, identifier: tuple[str, ...], tag: str, snapshot_id: int) -> None:
    def create() -> None:
        table = catalog.load_table(identifier)
        # An earlier attempt may have landed.
        if tag not in table.refs():
            table.manage_snapshots().create_tag(snapshot_id, tag).commit()

    call_with_retry(create)


def rollback(catalog: Catalog, identifier: str | Sequence[str], as_of: int | str | datetime) -> int:
    """Make an earlier snapshot the present one and give its id; the later ones stay readable by id.

    Columns added since then stay in the schema (their values become null). UsageError where ``as_of``
    names no snapshot.

    Examples
    --------
    >>> from bioimage_assets import open_catalog, register_store
    >>> catalog = open_catalog("embedded")
    >>> _ = register_store("data/experiment.zarr", catalog, "bioimage.cytotable")
    >>> tagged = tag_release(catalog, "bioimage.cytotable", "good")
    >>> rollback(catalog, "bioimage.cytotable.image_assets", "good") == tagged["image_assets"]
    True
    """
    parts = parse_identifier(identifier)

    def go_back() -> int:
        table = catalog.load_table(parts)
        snapshot_id = resolve_snapshot(table, as_of)
        current = table.current_snapshot()
        if snapshot_id is None or (current is not None and current.snapshot_id == snapshot_id):
            return snapshot_id or 0
        table.manage_snapshots().set_current_snapshot(snapshot_id=snapshot_id).commit()
        return snapshot_id

    with catalog_errors(f"Rolling back {'.'.join(parts)}"):
        return call_with_retry(go_back)
