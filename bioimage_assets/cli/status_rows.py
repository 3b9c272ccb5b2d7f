"""What `status` says of each plate: where it stands, what is wrong with it, and why it failed last."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bioimage_assets.cli.finding_lines import build_group_json
from bioimage_assets.core.error_codes import add_codes, split_code
from bioimage_assets.core.findings import Finding, FindingGroup
from bioimage_assets.core.model.identity import build_key_part, dataset_of, dimension_of
from bioimage_assets.core.storage.step_failures import CODE, find_failure

if TYPE_CHECKING:
    from bioimage_assets.core.model.plate_source import PlateSource
    from bioimage_assets.core.storage.state import StorageState
    from bioimage_assets.current_plates import CurrentPlates

HEADER = ("plate", "stores", "measurements", "state", "note", "finding")
_REFUSED = "waits: the dataset.toml of its dataset cannot be used"
SHOWN_LETTERS = 90  # of a message in the table; --json has all of it


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One plate. ``finding`` is the worst that stands but for a failure, which is ``failure``."""

    plate: str
    stores: int
    measurements: int
    state: str
    note: str
    finding: FindingGroup | None = None
    failure: str | None = None

    def to_line(self) -> tuple[object, ...]:
        """Cells of the table, messages shortened."""
        why, code = split_code(self.failure or "")
        failed = f"failed: {add_codes(_shorten(why), code, CODE)}" if why else ""
        has_said = self.note.startswith("run failed")
        note = self.note if has_said else "; ".join(filter(None, [failed, self.note]))
        found = self.finding
        said = "" if found is None else f"{found.severity}: {found.code}: {_shorten(found.message)}"
        return (self.plate, self.stores, self.measurements, self.state, note, said)

    def to_json(self) -> dict[str, object]:
        """The same with whole messages."""
        found = None if self.finding is None else build_group_json(self.finding)
        code = split_code(self.failure or "")[1]
        return {**asdict(self), "finding": found, "failure_code": code}


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN_LETTERS else f"{text[: SHOWN_LETTERS - 2].rstrip()} …"


def list_plates_here(
    sources: Sequence[PlateSource],
    stored: StorageState,
    current: CurrentPlates,
    held: Mapping[str, str],
    standing: Mapping[str, tuple[FindingGroup, ...]],
    refused: Collection[str] = (),
) -> list[StatusRow]:
    """A row per plate of the watched roots; ``refused`` are datasets whose settings cannot be used."""
    rows = []
    for source in sources:
        key = source.plate_key
        lost = stored.lost(key)
        state = "lost" if lost else "up to date" if current.has_plate(source) else "to be built"
        note = "; ".join(
            [
                *(f"{one}; `materialize` builds it again" for one in lost),
                _REFUSED
                if dataset_of(key) in refused
                else held.get(key, "" if source.store_uris else _say_imageless(source)),
            ]
        ).removesuffix("; ")
        counts = (len(source.store_uris), len(source.measurement_uris))
        rows.append(add_found(StatusRow(key, *counts, state, note), standing))
    return rows


def list_plates_elsewhere(
    sources: Sequence[PlateSource],
    findings: Iterable[Finding],
    stored: StorageState,
    registered: Iterable[str],
    standing: Mapping[str, tuple[FindingGroup, ...]],
) -> list[StatusRow]:
    """Plates that are stored and in no watched root, and datasets of which something is lost."""
    here = {source.plate_key for source in sources}
    rows = [
        _build_lost(key, stored, here)
        for key in stored.partitions_with_losses
        if key not in here and dimension_of(key) != "campaign"
    ]
    done = here.union(row.plate for row in rows)
    reasons = [finding for finding in findings if finding.severity == "error"]
    known = set(registered)
    for key in stored.plates:
        if key not in done:
            state, note = _say_gone(key, stored, reasons, is_known=key in known, is_all=not here)
            rows.append(StatusRow(key, 0, 0, state, note))
    return [add_found(row, standing) for row in rows]


def _build_lost(key: str, stored: StorageState, here: set[str]) -> StatusRow:
    is_dataset = key in {dataset_of(plate) for plate in here}
    what_next = "; `materialize` builds it again" if is_dataset else "; the plate is in no watched root"
    return StatusRow(key, 0, 0, "lost", "; ".join(map(str, stored.lost(key))) + what_next)


def _say_gone(
    key: str, stored: StorageState, reasons: Sequence[Finding], *, is_known: bool, is_all: bool
) -> tuple[str, str]:
    """State and note of a plate that is stored and was not seen."""
    what = _say_stored(key, stored)
    if any(_hides(finding, key) for finding in reasons):
        return "not seen", f"what should hold it could not be looked at; {what}"
    if not is_known:
        return "elsewhere", f"in no watched root, and registered by another project or not at all; {what}"
    mounted = " (is the watched root mounted?)" if is_all else ""
    return "gone", f"gone{mounted}, {what}; `bioimage-assets partitions remove {key}`"


def _hides(finding: Finding, key: str) -> bool:
    """Whether an error about the roots may be why a plate was not seen."""
    dataset = dataset_of(key)
    return (
        finding.code == "unreadable-root"
        or finding.location in (key, dataset)
        or (build_key_part(finding.location or "-") == dataset)
    )


def _say_stored(key: str, stored: StorageState) -> str:
    for table, unit in (("joined_profiles", "cells"), ("image_assets", "images")):
        count = stored.row_count(table, key) if stored.holds(table, key) else None
        if count:
            return f"{count} {unit} stored"
    return "stored"


def _say_imageless(source: PlateSource) -> str:
    """Note of a plate without images: meant, or probably a misspelt name."""
    if source.is_imageless:
        return "measurements alone"
    return "measurements alone, but images without measurements are there: is the name misspelt?"


def add_found(row: StatusRow, standing: Mapping[str, tuple[FindingGroup, ...]]) -> StatusRow:
    """The row with the worst that stands found about it, and why it failed last."""
    groups = standing.get(row.plate, ())
    failure = find_failure(groups)
    found = next((group for group in groups if group.code != CODE and group.severity != "info"), None)
    message = None if failure is None else failure.message
    return StatusRow(row.plate, row.stores, row.measurements, row.state, row.note, found, message)
