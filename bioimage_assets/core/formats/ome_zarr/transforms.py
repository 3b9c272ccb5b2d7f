"""One pixel size per axis from NGFF coordinate transformations.

Source of truth: https://ngff.openmicroscopy.org/0.5/index.html#trafo-md (scale, translation, identity) and
the 0.6 release candidate (``sequence``). Translations move the origin and do not matter here.
"""

from __future__ import annotations

from collections.abc import Sequence

from bioimage_assets.core.formats.zarr.documents import as_floats, as_list, as_object

Scale = tuple[float, ...]
_MAX_NESTING = 16  # sequences in sequences (0.6); writers nest one level


def read_scale(transforms: object) -> Scale | None:
    """Multiply all scales of a list of transformations; None where there is none.

    Sequences are entered; any transformation that is not a scale, translation or identity makes the
    pixel size unknown.
    """
    total, known = _fold(as_list(transforms), 0)
    return total if known else None


def _fold(transforms: Sequence[object], depth: int) -> tuple[Scale | None, bool]:
    total: Scale | None = None
    for item in transforms:
        transform = as_object(item)
        kind = transform.get("type")
        if kind == "scale":
            scale: Scale | None = as_floats(transform.get("scale"))
        elif kind == "sequence" and depth < _MAX_NESTING:
            scale, known = _fold(as_list(transform.get("transformations")), depth + 1)
            if not known:
                return None, False
            if scale is None:
                continue
        elif kind in ("translation", "identity"):
            continue
        else:
            return None, False
        if scale is None:
            return None, False
        total = multiply_scales(total, scale)
        if total is None:
            return None, False
    return total, True


def multiply_scales(first: Scale | None, second: Scale | None) -> Scale | None:
    """Multiply two scales axis by axis; None counts as one, different lengths give None."""
    if first is None:
        return second
    if second is None:
        return first
    if len(first) != len(second):
        return None
    return tuple(a * b for a, b in zip(first, second, strict=True))
