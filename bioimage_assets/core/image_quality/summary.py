"""Turns stored rows of ``image_quality`` into counts of fields: a field has a flag where any of its channels has it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import pyarrow as pa

from bioimage_assets.core.image_quality.flags import KINDS

_FIELD = ("well_id", "site_id", "acquisition_id", "image_id")


@dataclass(frozen=True, slots=True)
class QualitySummary:
    """Fields of a plate: all of them, those that were judged in some channel, those that are flagged in any, and of which kind."""

    fields: int
    judged: int
    flagged: int
    by_kind: dict[str, int]
    by_source: dict[str, int]
    per_well: dict[str, int]

    @property
    def unjudged(self) -> int:
        """Fields without any verdict."""
        return self.fields - self.judged

    @property
    def flagged_wells(self) -> tuple[str, ...]:
        """Wells with a flagged field."""
        return tuple(well for well, count in self.per_well.items() if count)


def summarize_fields(rows: pa.Table) -> QualitySummary:
    """Count fields; ``per_well`` are flagged fields of each well with a judged one, in order."""
    names = [*_FIELD, "source", "is_flagged", *(f"flag_{kind}" for kind in KINDS)]
    kinds: dict[tuple[object, ...], set[str]] = defaultdict(set)
    verdicts: dict[tuple[object, ...], bool | None] = {}
    sources: dict[tuple[object, ...], str] = {}
    for row in rows.select(names).to_pylist():
        key = tuple(row[name] for name in _FIELD)
        known = verdicts.setdefault(key, None)
        if row["is_flagged"] is not None:
            verdicts[key] = bool(known) or row["is_flagged"]
        kinds[key] |= {kind for kind in KINDS if row[f"flag_{kind}"]}
        sources.setdefault(key, row["source"])
    per_well: dict[str, int] = {}
    for key, verdict in sorted(verdicts.items(), key=lambda item: str(item[0])):
        if verdict is not None and key[0] is not None:
            per_well[str(key[0])] = per_well.get(str(key[0]), 0) + verdict
    return QualitySummary(
        fields=len(verdicts),
        judged=sum(verdict is not None for verdict in verdicts.values()),
        flagged=sum(map(bool, verdicts.values())),
        by_kind={kind: sum(kind in own for own in kinds.values()) for kind in KINDS},
        by_source={name: list(sources.values()).count(name) for name in sorted(set(sources.values()))},
        per_well=per_well,
    )
