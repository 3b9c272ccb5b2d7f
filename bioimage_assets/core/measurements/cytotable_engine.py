"""Converts measurements with CytoTable: one ``cytotable.convert`` call per folder, beside this process.

Why a process of its own: CytoTable needs DuckDB < 2, installs DuckDB extensions, writes ``runinfo``
into the working folder and keeps memory. The interpreter is ``BIOIMAGE_CYTOTABLE_PYTHON`` or, where the
extra ``cytotable`` is installed, this one. https://cytomining.github.io/CytoTable/
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from bioimage_assets.core.errors import MeasurementError
from bioimage_assets.core.extras import build_missing
from bioimage_assets.core.measurements.columns import ColumnRole, SourceColumn, storable_type
from bioimage_assets.core.measurements.csv_staging import StagedTable
from bioimage_assets.core.measurements.duckdb_engine import ROW_GROUP_ROWS
from bioimage_assets.core.measurements.model import PlateContext
from bioimage_assets.core.settings.needed_extras import CYTOTABLE_PYTHON as PYTHON_VARIABLE
from bioimage_assets.core.sql import quote_identifier, quote_literal
from bioimage_assets.core.sql_files import parquet_relation, plain_path

CHUNK_ROWS = 50_000  # CytoTable's chunk_size (default 1,000): it runs its joins once per chunk
TIMEOUT_S = 6 * 3600.0  # a conversion that takes longer hangs
_SCRIPT = Path(__file__).with_name("cytotable_convert.py")


def find_cytotable_python() -> str | None:
    """The interpreter that runs CytoTable, None where there is none."""
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        return named if Path(named).exists() else None
    usable = importlib.util.find_spec("cytotable") is not None and int(duckdb.__version__.split(".")[0]) < 2
    return sys.executable if usable else None


def convert_with_cytotable(source: str, target: Path, preset: str, datatype: str) -> None:
    """Convert one folder or file into one Parquet file with CytoTable.

    Raises
    ------
    MissingExtraError
        No interpreter with CytoTable is known.
    MeasurementError
        CytoTable failed; its last lines are in the message.
    """
    python = find_cytotable_python()
    if python is None:
        instead = f"Or let {PYTHON_VARIABLE} name a Python that has CytoTable and DuckDB < 2; the engine 'duckdb' needs neither."
        found = ImportError(f"CytoTable needs DuckDB < 2, here is {duckdb.__version__}")
        raise build_missing('[measurements] engine = "cytotable"', "cytotable", found, instead)
    folder = target.parent / f"{target.stem}-work"
    folder.mkdir(parents=True)
    command = [python, str(_SCRIPT), plain_path(source), str(target), preset, datatype, str(CHUNK_ROWS)]
    environment = {**os.environ, "PATH": f"{Path(python).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MeasurementError(f"{source}: CytoTable did not run: {error}.") from error
    if done.returncode or not target.is_file():
        lines = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise MeasurementError(f"{source}: CytoTable failed: {' | '.join(lines) or done.returncode}.")


def stage_cytotable_outputs(
    connection: duckdb.DuckDBPyConnection,
    sources: Sequence[tuple[int, str]],
    context: PlateContext,
    *,
    preset: str = "cellprofiler_csv",
    datatype: str = "csv",
    with_image_columns: bool = False,
) -> StagedTable:
    """Convert each ``(unit, folder or file)`` on its own and stage the results as one table of cells.

    One call per folder, since CytoTable joins several plates or sites of equal ImageNumbers crosswise.
    ``with_image_columns`` keeps its ``Image_*`` columns, for sources without an image table of their own.
    """
    columns: dict[str, SourceColumn] = {}
    outputs: list[tuple[int, Path]] = []
    for unit, source in sources:
        target = context.staging_dir / f"cytotable-{unit}.parquet"
        convert_with_cytotable(source, target, preset, datatype)
        outputs.append((unit, target))
        for field in pq.read_schema(target):
            if field.name.startswith("Image_") and not with_image_columns:
                continue
            columns.setdefault(
                field.name, describe_cytotable_column(field.name, storable_type(field.type, field.name))
            )
    slots = {name: f"c{i}" for i, name in enumerate(columns)}
    paths = []
    for unit, output in outputs:
        path = str(context.staging_dir / f"cells-{unit}.parquet")
        names = [name for name in pq.read_schema(output).names if name in slots]
        listed = ", ".join(f"{quote_identifier(name)} AS {slots[name]}" for name in names)
        connection.execute(
            f"COPY (SELECT {unit}::BIGINT AS unit, 0::BIGINT AS block, {listed} FROM {parquet_relation([output])} "
            f"ORDER BY {quote_identifier('Metadata_ImageNumber')}, {quote_identifier('Metadata_ObjectNumber')}) "
            f"TO {quote_literal(path)} (FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
        )
        output.unlink()
        paths.append(path)
    rows = sum(pq.read_metadata(path).num_rows for path in paths)
    return StagedTable("Cytoplasm", tuple(paths), tuple(columns.values()), rows)


def describe_cytotable_column(name: str, kind: pa.DataType) -> SourceColumn:
    """Columns of CytoTable's output keep their names; only image and object number have a role."""
    role = {"Metadata_ImageNumber": "image", "Metadata_ObjectNumber": "object"}.get(name, "number")
    return SourceColumn(name, cast(ColumnRole, role), name, kind)
