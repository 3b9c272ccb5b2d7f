"""Which object tables make one row per cell, and through which parent numbers they are joined (pure)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.columns import COMPARTMENTS, join_names
from bioimage_assets.core.measurements.csv_staging import StagedTable


@dataclass(frozen=True, slots=True)
class ParentLink:
    """``child``'s column ``slot`` holds the object number of its ``parent`` in the same image (None: same number)."""

    child: str
    slot: str | None
    parent: str


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """One row per object of ``driver``; each link joins exactly one further table, many rows to one."""

    driver: StagedTable
    links: tuple[ParentLink, ...]
    tables: dict[str, StagedTable]

    @property
    def joined(self) -> tuple[StagedTable, ...]:
        """Tables of the result in column order: the driver, then each link's parent."""
        return (self.driver, *(self.tables[link.parent] for link in self.links))


def plan_join(tables: Sequence[StagedTable], wanted: Sequence[str] = ()) -> tuple[JoinPlan, list[Finding]]:
    """Choose the table that is one row per cell and the parents that it leads to.

    ``wanted`` names the compartments of a cell, the one-per-cell table first; by default Cytoplasm, Cells and
    Nuclei where they exist, else the only or largest table. Other tables are a finding, never joined: they
    may have many objects per cell. MeasurementError where a wanted compartment is not there.
    """
    by_name = {table.name: table for table in tables}
    absent = [name for name in wanted if name not in by_name]
    if absent:
        raise MeasurementError(
            f"The settings name compartments {', '.join(absent)}, but the measurements have only {', '.join(by_name)}."
        )
    members = list(wanted) or [name for name in COMPARTMENTS if name in by_name]
    if not members:
        members = [max(tables, key=lambda table: table.row_count).name]
    driver = members[0]
    links, unreached = _find_links(by_name, members, driver)
    plan = JoinPlan(by_name[driver], tuple(links), by_name)
    return plan, _report(by_name, members, plan, unreached, wanted)


def _find_links(
    tables: dict[str, StagedTable], members: Sequence[str], driver: str
) -> tuple[list[ParentLink], list[str]]:
    """Walk the parent columns from the driver; a member nothing points to is joined by equal object numbers."""
    links: list[ParentLink] = []
    reached = [driver]
    for child in reached:
        for parent, slot in tables[child].parent_slots().items():
            if parent in members and parent not in reached:
                links.append(ParentLink(child, slot, parent))
                reached.append(parent)
    unreached = [name for name in members if name not in reached]
    links += [ParentLink(driver, None, name) for name in unreached]
    return links, unreached


def quote_toml(text: str) -> str:
    """A text as TOML writes it."""
    return json.dumps(text, ensure_ascii=False)


def _report(
    tables: dict[str, StagedTable],
    members: Sequence[str],
    plan: JoinPlan,
    unreached: Sequence[str],
    wanted: Sequence[str],
) -> list[Finding]:
    findings = []
    missing = [name for name in COMPARTMENTS if name not in tables]
    if missing and not wanted:
        text = f"No table of {' or '.join(missing)}; cells have the features of {', '.join(members)} only."
        findings.append(Finding("missing-compartment", "warning", join_names(missing), text))
    if unreached:
        text = f"No parent column leads to {', '.join(unreached)}; joined by equal object numbers."
        for name in unreached:
            owners = [p for p in tables[name].parent_slots() if p in members and p not in unreached]
            if owners:
                text += (
                    f" {name} name their {' and '.join(owners)}, but a cell may have several {name}; where numbers differ, "
                    f"relate them in CellProfiler so that {plan.driver.name} name their {name}."
                )
        findings.append(Finding("no-parent-column", "warning", join_names(unreached), text))
    others = [name for name in tables if name not in members]
    if others:
        counted = ", ".join(f"{name} ({tables[name].row_count} objects)" for name in others)
        text = f"{counted}: not known to be one object per cell, so not part of the single-cell table."
        cells = plan.driver.row_count
        possible = [name for name in others if cells <= 2 * tables[name].row_count <= 2 * cells]
        if possible:
            listed = ", ".join(map(quote_toml, [*members, *possible]))
            text += f" If they are, name all of a cell's tables in dataset.toml, [measurements] compartments = [{listed}]."
        findings.append(Finding("compartment-not-joined", "info", join_names(others), text))
    return findings
