"""Folds what is said of each image that an OME-XML speaks of and no page of its files holds: one finding with the count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bioimage_assets.core.findings import Finding

NO_PAGE = "no page of the image is stored."


def is_not_held(finding: Finding) -> bool:
    """Tell a finding about an image that the XML declares and that no page or no Image element holds."""
    return finding.code == "plate-image-missing" or (
        finding.code == "image-unreadable" and finding.message.endswith(NO_PAGE)
    )


def fold_not_held(findings: Iterable[Finding]) -> list[Finding]:
    """All other findings as they are, and one for all images of each kind that are not held; at the place of the first."""
    told: list[Finding] = []
    places: dict[str, int] = {}
    counts: dict[str, list[Finding]] = {}
    for finding in findings:
        if not is_not_held(finding):
            told.append(finding)
            continue
        if finding.code not in counts:
            places[finding.code] = len(told)
            told.append(finding)
        counts.setdefault(finding.code, []).append(finding)
    for code, found in counts.items():
        if len(found) > 1:
            told[places[code]] = _build_folded(found)
    return told


def _build_folded(found: list[Finding]) -> Finding:
    files = {finding.location.partition("#")[0] for finding in found}
    whose = (
        "The OME-XML of this file speaks"
        if len(files) == 1
        else f"The OME-XML of {len(files):,} files speaks"
    )
    text = (
        f"{whose} of images that it does not hold, {len(found):,} times. Where no other file holds them, they are lost. "
        f"The first: {found[0].message}"
    )
    return replace(found[0], message=text)
