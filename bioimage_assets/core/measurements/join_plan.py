"""Which object tables make one row per cell, and through which parent numbers they are joined (pure)."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.findings import Finding, Severity
from bioimage_assets.core.measurements.columns import join_names
from bioimage_assets.core.measurements.csv_staging import StagedTable
from bioimage_assets.core.model.compartments import COMPARTMENTS


@dataclass(frozen=True, slots=True)
class ParentLink:
    """How ``child``, of which there is one per row, finds its one object of ``parent`` in the same image.

    ``slot`` is the child's column that holds the number of the parent; ``back_slot`` the column of ``parent`` that holds the
    number of the child, where only that is known (``Parent_Cells`` of the mitochondria of ``Cells``). Neither: same number.
    """

    child: str
    slot: str | None
    parent: str
    back_slot: str | None = None


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """One row per object of ``driver``; each link joins exactly one further table, many rows to one.

    ``connecting`` tables only lead to others: their columns are not part of the result.
    """

    driver: StagedTable
    links: tuple[ParentLink, ...]
    tables: dict[str, StagedTable]
    connecting: frozenset[str] = frozenset()

    @property
    def joined(self) -> tuple[StagedTable, ...]:
        """Tables that are joined in column order: the driver, then each link's parent."""
        return (self.driver, *(self.tables[link.parent] for link in self.links))

    def without(self, names: Collection[str]) -> JoinPlan:
        """The plan without some tables and what only they lead to."""
        gone = set(names)
        links = []
        for link in self.links:
            if link.child in gone or link.parent in gone:
                gone.add(link.parent)
            else:
                links.append(link)
        return replace(self, links=tuple(links))


def plan_join(tables: Sequence[StagedTable], wanted: Sequence[str] = ()) -> tuple[JoinPlan, list[Finding]]:
    """Choose the table that is one row per cell and the parents that it leads to.

    ``wanted`` names the compartments of a cell, the one-per-cell table first; by default Cytoplasm, Cells and
    Nuclei where they exist, else the only or largest table. Other tables are a finding, not part of the result: they
    may have many objects per cell. MeasurementError where a wanted compartment is not there.
    """
    by_name = {table.name: table for table in tables}
    absent = [name for name in wanted if name not in by_name]
    if absent:
        found = [name for name in wanted if name in by_name] or list(by_name)
        raise MeasurementError(
            f"`[measurements] compartments` names {', '.join(absent)}, but the measurements have only {', '.join(by_name)}: expected "
            f"each of these to be a table. Write `[measurements] compartments = [{', '.join(map(quote_toml, found))}]`, or export "
            f"{', '.join(absent)}."
        )
    members = list(wanted) or [name for name in COMPARTMENTS if name in by_name]
    if not members:
        members = [max(tables, key=lambda table: table.row_count).name]
    driver = members[0]
    links = _find_links(by_name, members, driver)
    connecting = frozenset(link.parent for link in links) - set(members)
    plan = JoinPlan(by_name[driver], tuple(links), by_name, connecting)
    return plan, _report(by_name, members, plan, wanted)


def _find_links(tables: dict[str, StagedTable], members: Sequence[str], driver: str) -> list[ParentLink]:
    """Walk the parent columns from the driver: among members, by way of other tables, then of members back to what is reached.

    A member that none of these leads to is joined by equal object numbers.
    """
    links = _walk(tables, [driver], members)
    while unreached := [name for name in members if name not in _reached(driver, links)]:
        reached = _reached(driver, links)
        more = _walk_by_others(tables, reached, unreached) or _link_back(tables, reached, unreached)
        more = more or [ParentLink(driver, None, unreached[0])]
        links += more
        links += _walk(tables, _reached(driver, links), members)
    return links


def _reached(driver: str, links: Sequence[ParentLink]) -> list[str]:
    return [driver, *(link.parent for link in links)]


def _walk(tables: dict[str, StagedTable], start: Sequence[str], allowed: Collection[str]) -> list[ParentLink]:
    """Links to all tables among ``allowed`` that parent columns lead to, nearest first."""
    links: list[ParentLink] = []
    reached = list(start)
    for child in reached:
        for parent, slot in tables[child].parent_slots().items():
            if parent in allowed and parent not in reached:
                links.append(ParentLink(child, slot, parent))
                reached.append(parent)
    return links


def _walk_by_others(
    tables: dict[str, StagedTable], reached: Sequence[str], unreached: Sequence[str]
) -> list[ParentLink]:
    """The way to the first unreached member by tables that are not members, such as filtered objects."""
    links = {link.parent: link for link in _walk(tables, reached, tables)}
    name = next((name for name in unreached if name in links), None)
    way: list[ParentLink] = []
    while name is not None and name not in reached:
        way.insert(0, links[name])
        name = links[name].child
    return way


def _link_back(
    tables: dict[str, StagedTable], reached: Sequence[str], unreached: Sequence[str]
) -> list[ParentLink]:
    """The first unreached member that itself names its parent among the reached tables."""
    for name in unreached:
        slots = tables[name].parent_slots()
        child = next((child for child in reached if child in slots), None)
        if child is not None:
            return [ParentLink(child, None, name, slots[child])]
    return []


def quote_toml(text: str) -> str:
    """A text as TOML writes it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _report(
    tables: dict[str, StagedTable],
    members: Sequence[str],
    plan: JoinPlan,
    wanted: Sequence[str],
) -> list[Finding]:
    findings = []
    missing = [name for name in COMPARTMENTS if name not in tables]
    if missing and not wanted:
        text = f"No table of {' or '.join(missing)}; cells have the features of {', '.join(members)} only."
        findings.append(Finding("missing-compartment", "warning", join_names(missing), text))
    unreached = [link.parent for link in plan.links if link.slot is None and link.back_slot is None]
    if unreached:
        text = f"No parent column leads to {', '.join(unreached)}; joined by equal object numbers."
        many = [name for name in unreached if _counting(plan, name)]
        if many:
            text += (
                f" {_counting(plan, many[0])} counts them, so they may be several or other ones: relate them to "
                f"their parent (RelateObjects) and export their Parent column, or leave {', '.join(many)} out of "
                "`[measurements] compartments`."
            )
        severity: Severity = "error" if many else "warning"
        findings.append(Finding("no-parent-column", severity, join_names(unreached), text))
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


def _counting(plan: JoinPlan, name: str) -> str | None:
    """A column of a joined table that counts objects of ``name`` (``Cells_Children_Mito_Count``)."""
    wanted = f"_children_{name.lower()}_count"
    joined = (table for table in plan.joined if table.name != name)
    outputs = (column.output for table in joined for column in table.columns)
    return next((output for output in outputs if output.lower().endswith(wanted)), None)
