"""What a measurement reader is given about a plate, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.measurements.limits import DEFAULT_LIMITS, MeasurementLimits
from bioimage_assets.core.settings.dataset import DatasetSettings

Grain = Literal["cell", "image", "well"]
SourceKind = Literal[
    "table",
    "cellprofiler-csv",
    "cellprofiler-sqlite",
    "cytotable",
    "cytotable-warehouse",
    "deepprofiler",
    "in-carta",
    "anndata",
]


@dataclass(frozen=True, slots=True)
class PlateMeasurements:
    """The measurements of one plate as one stream of rows, one row per cell unless ``grain`` says otherwise.

    Parameters
    ----------
    reader
        Record batches of one schema. It can be consumed once; closing or dropping it removes the staged copy.
    row_count
        Rows the reader will give, None where only reading tells.
    findings
        What was odd, missing or repaired; complete when this object exists, not only after reading.
    image_table
        One row per measured image (``Image.csv``): position, counts, file names, paths and digests.
        None where the source has no image table.
    source_files
        The files that were read, as given, in the order of the rows.
    kind
        Which reader understood the sources.
    grain
        What one row is.
    """

    reader: pa.RecordBatchReader
    row_count: int | None
    findings: tuple[Finding, ...]
    image_table: pa.Table | None
    source_files: tuple[str, ...]
    kind: SourceKind = "table"
    grain: Grain = "cell"


@dataclass(frozen=True, slots=True)
class PlateContext:
    """Identity of the plate that is read, its dataset's settings, and where staged files may lie.

    ``memory_limit_bytes`` bounds what the SQL engine may hold; larger joins spill into ``staging_dir``.
    ``storage_options`` open sources that lie in a bucket. ``limits`` bound what foreign files may claim.
    """

    plate_key: str
    dataset_id: str
    plate_name: str
    settings: DatasetSettings
    staging_dir: Path
    memory_limit_bytes: int
    storage_options: Mapping[str, object] = field(default_factory=dict)
    limits: MeasurementLimits = DEFAULT_LIMITS
