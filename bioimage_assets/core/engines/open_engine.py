"""The engine that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bioimage_assets.core.errors import SettingsError
from bioimage_assets.core.extras import build_missing
from bioimage_assets.core.settings.project import (
    DEFAULT_ENGINE,
    DEFAULT_ENGINE_MEMORY_GB,
    DEFAULT_SPARK_REMOTE,
    ENGINES,
    ProjectSettings,
)

if TYPE_CHECKING:
    from bioimage_assets.core.engines.engine import Engine


def open_project_engine(settings: ProjectSettings) -> Engine:
    """Open the engine of a project; errors as of :func:`open_engine`."""
    return open_engine(settings.engine, settings.spark_remote, settings.engine_memory_gb)


def open_engine(
    name: str = DEFAULT_ENGINE,
    spark_remote: str = DEFAULT_SPARK_REMOTE,
    memory_gb: float = DEFAULT_ENGINE_MEMORY_GB,
) -> Engine:
    """Open an engine by the project's settings ``engine``, ``spark_remote`` and ``engine_memory_gb``.

    Raises
    ------
    SettingsError
        No engine has this name, or no Spark server answers.
    MissingExtraError
        What the engine needs is not installed.
    """
    memory_bytes = int(memory_gb * (1 << 30))
    # Each is an optional library that takes up to a second to load: only the chosen one is.
    if name == "polars":
        try:
            from bioimage_assets.core.engines.polars_engine import PolarsEngine
        except ImportError as error:
            raise build_missing(f"BIOIMAGE_ENGINE={name}", "cytomining", error) from error
        return PolarsEngine(memory_bytes)
    if name == "spark":
        try:
            from bioimage_assets.core.engines.spark_connect import connect_spark
        except ImportError as error:
            extra = "cytomining" if (error.name or "").startswith("polars") else "spark"
            raise build_missing(f"BIOIMAGE_ENGINE={name}", extra, error) from error
        return connect_spark(spark_remote, memory_bytes)
    raise SettingsError(f"BIOIMAGE_ENGINE is {name!r}; expected {' or '.join(ENGINES)}.")
