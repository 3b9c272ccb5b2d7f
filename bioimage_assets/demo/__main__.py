"""``python -m bioimage_assets.demo``: make the demo screens and say what was made."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.demo.screens import DATASETS, DEFAULT_SEED, DemoScreens, build_screens
from bioimage_assets.demo.sizes import SIZES

DEFAULT_ROOT = Path("data") / "incoming"
BAR_WIDTH = 32
LOG_STEP = 0.25


class ProgressBar:
    """Draws progress on one line of a terminal; in a log it writes a line per quarter."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._logged = 0.0

    def __call__(self, done: int, total: int, what: str) -> None:
        """Show that `done` of `total` wells are made."""
        elapsed_s = time.monotonic() - self._started_s
        fraction = done / total
        if sys.stderr.isatty():
            bar = "#" * int(fraction * BAR_WIDTH)
            end = "\n" if done == total else ""
            line = f"\r[{bar:<{BAR_WIDTH}}] {done}/{total} wells  {elapsed_s:4.0f} s  {what:<22}{end}"
        elif fraction >= self._logged + LOG_STEP or done == total:
            self._logged = fraction
            line = f"{done}/{total} wells  {elapsed_s:.0f} s\n"
        else:
            return
        sys.stderr.write(line)
        sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives the exit status."""
    options = _build_parser().parse_args(arguments)
    try:
        screens = build_screens(
            options.root,
            size=options.size,
            seed=options.seed,
            workers=options.workers,
            progress=ProgressBar(),
            datasets=options.dataset,
            n_plates=options.plates,
        )
    except (BioimageError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; finished plates stay, the next run makes the others\n")
        return 130
    sys.stdout.write(describe_screens(screens))
    return 0


def describe_screens(screens: DemoScreens) -> str:
    """Table of the plates for people."""
    lines = [f"{'plate':<18}{'images':>8}{'cells':>8}  store"]
    for plate in screens.plates:
        note = "" if plate.was_made else "  (there already)"
        counts = f"{plate.stamp.image_count:>8}{plate.stamp.cell_count:>8}"
        lines.append(f"{plate.plate_key:<18}{counts}  {plate.paths.store}{note}")
    return "\n".join(lines) + "\n"


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bioimage_assets.demo",
        description="Make synthetic Cell Painting screens with known truth; plates that are there already stay.",
    )
    parser.add_argument(
        "--root", type=Path, default=DEFAULT_ROOT, help="watched folder (default: %(default)s)"
    )
    parser.add_argument("--size", choices=sorted(SIZES), default="demo")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")
    parser.add_argument(
        "--dataset", action="append", choices=sorted(DATASETS), help="only this one; repeatable"
    )
    parser.add_argument("--plates", type=int, help="plates per dataset")
    return parser


if __name__ == "__main__":
    sys.exit(main())
