"""Whether findings of level error are failures of a command: ``--strict``, ``BIOIMAGE_STRICT``, or the dataset's own file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bioimage_assets.cli.output import FAILED, OK, print_progress
from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.findings import Finding, FindingGroup
from bioimage_assets.core.model.identity import build_key_part, dataset_of

if TYPE_CHECKING:
    from bioimage_assets.core.model.plate_source import PlateSource
    from bioimage_assets.resources.project import ProjectResource


def say_strict(
    project: ProjectResource,
    sources: Iterable[PlateSource],
    groups: Iterable[FindingGroup],
    findings: Iterable[Finding],
    *,
    is_strict: bool,
) -> int:
    """Exit code by what stands found about plates and datasets, and about the watched roots; which errors count is said."""
    is_strict = is_strict or project.settings.strict
    datasets = _find_strict_datasets(project, sources)
    errors = _list_errors(groups, findings, is_strict=is_strict, datasets=datasets)
    if not errors:
        return OK
    print_progress(f"Strict: findings of level error stand: {', '.join(dict.fromkeys(errors))}.")
    return FAILED


def _find_strict_datasets(project: ProjectResource, sources: Iterable[PlateSource]) -> set[str]:
    """Datasets whose ``dataset.toml`` says so; one that cannot be read has failed in any case."""
    uris = {dataset_of(source.plate_key): source.dataset_uri for source in sources}
    return {dataset for dataset, uri in uris.items() if _is_strict(project, uri)}


def _is_strict(project: ProjectResource, dataset_uri: str) -> bool:
    try:
        return project.dataset_settings(dataset_uri).strict
    except BioimageError:
        return False


def _list_errors(
    groups: Iterable[FindingGroup], findings: Iterable[Finding], *, is_strict: bool, datasets: set[str]
) -> list[str]:
    """Codes of the errors that count as failures, of plates and datasets and of the watched roots."""
    standing = [
        group.code
        for group in groups
        if group.severity == "error" and (is_strict or dataset_of(group.partition) in datasets)
    ]
    rooted = [
        finding.code
        for finding in findings
        if finding.severity == "error" and (is_strict or _dataset_at(finding.location) in datasets)
    ]
    return [*standing, *rooted]


def _dataset_at(location: str) -> str:
    first = location.split("/", 1)[0]
    return build_key_part(first) if first else ""
