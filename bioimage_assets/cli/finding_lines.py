"""Findings as a person reads them: one line per code, with how often, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from bioimage_assets.core.findings import SEVERITIES, Finding, FindingGroup
from bioimage_assets.core.model.identity import dataset_of, dimension_of

SHOWN_PLACES = 3
SHOWN_PARTITIONS = 3


def say_findings(groups: Iterable[FindingGroup]) -> list[str]:
    """One line per code and dataset, the worst first: the setting that a message names belongs in one dataset's file."""
    by_code: dict[tuple[str, str], list[FindingGroup]] = {}
    for group in groups:
        by_code.setdefault((group.code, dataset_of(group.partition)), []).append(group)
    merged = sorted(
        by_code.values(), key=lambda same: min(SEVERITIES.index(group.severity) for group in same)
    )
    return [_say(same) for same in merged]


def _say(groups: list[FindingGroup]) -> str:
    worst = min(groups, key=lambda group: SEVERITIES.index(group.severity))
    where = _say_places(worst) if len(groups) == 1 else _say_partitions([group.partition for group in groups])
    count = sum(group.count for group in groups)
    times = f"{count} times " if count > 1 else ""
    return f"{worst.severity}: {worst.code}, {times}in {where}: {worst.message}"


def _say_places(group: FindingGroup) -> str:
    """``scr/P1 (A01/0, A01/1, A02/0 …)``."""
    more = " …" if len(group.places) > SHOWN_PLACES else ""
    places = f" ({', '.join(group.places[:SHOWN_PLACES])}{more})" if group.places else ""
    return f"{group.partition}{places}"


def _say_partitions(keys: list[str]) -> str:
    more = " …" if len(keys) > SHOWN_PARTITIONS else ""
    kinds = {dimension_of(key) for key in keys}
    what = " and ".join(f"{kind}s" for kind in ("plate", "dataset", "campaign") if kind in kinds)
    return f"{len(keys)} {what} ({', '.join(keys[:SHOWN_PARTITIONS])}{more})"


def build_finding_json(finding: Finding) -> dict[str, object]:
    """A finding about the watched roots, in the form that those about plates have, too."""
    places = [finding.location] if finding.location else []
    return {**asdict(finding), "partition": "", "count": 1, "places": places}


def build_group_json(group: FindingGroup) -> dict[str, object]:
    """Findings of one code about a plate or dataset, complete."""
    first = group.places[0] if group.places else ""
    return {**asdict(group), "places": list(group.places), "location": first, "store_uri": "", "setting": ""}
