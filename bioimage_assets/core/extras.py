"""Optional libraries by the extra that brings them: what is not installed here, and the one sentence that says what to install."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

from bioimage_assets.core.errors import MissingExtraError

PACKAGE = "bioimage_assets"


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of pyproject.toml: its name, and the modules that are imported where it is needed."""

    name: str
    modules: tuple[str, ...]


_CYTOMINING = ("cosmicqc", "pycytominer", "matplotlib", "pandas", "sklearn", "threadpoolctl", "polars")
EXTRAS = {
    extra.name: extra
    for extra in (
        Extra("cytomining", _CYTOMINING),
        Extra("demo", _CYTOMINING),
        Extra("spark", ("pyspark",)),
        Extra("duckdb-iceberg", ("duckdb_extension_iceberg", "duckdb_extension_avro")),
        Extra("cytotable", ("cytotable",)),
        Extra("ome-arrow", ("ome_arrow",)),
        Extra("virtual", ("imagecodecs", "icechunk")),
        Extra("batch", ("harmonypy",)),
        Extra("hits", ("copairs",)),
        Extra("anndata", ("anndata",)),
        Extra("spatialdata", ("spatialdata",)),
        Extra("release", ("rocrate",)),
        Extra("postgres", ("psycopg2", "dagster_postgres")),
        Extra("s3", ("s3fs",)),
    )
}


@cache
def find_missing(name: str) -> tuple[str, ...]:
    """Modules of an extra that are not installed; none is imported. Asked once: an installation takes effect in the next process."""
    return tuple(module for module in EXTRAS[name].modules if not _is_there(module))


def find_extra_of(error: ImportError) -> Extra | None:
    """The extra that brings what an import, or fsspec's own words for one, did not find; None where no extra does."""
    named = [(error.name or "").partition(".")[0], *str(error).split()]
    return next((extra for extra in EXTRAS.values() if not set(named).isdisjoint(extra.modules)), None)


def say_install(name: str) -> str:
    """What is needed, and the command that installs it."""
    return f"needs the extra: pip install '{PACKAGE}[{name}]'"


def build_missing(
    what: str, name: str, error: ImportError | None = None, instead: str = ""
) -> MissingExtraError:
    """The error of something that needs an extra; ``error`` tells why a library that is there cannot be imported."""
    missing = find_missing(name)
    reason = f"not installed: {', '.join(missing)}" if missing else f"not importable: {error}"
    return MissingExtraError(f"{what} {say_install(name)} ({reason}).{instead and f' {instead}'}")


def require_extra(what: str, name: str) -> None:
    """Refuse something before it begins.

    Raises
    ------
    MissingExtraError
        A module of the extra is not installed.
    """
    if find_missing(name):
        raise build_missing(what, name)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
