"""What a stored table was made of, as one digest: its own version, the stored fingerprints of what it read, and exactly the
files and settings that it read itself.

A table is current where the digest that it was stored under is the one that it would get now. Nothing is current on the word
of a file that its step did not read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

from bioimage_assets.core.model.fingerprint import combine_fingerprints
from bioimage_assets.core.model.left_out import list_buildable
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.model.step_spec import StepSpec
from bioimage_assets.core.settings.campaign import CampaignSettings
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.storage.state import StorageState

StoredFingerprint = Callable[[str, str], str | None]
"""Gives the fingerprint under which a table (name, partition) is stored, None where it is not."""


def compute_fingerprints(
    step: StepSpec,
    partition: str,
    sources: Sequence[PlateSource],
    settings: DatasetSettings,
    stored: StoredFingerprint,
) -> dict[str, str]:
    """Fingerprints that the tables of a step would get now, by name.

    ``sources`` are the plate, or all plates of the dataset or campaign. Asked before the step reads anything: files or tables that are
    replaced while it runs give the next look another digest.
    """
    parts = [f"reads {name}={stored(name, partition)}" for name in step.inputs]
    parts += [
        f"reads {source.plate_key} {name}={stored(name, source.plate_key)}"
        for source in sources
        for name in step.of_plates
    ]
    parts += [
        f"files {source.plate_key} {kind}={source.signatures.get(kind)}"
        for source in sources
        for kind in step.files
    ]
    parts += [f"setting {name}={_write_value(getattr(settings, name))}" for name in step.settings]
    return {
        table.name: combine_fingerprints([*parts, f"table {table.name} version {table.version}"])
        for table in step.tables
    }


def is_current(
    state: StorageState,
    steps: Iterable[StepSpec],
    partition: str,
    sources: Sequence[PlateSource],
    settings: DatasetSettings,
) -> bool:
    """Whether every table of the steps is stored as it would be built now, and nothing of the partition is lost."""
    return not state.lost(partition) and all(
        state.fingerprint(name, partition) == wanted
        for step in steps
        for name, wanted in compute_fingerprints(
            step, partition, sources, settings, state.fingerprint
        ).items()
    )


def is_dataset_current(
    state: StorageState, dataset: str, sources: Sequence[PlateSource], settings: DatasetSettings
) -> bool:
    """Whether the dataset's tables and page are made from its plates as they are stored now."""
    return is_current(state, list_buildable("dataset"), dataset, sources, settings)


def is_campaign_current(
    state: StorageState, settings: CampaignSettings, sources: Sequence[PlateSource]
) -> bool:
    """Whether the campaign's tables and page are made from the plates of its datasets as they are stored now."""
    return is_current(state, list_buildable("campaign"), settings.key, sources, settings)


def _write_value(value: object) -> str:
    """A setting as text that is the same for equal values."""
    return json.dumps(value, sort_keys=True, default=_as_plain)


def _as_plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
