"""Turns rows of ``image_assets`` into the fields of view whose quality is asked for: images of a plate, not labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.pixels.location import ImageGeometry, read_geometry

_COLUMNS = ("image_id", "plate_id", "well_id", "site_id", "acquisition_id", "channel_names", "image_kind")


@dataclass(frozen=True, slots=True)
class QualityField:
    """One field of view: who it is, and what reading needs; without ``geometry`` the ``reason`` says why it cannot be read."""

    image_id: str | None
    plate_id: str | None
    well_id: str | None
    site_id: str | None
    acquisition_id: str | None
    channels: tuple[str | None, ...]
    geometry: ImageGeometry | None = None
    reason: str = ""


def list_fields(image_assets: pa.Table) -> list[QualityField]:
    """Fields in the order of their rows; what cannot be opened is listed with the reason."""
    rows = image_assets.filter(pa.array([kind != "label" for kind in image_assets["image_kind"].to_pylist()]))
    return [_build_field(row) for row in rows.to_pylist()]


def _build_field(row: Mapping[str, object]) -> QualityField:
    geometry, reason = None, ""
    try:
        geometry = read_geometry(row)
        if geometry.axis("y") is None or geometry.axis("x") is None:
            geometry, reason = None, f"image {row['image_id']} has axes {row['axes']}, expected y and x"
    except BioimageError as error:
        reason = str(error)
    names: tuple[str | None, ...] = tuple(row.get("channel_names") or ())  # type: ignore[arg-type]
    if geometry is not None:
        names = tuple(names[index] if index < len(names) else None for index in range(geometry.channel_count))
    named = {name: _text(row.get(name)) for name in _COLUMNS[:5]}
    return QualityField(**named, channels=names or (None,), geometry=geometry, reason=reason)


def name_channel(field: QualityField, index: int) -> str | None:
    """Name of a channel: its own, else its number where there are several; None for the only one."""
    own = field.channels[index]
    return own if own is not None or len(field.channels) == 1 else f"channel {index}"


def _text(value: object) -> str | None:
    return None if value is None else str(value)
