"""The project's own regular expressions end soon, whatever a file name, a column or a cell holds."""

from __future__ import annotations

import importlib
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pyarrow as pa
import pytest

import bioimage_assets.core
from bioimage_assets.core.formats.plate_folders.fields import natural_order
from bioimage_assets.core.formats.plate_folders.patterns import (
    PATTERNS,
    is_derived,
    is_thumbnail,
    parse_name,
)
from bioimage_assets.core.formats.plate_folders.propose import propose_for_plate
from bioimage_assets.core.measurements.positions import parse_position
from bioimage_assets.core.model.identity import build_key_part, normalize_site, normalize_well, store_stem
from bioimage_assets.core.model.store_paths import is_safe_path
from bioimage_assets.core.model.well_columns import join_well
from bioimage_assets.core.profiling import quantities
from bioimage_assets.core.tables.feature_columns import fits_pattern, select_feature_columns

# Matching takes microseconds; what goes back and forth over 255 letters takes hours.
LIMIT_CPU_S = 2.0
PIECES = ("a", "1", "0", "A01", "_", "-", " ", ".", "/", "_1", "a1", "..", "é", "[", "\n")


@contextmanager
def limited(what: str) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"more than {LIMIT_CPU_S} s of processor time: {what}", pytrace=False)

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def find_patterns(value: object, depth: int = 0) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value if isinstance(value.pattern, str) else re.compile(value.pattern.decode("latin-1"))
    elif depth < 3 and isinstance(value, tuple | list):
        for item in value:
            yield from find_patterns(item, depth + 1)
    elif depth < 3 and hasattr(value, "regex"):
        yield from find_patterns(value.regex, depth + 1)


def built_in_patterns() -> dict[str, re.Pattern[str]]:
    found: dict[str, re.Pattern[str]] = {}
    folder = Path(bioimage_assets.core.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        if "re.compile(" not in path.read_text() or path.stem == "user_pattern_worker":
            continue
        name = ".".join(("bioimage_assets.core", *path.relative_to(folder).with_suffix("").parts))
        for value in vars(importlib.import_module(name)).values():
            found.update((pattern.pattern, pattern) for pattern in find_patterns(value))
    return found


def literals(pattern: re.Pattern[str]) -> list[str]:
    """Words that the expression itself holds: what a hostile name would repeat."""
    return sorted(set(re.findall(r"[A-Za-z]{1,12}(?![{\]])", pattern.pattern)), key=len)[:6]


def hostile_names(pattern: re.Pattern[str], length: int = 255) -> Iterable[str]:
    words = literals(pattern)
    for prefix in ("", *words[:2], "A01_s1_"):
        for piece in dict.fromkeys((*PIECES, *words)):
            yield f"{prefix}{piece * (length // len(piece))}!"


@pytest.mark.slow
def test_every_built_in_pattern_ends_soon_over_hostile_names() -> None:
    patterns = built_in_patterns()
    assert len(patterns) > 60
    assert {pattern.regex.pattern for pattern in PATTERNS} <= patterns.keys()
    for pattern in patterns.values():
        with limited(pattern.pattern):
            for name in hostile_names(pattern):
                pattern.fullmatch(name)
                pattern.search(name)


LONG = 200_000
CELLS = [
    " " * LONG + "x", "0" * LONG + "x", "1" * LONG + "x", "9" * LONG, "A" * LONG, "A01_" * (LONG // 4), "_s1" * (LONG // 3),
    "-A1-" * (LONG // 4), "/" * LONG, "." * LONG, "1." * (LONG // 2), "1e" * (LONG // 2), "+" * LONG, "pos_" * (LONG // 4),
    "\n" * LONG + "x", "(" * LONG, "1," * (LONG // 2), "DC_sCMOS" * (LONG // 8),
]  # fmt: skip
READERS: dict[str, Callable[[str], object]] = {
    "well": normalize_well,
    "site": normalize_site,
    "row and column": lambda cell: join_well(cell, cell),
    "file name": parse_name,
    "position": parse_position,
    "stem": store_stem,
    "path": is_safe_path,
    "quantity name": quantities.is_quantity,
    "number": lambda cell: quantities._NUMBER.fullmatch(cell) or quantities._DECIMAL_COMMA.fullmatch(cell),
    "shell pattern": lambda cell: fits_pattern(cell[:2_000], ["*a*1*_*pos*" * 20 + "!"]),
}


@pytest.mark.parametrize("reader", READERS)
def test_cells_of_very_many_letters_are_read_or_refused_soon(reader: str) -> None:
    for cell in CELLS:
        with limited(f"{reader} of {cell[:12]!r}"):
            READERS[reader](cell)


def test_numbers_of_very_many_digits_are_texts() -> None:
    assert normalize_site("9" * 5_000) == "9" * 5_000
    assert normalize_site(f"{' ' * 5_000}007{' ' * 5_000}") == "7"
    assert normalize_well(f"{' ' * 5_000}c6{' ' * 5_000}") == "C06"


def test_a_column_name_that_says_a_place_in_very_many_numbers_is_sorted_soon() -> None:
    names = [f"pos{'1' * 200}!", f"pos{'_1' * 120}", "pos" * 5_000, f"{'_pos' * 60}!"]
    with limited("columns"):
        chosen = select_feature_columns(pa.schema([(name, pa.float64()) for name in names]))
    assert {*chosen.profiled, *chosen.places} <= set(names)


@pytest.mark.parametrize("reader", [is_thumbnail, is_derived, natural_order, build_key_part])
def test_names_as_long_as_a_bucket_takes_are_sorted_soon(reader: Callable[[str], object]) -> None:
    for cell in CELLS:
        with limited(f"{reader.__name__} of {cell[:12]!r}"):
            reader(f"x/{cell[:1_020]}!")


def test_a_proposal_from_hostile_names_ends_soon() -> None:
    names = [f"A{number:02d}_{'s1_' * 80}{number}.tif" for number in range(1, 13)]
    with limited("proposal"):
        propose_for_plate(names)
