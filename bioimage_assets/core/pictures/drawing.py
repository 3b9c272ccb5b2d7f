"""A picture, or the sentence that stands in its place: the one guard that keeps a page from failing with a picture."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import pyarrow as pa
from PIL import Image

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.phrases import error_words
from bioimage_assets.core.pictures.style import Picture, PicturesOffError

# What numpy, pandas, scikit-learn (LinAlgError is a ValueError), matplotlib, Arrow, Pillow and the readers of pixels (whose
# codecs raise RuntimeError, struct.error and zlib.error) raise for data that they cannot digest. A page is looked at, nothing
# is made of it: losing it, and with it all pictures that could be drawn, is worse than a sentence in place of one.
# NameError, AttributeError and the like are faults of this code, not of the data, and stay loud.
UNDRAWABLE: tuple[type[Exception], ...] = (
    ArithmeticError,  # FloatingPointError, OverflowError, ZeroDivisionError
    LookupError,  # IndexError, KeyError
    ValueError,
    TypeError,
    RuntimeError,
    OSError,
    MemoryError,
    struct.error,
    zlib.error,
    pa.ArrowException,
    Image.DecompressionBombError,
    BioimageError,
)

NOT_DRAWN = "picture-not-drawn"
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class NotDrawn:
    """A picture that is not there.

    Parameters
    ----------
    title
        What the picture would have been called.
    reason
        Why it is not there: the end of a sentence that starts with "not drawn, because".
    is_odd
        Data are there and cannot be drawn, which becomes a finding; False where nothing was to be expected, such as
        doses in a dataset that declares none.
    """

    title: str
    reason: str
    is_odd: bool = False

    @property
    def sentence(self) -> str:
        """What a reader sees in place of the picture."""
        return f"{self.title}: not drawn, because {self.reason.rstrip('.')}."


Drawing: TypeAlias = Picture | NotDrawn


def try_to_make(title: str, make: Callable[[], _Made]) -> _Made | NotDrawn:
    """Make a picture or another part of a page; where its data do not allow it, give the sentence in its place."""
    try:
        return make()
    except PicturesOffError:
        return NotDrawn(title, "pictures are switched off (`[pages] pictures` or BIOIMAGE_PICTURES)")
    except UNDRAWABLE as error:
        return NotDrawn(title, error_words(error), is_odd=True)


def build_findings(drawings: Iterable[object], location: str) -> tuple[Finding, ...]:
    """One warning for each picture that should be there and is not."""
    odd = [drawing for drawing in drawings if isinstance(drawing, NotDrawn) and drawing.is_odd]
    return tuple(Finding(NOT_DRAWN, "warning", location, drawing.sentence) for drawing in odd)
