"""Commands that keep catalog and warehouse in order: tables, maintain, tag, rollback."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import click

from bioimage_assets.cli.command import CommandWithActions, Several, argument, command, flag, option
from bioimage_assets.cli.drop_command import drop
from bioimage_assets.cli.options import CatalogChoice, Json, WarehouseChoice, get_storage_options
from bioimage_assets.cli.output import FAILED, OK, print_json, print_progress, print_table
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.errors import MissingTableError
from bioimage_assets.core.storage.step_keys import partition_of

if TYPE_CHECKING:
    from bioimage_assets.core.catalog.maintain import MaintenanceOptions
    from bioimage_assets.core.warehouse.manifest.records import WarehouseTableManifestEntry

_DAY_S = 86_400.0


def _tables(
    catalog: CatalogChoice,
    warehouse: WarehouseChoice,
    history: Annotated[
        str | None, option("TABLE", "list the snapshots of this catalog table instead")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the tables of catalog and warehouse with their rows; `tables drop` removes one.

    Examples:
        bioimage-assets tables
        bioimage-assets tables --history image_assets
    """
    if history is not None:
        _print_history(catalog, history, as_json=as_json)
        return
    rows = [*_list_catalog(catalog), *_list_warehouse(warehouse)]
    if as_json:
        print_json({"tables": rows})
        return
    print_table(
        ("where", "table", "rows", "plates", "role"),
        [(row["where"], row["table"], row["rows"], row["plates"], row["role"]) for row in rows],
    )


tables = CommandWithActions(command(_tables, name="tables"), drop)


def _list_catalog(choice: CatalogChoice) -> list[dict[str, object]]:
    if not choice.has_started:
        return []
    from bioimage_assets.core.catalog.browse import list_catalog_tables, load_catalog_table

    catalog = choice.open()
    rows: list[dict[str, object]] = []
    for table_name in list_catalog_tables(catalog, choice.namespace):
        snapshot = load_catalog_table(catalog, choice.namespace, table_name).current_snapshot()
        summary = snapshot.summary if snapshot is not None else None
        total = summary.additional_properties.get("total-records") if summary is not None else None
        rows.append(
            {
                "where": "catalog",
                "table": table_name,
                "rows": int(total) if total is not None else 0,
                "plates": None,
                "role": None,
                "snapshot_id": None if snapshot is None else snapshot.snapshot_id,
            }
        )
    return rows


def _list_warehouse(choice: WarehouseChoice) -> list[dict[str, object]]:
    if not choice.is_there():
        return []
    return [
        {
            "where": "warehouse",
            "table": entry.table_name,
            "rows": entry.row_count,
            "plates": _count_plates(entry),
            "role": entry.role,
            "snapshot_id": None,
        }
        for entry in choice.open().manifest().tables
    ]


def _count_plates(entry: WarehouseTableManifestEntry) -> int:
    """Plates, or datasets, of which a table has rows; what steps wrote about a plate is of one plate."""
    parts = (entry.partitions or {}).items()
    return len({partition_of(key) for key, part in parts if part.row_count})


def _print_history(choice: CatalogChoice, table: str, *, as_json: bool) -> None:
    from bioimage_assets.core.catalog.history import list_snapshots
    from bioimage_assets.core.catalog.session import resolve_identifier

    catalog = choice.open()
    records = list_snapshots(catalog, resolve_identifier(catalog, choice.namespace, table))
    if as_json:
        print_json({"table": table, "snapshots": [asdict(record) for record in records]})
        return
    print_table(
        ("snapshot", "committed", "operation", "rows", "tags"),
        [
            (r.snapshot_id, _minute(r.committed_at), r.operation, r.row_count, ", ".join(r.tags) or None)
            for r in records
        ],
    )


