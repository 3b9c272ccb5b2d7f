"""One look for all pictures: PNG bytes with title, caption and thumbnail, from figures without global state.

Colours are safe for colour-blind readers (Okabe and Ito, https://jfly.uni-koeln.de/color/, and matplotlib's viridis).
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

INK = "#222222"
MUTED = "#6b7280"
GRID = "#e5e7eb"
EMPTY = "#f3f4f6"
ACCENT = "#0072B2"
ALARM = "#D55E00"
CONTROL = "#8c8c8c"
# Okabe-Ito without black and yellow, which vanish in ink and paper.
CATEGORIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7B4FA3", "#8C510A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

COUNT_MAP = "viridis"
FRACTION_MAP = "YlOrBr"
SIGNED_MAP = "RdBu_r"

# Every picture that a page may have: files of one that could not be drawn this time are removed.
PICTURE_NAMES = frozenset(
    {
        "completeness", "dose_response", "image_quality", "join_report", "lineage", "plate_overview", "plate_thumbnails", "plates_count", "plates_fraction",
        "qc_conditions", "qc_histograms", "qc_montage", "quality_drift", "replicates", "well_pca",
    }
)  # fmt: skip

# Longer pictures are neither read nor shrunk to a thumbnail.
MAX_SIDE_IN = 100.0

# Markdown in run metadata is stored with every event; larger pictures belong in files.
THUMBNAIL_BYTES = 50_000

_DRAWING = threading.RLock()
_IS_ON = ContextVar("pictures", default=True)
_STYLE: Any = {  # its keys are a Literal of hundreds of words
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # Names of compounds and columns are shown as they are: a dollar sign in one begins no formula.
    "text.parse_math": False,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture: file name without suffix, title, one-sentence caption and PNG bytes."""

    name: str
    title: str
    caption: str
    png: bytes


@contextlib.contextmanager
def style() -> Iterator[None]:
    """House style as a context; everything that makes artists must run inside it.

    matplotlib's settings are global, so that one picture is drawn at a time per process.
    """
    with _DRAWING, rc_context(_STYLE):
        yield


class PicturesOffError(Exception):
    """Raised in place of a figure where pictures are not wanted; the page has a sentence there."""


@contextlib.contextmanager
def pictures_wanted(is_wanted: bool) -> Iterator[None]:
    """Draw, or do not, whatever is asked for inside of the context."""
    token = _IS_ON.set(is_wanted)
    try:
        yield
    finally:
        _IS_ON.reset(token)


def new_figure(width_in: float, height_in: float, *, pad_in: float = 0.04) -> Figure:
    """Make a figure that belongs to no window and no global list; ``pad_in`` is the room between panels.

    PicturesOffError where pictures are not wanted.
    """
    if not _IS_ON.get():
        raise PicturesOffError
    width_in, height_in = min(width_in, MAX_SIDE_IN), min(height_in, MAX_SIDE_IN)
    share = 0.02 if pad_in >= 0.04 else 0.0
    engine = ConstrainedLayoutEngine(w_pad=pad_in, h_pad=pad_in, wspace=share, hspace=share)
    figure = Figure(figsize=(width_in, height_in), layout=engine)
    FigureCanvasAgg(figure)
    return figure


def finish(figure: Figure, name: str, title: str, caption: str, *, dpi: int = 120) -> Picture:
    """Render a figure to PNG; call it inside the house style."""
    buffer = io.BytesIO()
    # Figure.savefig draws everything twice, the first time only to lay it out; drawing lays out too.
    figure.set_dpi(dpi)
    canvas: Any = figure.canvas  # of new_figure; its methods have no types
    canvas.print_png(buffer, metadata={"Software": None, "Title": title})
    return Picture(name, title, caption, buffer.getvalue())


def build_thumbnail(png: bytes, *, max_bytes: int = THUMBNAIL_BYTES, width_px: int = 900) -> bytes:
    """Shrink a PNG until it fits into ``max_bytes``, by width and number of colours."""
    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB")
    for scale, colours in ((1.0, 256), (0.85, 256), (0.7, 192), (0.6, 128), (0.5, 96), (0.35, 64), (0.2, 32)):
        width = min(image.width, max(32, int(width_px * scale)))
        height = max(1, round(image.height * width / image.width))
        small = image.resize((width, height), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        # The octree is 16 times faster than the median cut and no worse at this size.
        reduced = small.quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        reduced.save(buffer, format="png", optimize=True)
        if buffer.tell() <= max_bytes:
            break
    return buffer.getvalue()


def build_label(name: str, *, max_characters: int = 48) -> str:
    """A name as it fits beside a picture: one line, not longer than that, and shown by matplotlib whatever it starts with."""
    line = " ".join("".join(part if part.isprintable() else " " for part in name).split())
    if len(line) > max_characters:  # both ends of a name tell it from others
        end = max_characters // 3
        line = f"{line[: max_characters - end - 1]}…{line[-end:]}"
    return f" {line}" if line.startswith("_") else line  # legends leave out what starts with an underscore


def categories_of(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Give every name a colour and a marker; pairs repeat only after 64 names."""
    return {
        name: (CATEGORIES[index % len(CATEGORIES)], MARKERS[(index // len(CATEGORIES)) % len(MARKERS)])
        for index, name in enumerate(names)
    }
