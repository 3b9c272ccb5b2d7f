"""Commands that keep catalog and warehouse in order: tables, maintain, tag, rollback."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from bioimage_assets.cli.arguments import (
    add_catalog_flags,
    add_command,
    add_warehouse_flag,
    get_catalog_name,
    get_namespace,
    get_settings,
    get_warehouse_root,
    is_catalog_started,
    open_named_catalog,
)
from bioimage_assets.cli.output import FAILED, OK, print_json, print_progress, print_table
from bioimage_assets.cli.progress import show_progress
from bioimage_assets.core.errors import MissingTableError, UsageError
from bioimage_assets.core.settings.project import NO_CATALOG

_DAY_S = 86_400.0


def add_commands(commands: Any) -> None:
    """Add `tables`, `maintain`, `tag` and `rollback`."""
    tables = add_command(
        commands, "tables", "list the tables of catalog and warehouse with their rows", run_tables
    )
    add_catalog_flags(tables)
    add_warehouse_flag(tables)
    tables.add_argument("--history", metavar="TABLE", help="list the snapshots of this catalog table instead")

    maintain = add_command(
        commands,
        "maintain",
        "expire old snapshots, compact small files, remove leftovers, correct the manifest",
        run_maintain,
    )
    add_catalog_flags(maintain)
    add_warehouse_flag(maintain)
    maintain.add_argument("--only", choices=("catalog", "warehouse"), help="default: both")
    maintain.add_argument("--dry-run", action="store_true", help="say what would be done and do nothing")
    maintain.add_argument(
        "--keep-snapshots", type=int, default=20, metavar="N", help="newest that always stay (default: 20)"
    )
    maintain.add_argument(
        "--snapshot-age-days", type=float, default=7.0, metavar="DAYS", help="younger ones stay (default: 7)"
    )
    maintain.add_argument(
        "--orphan-age-days", type=float, default=1.0, metavar="DAYS", help="younger files stay (default: 1)"
    )

    tag = add_command(commands, "tag", "name the present state of the catalog's tables as a release", run_tag)
    tag.add_argument("tag", metavar="NAME", help="name of the release")
    tag.add_argument("--tables", nargs="+", metavar="TABLE", help="default: all tables of the namespace")
    add_catalog_flags(tag)

    rollback = add_command(
        commands, "rollback", "make an earlier state of a catalog table the present one", run_rollback
    )
    rollback.add_argument("table", metavar="TABLE", help="the catalog table")
    rollback.add_argument("as_of", metavar="STATE", help="snapshot id, tag, or ISO time")
    add_catalog_flags(rollback)


def run_tables(arguments: argparse.Namespace) -> int:
    """List tables, or the snapshots of one."""
    if arguments.history is not None:
        return _print_history(arguments)
    rows = [*_list_catalog(arguments), *_list_warehouse(arguments)]
    if arguments.json:
        print_json({"tables": rows})
        return OK
    print_table(
        ("where", "table", "rows", "plates", "role"),
        [(row["where"], row["table"], row["rows"], row["plates"], row["role"]) for row in rows],
    )
    return OK


def _list_catalog(arguments: argparse.Namespace) -> list[dict[str, object]]:
    name = arguments.catalog or get_settings().catalog_name
    if name == NO_CATALOG or not is_catalog_started(name):
        return []
    from bioimage_assets.core.catalog.browse import list_catalog_tables, load_catalog_table

    catalog, namespace = open_named_catalog(arguments), get_namespace(arguments)
    rows = []
    for table_name in list_catalog_tables(catalog, namespace):
        table = load_catalog_table(catalog, namespace, table_name)
        snapshot = table.current_snapshot()
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


def _list_warehouse(arguments: argparse.Namespace) -> list[dict[str, object]]:
    from bioimage_assets.core.warehouse.root import open_warehouse

    root = get_warehouse_root(arguments)
    if "://" not in root and not Path(root).is_dir():
        if arguments.warehouse_root is not None:
            raise UsageError(f"There is no warehouse root at {root}.")
        return []
    warehouse = open_warehouse(root, storage_options=dict(get_settings().storage_options))
    return [
        {
            "where": "warehouse",
            "table": entry.table_name,
            "rows": entry.row_count,
            "plates": len(entry.partitions or ()),
            "role": entry.role,
            "snapshot_id": None,
        }
        for entry in warehouse.manifest().tables
    ]


def _print_history(arguments: argparse.Namespace) -> int:
    from bioimage_assets.core.catalog.history import list_snapshots
    from bioimage_assets.core.catalog.session import resolve_identifier

    catalog = open_named_catalog(arguments)
    records = list_snapshots(
        catalog, resolve_identifier(catalog, get_namespace(arguments), arguments.history)
    )
    if arguments.json:
        print_json({"table": arguments.history, "snapshots": [asdict(record) for record in records]})
        return OK
    print_table(
        ("snapshot", "committed", "operation", "rows", "tags"),
        [
            (r.snapshot_id, _minute(r.committed_at), r.operation, r.row_count, ", ".join(r.tags) or None)
            for r in records
        ],
    )
    return OK


def _minute(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")


def run_maintain(arguments: argparse.Namespace) -> int:
    """Maintain catalog and warehouse; exit 1 when the warehouse has what cannot be repaired."""
    report: dict[str, object] = {"is_dry_run": arguments.dry_run}
    if arguments.only != "warehouse":
        report["catalog"] = _maintain_catalog(arguments)
    problems: list[str] = []
    if arguments.only != "catalog":
        report["warehouse"], problems = _maintain_warehouse(arguments)
    print_json(report)
    for problem in problems:
        print_progress(f"Problem: {problem}")
    return FAILED if problems else OK


def _maintain_catalog(arguments: argparse.Namespace) -> list[dict[str, object]]:
    from bioimage_assets.core.catalog.maintain import MaintenanceOptions, maintain_table
    from bioimage_assets.core.catalog.session import resolve_identifier

    name = arguments.catalog or get_settings().catalog_name
    if name == NO_CATALOG or not is_catalog_started(name):
        return []
    from bioimage_assets.core.catalog.browse import list_catalog_tables

    if min(arguments.keep_snapshots, arguments.snapshot_age_days, arguments.orphan_age_days) < 0:
        raise UsageError("--keep-snapshots, --snapshot-age-days and --orphan-age-days must not be negative.")
    options = MaintenanceOptions(
        keep_snapshots=arguments.keep_snapshots,
        snapshot_age_s=arguments.snapshot_age_days * _DAY_S,
        orphan_age_s=arguments.orphan_age_days * _DAY_S,
    )
    catalog, namespace = open_named_catalog(arguments), get_namespace(arguments)
    reports = []
    for table in list_catalog_tables(catalog, namespace):
        with show_progress(f"Maintaining {table}"):
            identifier = resolve_identifier(catalog, namespace, table)
            reports.append(
                asdict(maintain_table(catalog, identifier, options=options, dry_run=arguments.dry_run))
            )
    return reports


def _maintain_warehouse(arguments: argparse.Namespace) -> tuple[object, list[str]]:
    from bioimage_assets.core.warehouse.maintain import maintain_warehouse
    from bioimage_assets.core.warehouse.validation.validate import validate_warehouse_manifest

    root = get_warehouse_root(arguments)
    options = dict(get_settings().storage_options)
    if "://" not in root and not Path(root).is_dir():
        if arguments.warehouse_root is not None:
            raise UsageError(f"There is no warehouse root at {root}.")
        return None, []
    with show_progress(f"Maintaining {root}"):
        if arguments.dry_run:
            found = validate_warehouse_manifest(root, storage_options=options)
            return found.to_dict(), []
        done = maintain_warehouse(root, storage_options=options)
    return done.to_dict(), list(done.problems)


def run_tag(arguments: argparse.Namespace) -> int:
    """Tag the newest snapshot of each table."""
    from bioimage_assets.core.catalog.browse import list_catalog_tables
    from bioimage_assets.core.catalog.history import tag_release
    from bioimage_assets.core.catalog.session import resolve_identifier

    catalog, namespace = open_named_catalog(arguments), get_namespace(arguments)
    names = arguments.tables or list_catalog_tables(catalog, namespace)
    if not names:
        raise MissingTableError(f"{get_catalog_name(arguments)}: namespace {namespace} has no tables to tag.")
    by_namespace: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        *space, leaf = resolve_identifier(catalog, namespace, name)
        by_namespace.setdefault(tuple(space), []).append(leaf)
    tagged: dict[str, int] = {}
    for parts, tables in by_namespace.items():
        tagged |= tag_release(catalog, parts, arguments.tag, tables)
    if arguments.json:
        print_json({"tag": arguments.tag, "snapshots": tagged})
    else:
        print_table(("table", "snapshot"), sorted(tagged.items()))
    return OK


def run_rollback(arguments: argparse.Namespace) -> int:
    """Go back to an earlier snapshot; later ones stay readable by id."""
    from bioimage_assets.core.catalog.history import rollback
    from bioimage_assets.core.catalog.session import resolve_identifier

    catalog = open_named_catalog(arguments)
    identifier = resolve_identifier(catalog, get_namespace(arguments), arguments.table)
    snapshot_id = rollback(catalog, identifier, arguments.as_of)
    if arguments.json:
        print_json({"table": ".".join(identifier), "snapshot_id": snapshot_id})
    else:
        print(f"{'.'.join(identifier)} is at snapshot {snapshot_id}.")
    return OK
