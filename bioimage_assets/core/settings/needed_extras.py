"""Settings that ask for a library of an extra, and a sentence for each whose library is not installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.extras import find_missing, say_install
from bioimage_assets.core.model.left_out import list_buildable
from bioimage_assets.core.model.step_spec import Dimension
from bioimage_assets.core.settings.dataset import DatasetSettings
from bioimage_assets.core.settings.project import ProjectSettings

# Field of DatasetSettings, the value that needs an extra, the extra, and the setting as it is written.
_ASKED = (
    ("measurement_engine", "cytotable", "cytotable", '[measurements] engine = "cytotable"'),
    ("batch_method", "harmony", "batch", '[batch_effects] method = "harmony"'),
    ("hits_average_precision", "copairs", "hits", '[hits] average_precision = "copairs"'),
    ("virtual_plate_format", "icechunk", "virtual", '[virtual_plates] format = "icechunk"'),
)
_OF_DATASETS: tuple[Dimension, ...] = ("plate", "dataset")
# A Python of its own that has CytoTable.
CYTOTABLE_PYTHON = "BIOIMAGE_CYTOTABLE_PYTHON"


def list_needed_by_datasets(
    dataset_uris: Iterable[str], read: Callable[[str], DatasetSettings]
) -> Iterator[str]:
    """What datasets ask for and is not installed; one whose settings cannot be read says so when its plates are built."""
    for uri in sorted(dataset_uris):
        try:
            settings = read(uri)
        except BioimageError:
            continue
        for setting, extra, tables in list_needed(settings):
            yield f"{uri.rstrip('/')}/dataset.toml: {setting} {say_install(extra)}; {', '.join(tables)} will fail"


def list_needed(settings: DatasetSettings) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Settings whose library is not installed: as they are written, the extra, and the tables that want it."""
    for field, value, extra, written in _ASKED:
        if getattr(settings, field) != value or not find_missing(extra):
            continue
        if (value == "icechunk" and not settings.write_virtual_plate) or (
            value == "cytotable" and os.environ.get(CYTOTABLE_PYTHON)
        ):
            continue
        steps = [
            step
            for of in _OF_DATASETS
            for step in list_buildable(of)
            if field in step.settings and step.tables[0].home != "page"  # pages show all settings
        ]
        if steps:
            yield written, extra, tuple(name for step in steps for name in step.names)


def list_needed_by_project(settings: ProjectSettings) -> Iterator[str]:
    """What the environment asks for and is not installed."""
    if settings.engine == "spark" and find_missing("spark"):
        yield f"BIOIMAGE_ENGINE=spark {say_install('spark')}; the tables of datasets and campaigns will fail"
