"""A samplesheet as it is written: texts in rows and columns."""

from __future__ import annotations

from dataclasses import dataclass

from bioimage_assets.core.findings import Finding


@dataclass(frozen=True, slots=True)
class Sheet:
    """Columns, a row per line, the ids of the images that are in it, and what is not and why."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    image_ids: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()
