"""What `status` says of each campaign: its datasets, its plates, whether it is up to date, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bioimage_assets.cli.finding_lines import build_group_json
from bioimage_assets.cli.status_rows import StatusRow, add_found
from bioimage_assets.core.discovery.campaigns import find_missing_datasets
from bioimage_assets.core.findings import group_findings
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.model.left_out import list_buildable

if TYPE_CHECKING:
    from bioimage_assets.core.findings import FindingGroup
    from bioimage_assets.core.model.plate_source import PlateSource
    from bioimage_assets.core.settings.campaign import CampaignSettings
    from bioimage_assets.core.storage.state import StorageState
    from bioimage_assets.current_plates import CurrentPlates

HEADER = ("campaign", "datasets", "plates", "state", "note", "finding")


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """One campaign; ``row`` has its state, note and worst finding in the form that plates have."""

    datasets: int
    plates: int
    row: StatusRow

    def to_line(self) -> tuple[object, ...]:
        """Cells of the table, messages shortened."""
        name, _, _, *rest = self.row.to_line()
        return (name, self.datasets, self.plates, *rest)

    def to_json(self) -> dict[str, object]:
        """The same with whole messages."""
        found = None if self.row.finding is None else build_group_json(self.row.finding)
        return {
            "campaign": self.row.plate,
            "datasets": self.datasets,
            "plates": self.plates,
            "state": self.row.state,
            "note": self.row.note,
            "failure": self.row.failure,
            "finding": found,
        }


def list_campaigns(
    campaigns: Iterable[CampaignSettings],
    sources: Sequence[PlateSource],
    stored: StorageState,
    current: CurrentPlates,
    standing: Mapping[str, tuple[FindingGroup, ...]],
) -> Iterator[CampaignRow]:
    """A row per campaign that a file defines; a dataset without plates is told before the campaign is built, too."""
    known = {dataset_of(source.plate_key) for source in sources}
    for campaign in campaigns:
        plates = [source for source in sources if dataset_of(source.plate_key) in campaign.datasets]
        there = {dataset_of(source.plate_key) for source in plates}
        missing = find_missing_datasets(campaign, there, sorted(known.difference(campaign.datasets)))
        lost = stored.lost(campaign.key)
        state = "up to date" if current.has_campaign(campaign, sources) else "to be built"
        state = "lost" if lost else state if any(list_buildable("campaign")) else "left out"
        notes = [f"{one}; `materialize` builds it again" for one in lost]
        if missing:
            notes.append(f"no plate of {', '.join(finding.location for finding in missing)}")
        row = add_found(StatusRow(campaign.key, 0, 0, state, "; ".join(notes)), standing)
        if missing and row.finding is None:
            row = replace(row, finding=group_findings(campaign.key, missing)[0])
        yield CampaignRow(len(campaign.datasets), len(plates), row)
