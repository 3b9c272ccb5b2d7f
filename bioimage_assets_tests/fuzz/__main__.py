"""``make fuzz``: change small good files in their structure, and see that each is read or refused within bounds.

``FUZZ_MINUTES`` (10) says how long, ``FUZZ_SEED`` (1) which cases: the same seed gives the same cases in the same order.
A failure is written to ``.fuzz/`` as a recipe, with no more changes than it needs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import bioimage_assets_tests.conftest  # noqa: F401  cleans the environment before libraries read it
from bioimage_assets_tests.fuzz.recipes import Recipe, minimise, read_recipe, write_recipe
from bioimage_assets_tests.fuzz.seeds import SEEDS
from bioimage_assets_tests.fuzz.worker import Answer, Worker

_LIBRARIES = ("anndata", "duckdb", "h5py", "pandas", "scipy.sparse", "zarr", "bioimage_assets.api")
_FOLDER = Path(__file__).resolve().parents[2] / ".fuzz"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 where a case failed."""
    options = _parser().parse_args(arguments)
    for name in _LIBRARIES:  # once, not in every process
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as room:
        worker = Worker(Path(room))
        try:
            if options.replay:
                return _replay(worker, options.replay)
            return _explore(worker, options.seed, options.minutes, options.kind or sorted(SEEDS))
        finally:
            worker.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", default=os.environ.get("FUZZ_SEED", "1"))
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("FUZZ_MINUTES", "10")))
    parser.add_argument(
        "--kind", action="append", choices=sorted(SEEDS), help="only this kind (may be repeated)"
    )
    parser.add_argument("--replay", nargs="+", type=Path, help="try these recipes instead")
    return parser


def _replay(worker: Worker, paths: Sequence[Path]) -> int:
    failed = 0
    for path in paths:
        recipe = read_recipe(path)
        answer = worker.replay(recipe.kind, recipe.changes)
        failed += answer.outcome == "failed"
        print(f"{path.name}: {answer.outcome}, {answer.reason}: {answer.text}")
    return 1 if failed else 0


def _explore(worker: Worker, seed: str, minutes: float, kinds: Sequence[str]) -> int:
    """Try case after case, one of each kind in turn."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    failures: Counter[tuple[str, str]] = Counter()
    end = time.monotonic() + 60 * minutes
    number = 0
    while time.monotonic() < end:
        kind = kinds[number % len(kinds)]
        answer = worker.draw(kind, f"{seed}/{kind}/{number // len(kinds)}")
        number += 1
        counts[kind][answer.outcome] += 1
        if answer.outcome == "failed":
            if (kind, answer.reason) not in failures:
                _keep(worker, kind, answer)
            failures[kind, answer.reason] += 1
    _print(counts, failures)
    return 1 if failures else 0


def _keep(worker: Worker, kind: str, answer: Answer) -> None:
    """Write the smallest recipe that still fails in this way."""
    recipe = minimise(worker, Recipe(kind, answer.changes, answer.reason))
    path = write_recipe(_FOLDER, recipe)
    print(f"{kind}: {answer.reason}\n    {answer.text}\n    {path}", flush=True)


def _print(counts: dict[str, Counter[str]], failures: Counter[tuple[str, str]]) -> None:
    columns = ("accepted", "refused", "failed")
    print(f"{'kind':22}{'cases':>8}" + "".join(f"{column:>10}" for column in columns))
    for kind in sorted(counts):
        own = counts[kind]
        print(f"{kind:22}{own.total():8}" + "".join(f"{own[column]:10}" for column in columns))
    every = sum(counts.values(), Counter())
    print(
        f"{f'{len(counts)} kinds':22}{every.total():8}" + "".join(f"{every[column]:10}" for column in columns)
    )
    for (kind, reason), count in failures.most_common():
        print(f"FAILED {count:5}  {kind}: {reason}")


if __name__ == "__main__":
    sys.exit(main())
