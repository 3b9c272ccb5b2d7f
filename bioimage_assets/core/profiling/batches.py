"""Which batch each plate of a dataset is of, and which batch the others are brought to.

A batch is what was stained and imaged together. Whole plates are of one: their controls are compared with each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd
import pyarrow as pa

from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.settings.dataset import DatasetSettings

ONE_BATCH = "all plates"
UNNAMED = "unnamed"
_SETTING = '[batch_effects] batches = { "day 1" = ["plate-1*"], "day 2" = ["plate-2*"] }'


@dataclass(frozen=True, slots=True)
class Batches:
    """Batch of every well (``of_wells``, text) and of every plate by its key; ``source`` says what named them."""

    of_wells: np.ndarray
    of_plates: dict[str, str]
    source: str
    findings: tuple[Finding, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All batches, sorted."""
        return tuple(sorted(set(self.of_plates.values())))

    def plates_of(self, batch: str) -> list[str]:
        """Keys of the plates of a batch, in the order of the wells."""
        return [plate for plate, own in self.of_plates.items() if own == batch]


def find_batches(wells: pd.DataFrame, settings: DatasetSettings) -> Batches:
    """Name the batch of each plate: by ``plate_batches``, else by the batch column, else one for all.

    ``wells`` has the columns ``plate_key`` and, where the platemaps have it, the batch column. A plate that several batches
    are written for is of the commonest; a plate that none is written for is of the batch ``unnamed``. Both are findings.
    """
    plates = wells["plate_key"].astype(str)
    keys = list(dict.fromkeys(plates))
    column = settings.batch_column
    findings: list[Finding] = []
    if settings.plate_batches:
        of_plates = {key: _match(key, settings) for key in keys}
        source = "[batch_effects] batches"
    elif column in wells and wells[column].notna().any():
        of_plates = {str(key): _commonest(part[column]) for key, part in wells.groupby(plates, sort=False)}
        findings += _describe_split(wells, plates, column)
        source = column
    else:
        return Batches(np.full(len(wells), ONE_BATCH, object), dict.fromkeys(keys, ONE_BATCH), "")
    findings += _describe_unnamed([key for key in keys if of_plates[key] == UNNAMED], source)
    return Batches(plates.map(of_plates).to_numpy(dtype=object), of_plates, source, tuple(findings))


def find_plate_batches(
    plate_keys: Sequence[str], wells: Sequence[pa.Table], settings: DatasetSettings
) -> dict[str, str]:
    """Batch of each plate, also of those without profiles: the only batch of the others, where there is one, else ``unnamed``."""
    columns = ["plate_key", settings.batch_column]
    frames = [
        table.select([name for name in columns if name in table.column_names]).to_pandas()
        for table in wells
        if "plate_key" in table.column_names
    ]
    known = pd.concat([*frames, pd.DataFrame({"plate_key": list(plate_keys)})], ignore_index=True)
    if settings.plate_batches or not frames:
        return find_batches(known[["plate_key"]], settings).of_plates
    found = find_batches(pd.concat(frames, ignore_index=True), settings).of_plates
    others = next(iter(set(found.values()))) if len(set(found.values())) == 1 else UNNAMED
    return {key: found.get(key, others) for key in plate_keys}


def choose_reference(
    names: Sequence[str], settings: DatasetSettings, stored: str | None, usable: Sequence[str]
) -> str:
    """The batch that the others are brought to: the one that is asked for, else the stored one, else the first usable by name.

    Raises
    ------
    ProfilingError
        The batch that is asked for is not there, or has too few controls.
    """
    asked = settings.reference_batch
    if asked is not None:
        if asked not in names:
            raise ProfilingError(
                f"dataset.toml: [batch_effects] reference_batch is {asked!r}, which no plate is of; expected one of "
                f"{', '.join(names)}."
            )
        if asked not in usable:
            raise ProfilingError(
                f"dataset.toml: [batch_effects] reference_batch is {asked!r}, which has too few control wells to be fitted on; "
                f"expected one of {', '.join(usable) or 'none: no batch has enough'}."
            )
        return asked
    return stored if stored is not None and stored in usable else sorted(usable)[0]


def _match(plate_key: str, settings: DatasetSettings) -> str:
    plate = plate_key.rpartition("/")[2]
    found = (
        batch
        for batch, patterns in settings.plate_batches.items()
        for pattern in patterns
        if fnmatchcase(plate, pattern)
    )
    return next(found, UNNAMED)


def _commonest(values: pd.Series) -> str:
    counts = values.dropna().astype(str).value_counts()
    return sorted(counts[counts == counts.max()].index)[0] if len(counts) else UNNAMED


def _describe_split(wells: pd.DataFrame, plates: pd.Series, column: str) -> list[Finding]:
    counts = wells[column].groupby(plates).nunique()
    split = sorted(map(str, counts[counts > 1].index))
    if not split:
        return []
    verb = "has wells" if len(split) == 1 else "have wells"
    message = (
        f"{count_words(len(split), 'plate', 'plates')} {verb} of several batches in {column}: {', '.join(split[:4])}. Each is "
        f"taken for the commonest; write the batches of plates in dataset.toml: {_SETTING}."
    )
    return [Finding("plate-of-two-batches", "warning", ", ".join(split[:4]), message)]


def _describe_unnamed(plates: Sequence[str], source: str) -> list[Finding]:
    if not plates:
        return []
    verb = "is" if len(plates) == 1 else "are"
    message = (
        f"{count_words(len(plates), 'plate', 'plates')} {verb} of no batch by {source}: {', '.join(plates[:4])}. They are "
        f"taken for a batch of their own ({UNNAMED}); name it in dataset.toml: {_SETTING}."
    )
    return [Finding("plate-without-batch", "warning", ", ".join(plates[:4]), message)]
