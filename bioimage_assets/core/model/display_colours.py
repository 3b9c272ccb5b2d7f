"""In which colour each channel of an image is shown, in pictures, in virtual plates and in the browser alike."""

from __future__ import annotations

from functools import lru_cache

RGB = tuple[float, float, float]

# Nuclear stains come first and are shown blue, then the order of the usual Cell Painting channels; more than five share colours.
COLOURS: tuple[RGB, ...] = (
    (0.25, 0.45, 1.0),
    (0.1, 0.9, 0.35),
    (1.0, 0.85, 0.2),
    (1.0, 0.3, 0.15),
    (0.95, 0.25, 0.9),
)
COLOUR_NAMES = ("blue", "green", "yellow", "orange", "magenta")
_WHITE: RGB = (1.0, 1.0, 1.0)


def list_channel_colours(count: int) -> list[str]:
    """Colours of so many channels as ``RRGGBB``; a single channel is shown in grey.

    >>> list_channel_colours(1), list_channel_colours(2)
    (['FFFFFF'], ['4073FF', '1AE659'])
    """
    return list(_list_colours(count))


@lru_cache(maxsize=64)
def _list_colours(count: int) -> tuple[str, ...]:
    """The same, once for the fields of a plate."""
    chosen = [_WHITE] if count == 1 else [COLOURS[number % len(COLOURS)] for number in range(count)]
    return tuple("".join(f"{round(255 * part):02X}" for part in colour) for colour in chosen)
