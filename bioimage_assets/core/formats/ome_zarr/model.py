"""One ``multiscales`` entry of any OME-Zarr version, as the record builder needs it.

Source of truth: https://ngff.openmicroscopy.org/ (0.1 to 0.5) and its 0.6 release candidate.
"""

from __future__ import annotations

from dataclasses import dataclass

from bioimage_assets.core.findings import Severity


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis; ``name`` is one of ``t c z y x`` where it can be told (``core.model.axes``), ``kind`` and ``unit`` are as stored."""

    name: str
    kind: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution level: path of its array below the image group, pixel size per axis, and where its first pixel lies if that is said."""

    path: str
    scale: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    """Something odd in the image's own metadata."""

    code: str
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True)
class Multiscale:
    """One image: axes (None where not usable), levels with safe paths, and what was odd.

    ``multiscales.name`` is left out: without it the fields of a plate share one object.
    """

    version: str | None
    axes: tuple[Axis, ...] | None
    levels: tuple[Level, ...]
    issues: tuple[Issue, ...] = ()


IMPLIED_AXES = tuple(
    Axis(name, kind)
    for name, kind in (("t", "time"), ("c", "channel"), ("z", "space"), ("y", "space"), ("x", "space"))
)
