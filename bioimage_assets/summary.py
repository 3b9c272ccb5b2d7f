"""What became of plates, for whoever asked for them: counts of stored rows, what stands found, and the pages to look at."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bioimage_assets.resources.project import ProjectResource

if TYPE_CHECKING:
    from bioimage_assets.core.findings import FindingGroup
    from bioimage_assets.core.storage.state import StorageState


@dataclass(frozen=True)
class PlateSummary:
    """Row counts of one plate; None where the plate has no such table."""

    plate: str
    images: int
    labels: int
    chunks: int
    cells: int | None
    matched: int | None
    qc_failed: int | None
    wells: int | None


@dataclass(frozen=True)
class StoredSummary:
    """What is stored of some plates and datasets.

    Parameters
    ----------
    findings
        What stands found about them, complete, sorted by partition and the worst first.
    pages
        Report pages that are there, by partition.
    unread
        Why something of this could not be read; empty where all of it was.
    """

    plates: tuple[PlateSummary, ...]
    findings: "tuple[FindingGroup, ...]"
    pages: dict[str, Path]
    unread: tuple[str, ...] = ()


def summarize_plates(
    project: ProjectResource, plate_keys: Sequence[str], stored: "StorageState | None" = None
) -> list[PlateSummary]:
    """Count the stored rows of plates, in catalog and warehouse; ``stored`` is a look at all tables that was taken before."""
    from dataclasses import asdict

    from bioimage_assets.core.storage.plate_counts import count_stored
    from bioimage_assets.core.storage.state import look_at_stored

    counts = count_stored(stored or look_at_stored(project.tables()), plate_keys)
    return [PlateSummary(key, **asdict(counts[key])) for key in plate_keys]


def summarize_stored(
    project: ProjectResource,
    plate_keys: Sequence[str],
    datasets: Collection[str],
    stored: "StorageState | None" = None,
) -> StoredSummary:
    """Read what a command says at its end; a part of it that cannot be read costs that part alone."""
    from bioimage_assets.core.errors import BioimageError
    from bioimage_assets.core.storage.standing_findings import list_standing_findings

    plates: list[PlateSummary] = []
    findings: tuple[FindingGroup, ...] = ()
    unread = []
    try:
        plates = summarize_plates(project, plate_keys, stored)
    except BioimageError as error:
        unread.append(f"rows could not be counted: {error}")
    try:
        findings = list_standing_findings(project.tables(), [*plate_keys, *datasets])
    except BioimageError as error:
        unread.append(f"findings could not be read: {error}")
    pages = find_pages(project, [*plate_keys, *sorted(datasets)])
    return StoredSummary(tuple(plates), findings, pages, tuple(unread))


def find_pages(project: ProjectResource, partitions: Sequence[str]) -> dict[str, Path]:
    """Report pages of plates and datasets that are there, by partition."""
    from bioimage_assets.core.storage.pages import locate_page

    folder = project.settings.reports_dir.absolute()
    pages = {key: locate_page(folder, key) for key in partitions}
    return {key: page for key, page in pages.items() if page.exists()}
