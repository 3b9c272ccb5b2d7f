"""Files, settings and findings of every plate, dataset or campaign of a run, looked for before its first step reads anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from bioimage_assets.core.discovery.campaigns import require_campaign_named
from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.step_spec import Dimension
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.step_inputs import require_campaign, require_dataset, require_source
from bioimage_assets.resources.project import ProjectResource


@dataclass(frozen=True)
class PartitionFiles:
    """Plates of one partition as they are in the watched roots, and the settings that hold for them."""

    sources: tuple[PlateSource, ...]
    settings: DatasetSettings
    findings: tuple[Finding, ...] = ()


def find_files(
    project: ProjectResource, dimension: Dimension, partitions: Sequence[str]
) -> dict[str, PartitionFiles | BioimageError]:
    """What each partition is made of, or why that is not known: one that has nothing fails alone."""
    if dimension == "campaign":
        return {key: _find_campaign(project, key) for key in partitions}
    sources = _find_sources(project, dimension, partitions)
    require = require_source if dimension == "plate" else require_dataset
    read_settings = cache(project.dataset_settings)  # once for all plates of a dataset
    found: dict[str, PartitionFiles | BioimageError] = {}
    for key in partitions:
        try:
            plates = require(key, sources[key])
            found[key] = PartitionFiles(plates, read_settings(plates[0].dataset_uri))
        except BioimageError as error:
            found[key] = error
    return found


def _find_campaign(project: ProjectResource, key: str) -> PartitionFiles | BioimageError:
    try:
        found = project.gather_campaign(require_campaign_named(project.campaigns(), key))
        sources = require_campaign(found.settings, found.sources)
    except BioimageError as error:
        return error
    return PartitionFiles(sources, found.settings, found.findings)


def _find_sources(
    project: ProjectResource, dimension: Dimension, partitions: Sequence[str]
) -> Mapping[str, Sequence[PlateSource]]:
    """Files of every plate or dataset of the run, from one listing of its datasets."""
    if dimension == "plate":
        plates = project.plate_sources(partitions)
        return {key: [plates[key]] if key in plates else [] for key in partitions}
    sources, _ = project.discover(partitions)
    return {key: [source for source in sources if dataset_of(source.plate_key) == key] for key in partitions}