def _minute(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")


_Days = click.FloatRange(min=0)


@dataclass(frozen=True, slots=True)
class KeptChoice:
    """What maintenance leaves alone."""

    keep_snapshots: Annotated[int, option("N", "newest that always stay", type=click.IntRange(min=0))] = 20
    snapshot_age_days: Annotated[float, option("DAYS", "younger ones stay", type=_Days)] = 7.0
    orphan_age_days: Annotated[float, option("DAYS", "younger files stay", type=_Days)] = 1.0

    def build_options(self) -> MaintenanceOptions:
        """The same as the functions of ``core.catalog`` take it."""
        from bioimage_assets.core.catalog.maintain import MaintenanceOptions

        return MaintenanceOptions(
            keep_snapshots=self.keep_snapshots,
            snapshot_age_s=self.snapshot_age_days * _DAY_S,
            orphan_age_s=self.orphan_age_days * _DAY_S,
        )


@command
def maintain(
    catalog: CatalogChoice,
    warehouse: WarehouseChoice,
    kept: KeptChoice,
    only: Annotated[Literal["catalog", "warehouse"] | None, option("", "default: both")] = None,
    dry_run: Annotated[bool, flag("say what would be done and do nothing")] = False,
) -> int:
    """Expire old snapshots, compact small files, remove leftovers, correct the manifest.

    Exit code 1: the warehouse has what cannot be repaired.

    Examples:
        bioimage-assets maintain --dry-run
        bioimage-assets maintain --only warehouse
    """
    report: dict[str, object] = {"is_dry_run": dry_run}
    if only != "warehouse":
        report["catalog"] = _maintain_catalog(catalog, kept, dry_run=dry_run)
    problems: list[str] = []
    if only != "catalog":
        report["warehouse"], problems = _maintain_warehouse(warehouse, dry_run=dry_run)
    print_json(report)
    for problem in problems:
        print_progress(f"Problem: {problem}")
    return FAILED if problems else OK


def _maintain_catalog(choice: CatalogChoice, kept: KeptChoice, *, dry_run: bool) -> list[dict[str, object]]:
    if not choice.has_started:
        return []
    from bioimage_assets.core.catalog.browse import list_catalog_tables
    from bioimage_assets.core.catalog.maintain import maintain_table
    from bioimage_assets.core.catalog.session import resolve_identifier

    catalog = choice.open()
    reports = []
    for table in list_catalog_tables(catalog, choice.namespace):
        with show_progress(f"Maintaining {table}"):
            identifier = resolve_identifier(catalog, choice.namespace, table)
            reports.append(
                asdict(maintain_table(catalog, identifier, options=kept.build_options(), dry_run=dry_run))
            )
    return reports


def _maintain_warehouse(choice: WarehouseChoice, *, dry_run: bool) -> tuple[object, list[str]]:
    from bioimage_assets.core.warehouse.maintain import maintain_warehouse
    from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest

    if not choice.is_there():
        return None, []
    with show_progress(f"Maintaining {choice.root}"):
        if dry_run:
            found = validate_warehouse_manifest(choice.root, storage_options=get_storage_options())
            return found.to_dict(), []
        done = maintain_warehouse(choice.root, storage_options=get_storage_options())
    return done.to_dict(), list(done.problems)


@command
def tag(
    tag: Annotated[str, argument("NAME", "name of the release")],
    catalog: CatalogChoice,
    tables: Annotated[
        tuple[str, ...], option("TABLE...", "default: all tables of the namespace", cls=Several)
    ] = (),
    as_json: Json = False,
) -> None:
    """Name the present state of the catalog's tables as a release.

    Examples:
        bioimage-assets tag screens-2026
    """
    from bioimage_assets.core.catalog.browse import list_catalog_tables
    from bioimage_assets.core.catalog.history import tag_release
    from bioimage_assets.core.catalog.session import resolve_identifier

    opened = catalog.open()
    names = tables or tuple(list_catalog_tables(opened, catalog.namespace))
    if not names:
        raise MissingTableError(f"{catalog.name}: namespace {catalog.namespace} has no tables to tag.")
    by_namespace: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        *space, leaf = resolve_identifier(opened, catalog.namespace, name)
        by_namespace.setdefault(tuple(space), []).append(leaf)
    tagged: dict[str, int] = {}
    for parts, leaves in by_namespace.items():
        tagged |= tag_release(opened, parts, tag, leaves)
    if as_json:
        print_json({"tag": tag, "snapshots": tagged})
    else:
        print_table(("table", "snapshot"), sorted(tagged.items()))


@command
def rollback(
    table: Annotated[str, argument("TABLE", "the catalog table")],
    as_of: Annotated[str, argument("STATE", "snapshot id, tag, or ISO time")],
    catalog: CatalogChoice,
    as_json: Json = False,
) -> None:
    """Make an earlier state of a catalog table the present one.

    Later states stay readable by their id.

    Examples:
        bioimage-assets rollback image_assets screens-2026
    """
    from bioimage_assets.core.catalog import history
    from bioimage_assets.core.catalog.session import resolve_identifier

    opened = catalog.open()
    identifier = resolve_identifier(opened, catalog.namespace, table)
    snapshot_id = history.rollback(opened, identifier, as_of)
    if as_json:
        print_json({"table": ".".join(identifier), "snapshot_id": snapshot_id})
    else:
        print(f"{'.'.join(identifier)} is at snapshot {snapshot_id}.")
