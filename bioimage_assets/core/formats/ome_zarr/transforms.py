"""Where the pixels of an image lie, from NGFF coordinate transformations: one scale and one offset per axis.

Source of truth: https://ngff.openmicroscopy.org/0.5/index.html#trafo-md (scale, translation, identity) and 0.6, which adds the others
(https://github.com/ome/ngff-spec, coordinate_transformations.schema). What turns, shears or is stored in an array has no scale per axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bioimage_assets.core.formats.zarr.documents import JsonObject, as_floats, as_list, as_object

_MAX_NESTING = 16  # sequences in sequences (0.6); writers nest one level


class AxisMap(NamedTuple):
    """Coordinate ``i`` of a pixel is ``scale[i] * index[source[i]] + offset[i]``.

    ``is_moved`` tells that a translation is stated, if only one by zero.
    """

    source: tuple[int, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    is_moved: bool = False


def read_axis_map(transforms: object, axis_count: int) -> AxisMap | None:
    """Follow a list of transformations from first to last; None where one of them is not a scale and an offset per axis."""
    return _fold(as_list(transforms), axis_count, 0)


def has_scale(transforms: object) -> bool:
    """Tell whether a list states a scale, as 0.4 and 0.5 demand of every level; iohub writes ``identity``, which is scale 1."""
    kinds = {as_object(item).get("type") for item in as_list(transforms)}
    return not kinds.isdisjoint({"scale", "sequence", "identity"})


def leads_elsewhere(transform: object) -> bool:
    """Tell whether a transformation names the coordinate system that it leads to: then it is one of several, and not the image's own."""
    return as_object(transform).get("output") is not None


def describe_types(transforms: object) -> str:
    """Types of a list, for findings."""
    return ", ".join(f"{as_object(item).get('type')!r:.40}" for item in as_list(transforms)[:4])


def follow(first: AxisMap, second: AxisMap) -> AxisMap:
    """The map that does what the first does and then the second."""
    return AxisMap(
        tuple(first.source[own] for own in second.source),
        tuple(first.scale[own] * factor for own, factor in zip(second.source, second.scale, strict=True)),
        tuple(
            first.offset[own] * factor + shift
            for own, factor, shift in zip(second.source, second.scale, second.offset, strict=True)
        ),
        first.is_moved or second.is_moved,
    )


def _identity(count: int) -> AxisMap:
    return AxisMap(tuple(range(count)), (1.0,) * count, (0.0,) * count)


def _fold(transforms: Sequence[object], count: int, depth: int) -> AxisMap | None:
    total = _identity(count)
    for item in transforms:
        transform = as_object(item)
        read = _READERS.get(str(transform.get("type")))
        step = read(transform, count, depth) if read is not None and depth < _MAX_NESTING else None
        if step is None:
            return None
        total = follow(total, step)
    return total


def _read_identity(_: JsonObject, count: int, __: int) -> AxisMap | None:
    return _identity(count)


def _read_scale(transform: JsonObject, count: int, _: int) -> AxisMap | None:
    scale = as_floats(transform.get("scale"))
    return _identity(count)._replace(scale=scale) if scale is not None and len(scale) == count else None


def _read_translation(transform: JsonObject, count: int, _: int) -> AxisMap | None:
    offset = as_floats(transform.get("translation"))
    if offset is None or len(offset) != count:
        return None
    return _identity(count)._replace(offset=offset, is_moved=True)


def _read_map_axis(transform: JsonObject, count: int, _: int) -> AxisMap | None:
    source = [
        item
        for item in as_list(transform.get("mapAxis"))
        if isinstance(item, int) and not isinstance(item, bool)
    ]
    return _identity(count)._replace(source=tuple(source)) if sorted(source) == list(range(count)) else None


def _read_affine(transform: JsonObject, count: int, _: int) -> AxisMap | None:
    rows = _read_matrix(transform.get("affine"), count, count + 1)
    if rows is None:
        return None
    turned = _read_rows([row[:-1] for row in rows])
    return turned and turned._replace(offset=tuple(row[-1] for row in rows), is_moved=True)


def _read_rotation(transform: JsonObject, count: int, _: int) -> AxisMap | None:
    rows = _read_matrix(transform.get("rotation"), count, count)
    return None if rows is None else _read_rows(rows)


def _read_sequence(transform: JsonObject, count: int, depth: int) -> AxisMap | None:
    return _fold(as_list(transform.get("transformations")), count, depth + 1)


def _read_bijection(transform: JsonObject, count: int, depth: int) -> AxisMap | None:
    return _fold([transform.get("forward")], count, depth + 1)


def _read_matrix(value: object, row_count: int, width: int) -> list[tuple[float, ...]] | None:
    listed = as_list(value)
    if len(listed) != row_count:
        return None
    rows = [row for item in listed if (row := as_floats(item)) is not None and len(row) == width]
    return rows if len(rows) == row_count else None


def _read_rows(rows: Sequence[tuple[float, ...]]) -> AxisMap | None:
    """A matrix with one number per row and column is a scale per axis; any other turns or shears."""
    places = [[place for place, value in enumerate(row) if value] for row in rows]
    if any(len(found) != 1 for found in places):
        return None
    source = tuple(found[0] for found in places)
    if len(set(source)) != len(rows):
        return None
    scale = tuple(row[place] for row, place in zip(rows, source, strict=True))
    return AxisMap(source, scale, (0.0,) * len(rows))


_READERS: Mapping[str, Callable[[JsonObject, int, int], AxisMap | None]] = {
    "identity": _read_identity,
    "scale": _read_scale,
    "translation": _read_translation,
    "mapAxis": _read_map_axis,
    "affine": _read_affine,
    "rotation": _read_rotation,
    "sequence": _read_sequence,
    "bijection": _read_bijection,
}
