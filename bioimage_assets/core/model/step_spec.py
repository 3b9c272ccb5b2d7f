"""What a step, a table and a check are declared by."""

from dataclasses import dataclass
from typing import Literal

Dimension = Literal["plate", "dataset", "campaign"]
"""What one partition of a table is."""

Home = Literal["catalog", "warehouse", "copy", "page", "files"]
"""Where a table is kept: ``catalog`` and ``warehouse`` as the settings say, ``copy`` is the plate's part of the catalog
in the warehouse, ``page`` an HTML file, ``files`` are other files beside the warehouse, of plates that ask for them."""

Files = Literal["stores", "measurements", "platemaps", "listing"]
"""Files of a plate that a step reads; ``listing`` is what the listing of its dataset says about it."""


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """One check of a table: ``check`` is ``module:function``, called with the step inputs of a plate, gives a verdict."""

    name: str
    summary: str
    check: str
    is_blocking: bool = False


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table. ``summary`` is the first line that a biologist reads, ``grain`` says what one row is.

    ``version`` is raised when the code of the table changes what it holds: the table, and what reads it, are then built
    again. ``role``, ``namespace``, ``join_keys`` and levels stand in the warehouse manifest. ``unique_by`` names the columns
    that no two rows share; ``partition_column`` holds the partition key of a row.
    """

    name: str
    summary: str
    version: int = 1
    home: Home = "warehouse"
    grain: str = ""
    role: str = "profiles"
    namespace: str = "profiles"
    join_keys: tuple[str, ...] = ("dataset_id",)
    unique_by: tuple[str, ...] = ()
    analysis_level: str | None = None
    object_type: str | None = None
    partition_column: str = "plate_key"
    kinds: tuple[str, ...] = ("parquet",)
    checks: tuple[CheckSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One step: the tables that are made from one look at their inputs, and exactly what they are made of.

    Parameters
    ----------
    build
        ``module:function``, called with :class:`~bioimage_assets.core.storage.step_inputs.StepInputs` of one partition. Gives an
        Arrow table, a ``PlateTable``, or a mapping of table name to either; None where the partition has no such table.
    inputs
        Tables of the same partition that the step reads; their stored fingerprints are a part of its own.
    of_plates
        Tables of all plates of the dataset, or of all datasets of the campaign, that a step of one reads.
    files
        Files that the step reads itself.
    settings
        Fields of ``DatasetSettings`` (of ``CampaignSettings``) that the step reads. A change of another one leaves its tables
        alone.
    after
        Tables that are built before, though they are not read.
    extra
        Extra of pyproject.toml without which the step is left out; empty where a plain installation builds it.
    """

    name: str
    build: str
    tables: tuple[TableSpec, ...]
    group: str
    details: str = ""
    dimension: Dimension = "plate"
    inputs: tuple[str, ...] = ()
    of_plates: tuple[str, ...] = ()
    files: tuple[Files, ...] = ()
    settings: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    extra: str = ""
    pool: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the step's tables."""
        return tuple(table.name for table in self.tables)

    @property
    def is_scan(self) -> bool:
        """Whether it reads stores: such a step makes only the tables that are asked for."""
        return "stores" in self.files
