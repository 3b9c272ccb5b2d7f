"""Which plates, datasets and campaigns need no work: all their tables are stored as they would be built now."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.resources.project import ProjectResource

if TYPE_CHECKING:
    from bioimage_assets.core.model.plate_source import PlateSource
    from bioimage_assets.core.model.step_spec import StepSpec
    from bioimage_assets.core.settings.campaign import CampaignSettings
    from bioimage_assets.core.settings.dataset import DatasetSettings
    from bioimage_assets.core.storage.state import StorageState


class CurrentPlates:
    """Compares what is stored with what is in the watched roots; the settings of each dataset are read once."""

    def __init__(self, project: ProjectResource, state: "StorageState") -> None:
        self._project, self._state = project, state
        self._settings: dict[str, DatasetSettings | None] = {}

    def has_plate(self, source: "PlateSource", steps: "Iterable[StepSpec] | None" = None) -> bool:
        """Whether a plate needs no work, in all steps that can be built here or in some."""
        from bioimage_assets.core.model.left_out import list_buildable
        from bioimage_assets.core.storage.fingerprints import is_current

        settings = self._read_settings(source.dataset_uri)
        steps = list_buildable("plate") if steps is None else steps
        return settings is not None and is_current(self._state, steps, source.plate_key, [source], settings)

    def has_dataset(self, dataset: str, sources: "Sequence[PlateSource]") -> bool:
        """Whether a dataset needs no work, given all its plates."""
        from bioimage_assets.core.storage.fingerprints import is_dataset_current

        settings = self._read_settings(sources[0].dataset_uri) if sources else None
        return settings is not None and is_dataset_current(self._state, dataset, sources, settings)

    def has_campaign(self, campaign: "CampaignSettings", sources: "Sequence[PlateSource]") -> bool:
        """Whether a campaign needs no work, given all plates of the watched roots."""
        from bioimage_assets.core.storage.fingerprints import is_campaign_current

        try:
            found = self._project.gather_campaign(campaign, sources)
        except BioimageError:
            return False
        return bool(found.sources) and is_campaign_current(self._state, found.settings, found.sources)

    def _read_settings(self, dataset_uri: str) -> "DatasetSettings | None":
        """None where ``dataset.toml`` cannot be used: the run that is asked for says why."""
        if dataset_uri not in self._settings:
            try:
                self._settings[dataset_uri] = self._project.dataset_settings(dataset_uri)
            except BioimageError:
                self._settings[dataset_uri] = None
        return self._settings[dataset_uri]
