"""What the axes of an image are called: ``t c z y x``, whatever a writer calls them, and how many channels there are.

OME-NGFF says what an axis is by its ``type`` (time, channel, space) and leaves the name free, but for the order z, y, x of the space
axes: https://ngff.openmicroscopy.org/0.5/index.html#axes-md. Writers use capitals (``T C Z Y X``) and words (``time``, ``row``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bioimage_assets.core.findings import Severity

_NAMES = {
    "t": ("t", "time", "times", "timepoint", "timepoints", "frame", "frames"),
    "c": ("c", "ch", "channel", "channels", "wavelength", "wavelengths", "lambda"),
    "z": ("z", "depth", "slice", "slices", "zslice", "plane", "planes", "zplane"),
    "y": ("y", "row", "rows", "height"),
    "x": ("x", "col", "cols", "column", "columns", "width"),
}
_LETTER_OF_NAME = {name: letter for letter, names in _NAMES.items() for name in names}
_LETTER_OF_TYPE = {"time": "t", "channel": "c"}
_SPACE = "zyx"


class AxisDoubt(NamedTuple):
    """Why an axis keeps the name that was written."""

    severity: Severity
    message: str


class NamedAxes(NamedTuple):
    """One name per axis: a letter of ``t c z y x``, or what was written; and why that was kept."""

    names: tuple[str, ...]
    doubts: tuple[AxisDoubt, ...] = ()


def name_axes(written: Sequence[str], types: Sequence[str | None]) -> NamedAxes:
    """Give each axis its letter: by its type, by its name where the type is absent or is space.

    Space axes of odd names are z, y, x by their order. A type that the name contradicts, and two axes of one letter, keep their names.

    >>> name_axes(("T", "Channel", "row", "col"), ("time", "channel", "space", None)).names
    ('t', 'c', 'y', 'x')
    """
    meant = [_read_name(name) for name in written]
    kinds = [kind.casefold() if kind else None for kind in types]
    letters = [
        _choose_letter(kind, letter) if kind in _LETTER_OF_TYPE or kind == "space" else letter
        for kind, letter in zip(kinds, meant, strict=True)
    ]
    _order_space(kinds, meant, letters)
    doubts = [
        _describe_doubt(*axis)
        for axis in zip(written, kinds, meant, letters, strict=True)
        if axis[-1] is None
    ]
    doubts += _part_equal_letters(written, letters)
    names = tuple(letter or name for name, letter in zip(written, letters, strict=True))
    if len(set(names)) == len(names):
        return NamedAxes(names, tuple(doubts))
    text = f"The axes {','.join(written)!r:.60} would have one name twice; their names are kept as they are written."
    return NamedAxes(tuple(written), (AxisDoubt("warning", text),))


def count_channels(names: Sequence[str], shape: Sequence[int]) -> int | None:
    """Channels of an image with these axes: one where it has no channel axis, None where the axes are not known.

    >>> count_channels("cyx", (5, 64, 64)), count_channels("yx", (64, 64)), count_channels("", (64, 64))
    (5, 1, None)
    """
    if not names or len(names) != len(shape):
        return None
    return shape[names.index("c")] if "c" in names else 1


def _read_name(name: str) -> str | None:
    return _LETTER_OF_NAME.get(name.strip().casefold().replace("_", "").replace("-", "").replace(" ", ""))


def _choose_letter(kind: str | None, meant: str | None) -> str | None:
    """Letter of an axis whose type is known; None where its name means another type, or which space axis is not said."""
    if kind == "space":
        return meant if meant and meant in _SPACE else None
    own = _LETTER_OF_TYPE[kind or ""]
    return own if meant in (None, own) else None


def _order_space(kinds: Sequence[str | None], meant: Sequence[str | None], letters: list[str | None]) -> None:
    """Fill in space axes of odd names by their order, where the names of the others agree with it."""
    places = [place for place, kind in enumerate(kinds) if kind == "space"]
    if len(places) not in (2, 3):
        return
    wanted = dict(zip(places, _SPACE[-len(places) :], strict=True))
    # A name that means time or a channel contradicts its type: then the order says nothing, either.
    if all(meant[place] in (None, letter) for place, letter in wanted.items()):
        for place, letter in wanted.items():
            letters[place] = letter


def _describe_doubt(written: str, kind: str | None, meant: str | None, _: str | None) -> AxisDoubt:
    if meant is not None:
        text = (
            f"Axis {written!r:.40} has the type {kind!r:.40}, which its name contradicts; it keeps its name."
        )
        return AxisDoubt("warning", text)
    if kind == "space":
        text = f"Axis {written!r:.40} is of type 'space', but neither its name nor its place says which of z, y, x; it keeps its name."
        return AxisDoubt("warning", text)
    text = f"Axis {written!r:.40} is none of time, channel, z, y and x; it keeps its name."
    return AxisDoubt("info", text)


def _part_equal_letters(written: Sequence[str], letters: list[str | None]) -> list[AxisDoubt]:
    """Where several axes have one letter, leave it to the one that is called so, if one is."""
    doubts = []
    for letter in _NAMES:
        places = [place for place, own in enumerate(letters) if own == letter]
        if len(places) < 2:
            continue
        owner = next((place for place in places if written[place] == letter), None)
        for place in places:
            letters[place] = letter if place == owner else None
        names = ", ".join(repr(written[place])[:40] for place in places)
        text = f"The axes {names} would all be {letter!r}; "
        text += (
            "they keep their names." if owner is None else f"only the one that is called {letter!r} counts."
        )
        doubts.append(AxisDoubt("warning", text))
    return doubts
