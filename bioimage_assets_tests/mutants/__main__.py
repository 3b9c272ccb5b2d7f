"""``make mutants``: change one thing at a time in chosen modules, and count the changes that no test notices.

Mutation tools of PyPI do not fit: cosmic-ray writes every change into the working tree and starts Python and Dagster anew
for it; mutmut works on a copy of the tree, leaves module constants and defaults alone and knows neither samples nor
reasons for survivors. Here a change costs a fork and the tests that reach it, mostly less than a second.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

import bioimage_assets_tests.conftest  # noqa: F401  cleans the environment before libraries read it
from bioimage_assets_tests.mutants.changes import Change, list_changes
from bioimage_assets_tests.mutants.explained import find_stale, read_explained
from bioimage_assets_tests.mutants.results import Result, Results, digest_files
from bioimage_assets_tests.mutants.rooms import ROOMS, ROOT, Room
from bioimage_assets_tests.mutants.trial import (
    Baseline,
    Child,
    import_libraries,
    record_baseline,
    start_trial,
)

_FOLDER = ROOT / ".mutants"
_MAX_OPEN_FRACTION = 0.05
_LEAST_LIMIT_S, _PATIENCE = 20.0, 10.0


@dataclass(slots=True)
class Tally:
    """Counts of one module; ``survivors`` are the open ones."""

    room: str
    module: str
    total: int = 0
    killed: int = 0
    explained: int = 0
    survivors: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 where more than one change in twenty is open."""
    options = _parser().parse_args(arguments)
    explained = read_explained()
    results = Results(_FOLDER / "results.jsonl")
    names: dict[str, list[str]] = {}
    tallies: list[Tally] = []
    for room in ROOMS:
        if options.room and room.name not in options.room:
            continue
        tallies += _run_room(room, options, results, explained, names)
    stale = find_stale(explained, names)
    _print(tallies, stale)
    return (
        1
        if stale or any(_open_fraction(group) > _MAX_OPEN_FRACTION for group in _by_room(tallies).values())
        else 0
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__.splitlines()[0])
    environment = os.environ.get
    parser.add_argument("--room", action="append", help="only this room (may be repeated)")
    parser.add_argument("--module", default="", help="only modules whose path contains this")
    parser.add_argument(
        "--per-module",
        type=int,
        default=int(environment("MUTANTS_PER_MODULE", "15")),
        help="changes tried per module; 0: all",
    )
    parser.add_argument("--seed", default=environment("MUTANTS_SEED", "1"), help="chooses the sample")
    parser.add_argument("--workers", type=int, default=int(environment("MUTANTS_WORKERS", "2")))
    parser.add_argument(
        "--open", action="store_true", help="believe what was killed before the tests changed; try the rest"
    )
    parser.add_argument("--reported", action="store_true", help="try nothing, print what is known")
    return parser


def _run_room(
    room: Room,
    options: argparse.Namespace,
    results: Results,
    explained: dict[tuple[str, str], str],
    names: dict[str, list[str]],
) -> list[Tally]:
    tests = room.test_paths()
    tests_digest = digest_files(tests)
    modules = [path for path in room.module_paths() if options.module in str(path)]
    tallies, trials = [], []
    for path in modules:
        module = str(path.relative_to(ROOT / "bioimage_assets" / "core"))
        changes = list_changes(path.read_text(encoding="utf-8"))
        names[module] = [change.name for change in changes]
        tally = Tally(room.name, module)
        tallies.append(tally)
        for change in _sample(changes, module, options):
            tally.total += 1
            if (module, change.name) in explained:
                tally.explained += 1
            else:
                trials.append(_Trial(tally, path, change, digest_files([path]), tests_digest))
    pending = [trial for trial in trials if not trial.is_known(results, is_trusting=options.open)]
    if pending and not options.reported:
        baseline = _baseline(modules, tests)
        import_libraries(baseline.libraries)
        _run_trials(pending, baseline, results, options.workers)
    for trial in trials:
        trial.count(results)
    return tallies


@dataclass(frozen=True, slots=True)
class _Trial:
    tally: Tally
    path: Path
    change: Change
    source: str
    tests: str

    def is_known(self, results: Results, *, is_trusting: bool) -> bool:
        known = results.get(self.tally.module, self.change.name)
        if known is None or known.source != self.source:
            return False
        return known.tests == self.tests or (is_trusting and bool(known.killed_by))

    def count(self, results: Results) -> None:
        known = results.get(self.tally.module, self.change.name)
        if known and known.killed_by:
            self.tally.killed += 1
        else:
            self.tally.survivors.append(self.change.name if known else f"{self.change.name} (not tried)")

    def plan(self, baseline: Baseline, results: Results) -> list[str]:
        """Tests to run, the one that noticed the change last time first."""
        tests = baseline.tests_of(self.path, None if self.change.at_import else self.change.lines)
        known = results.get(self.tally.module, self.change.name)
        if known and known.killed_by in baseline.seconds:
            tests = [known.killed_by, *(test for test in tests if test != known.killed_by)]
        return tests

    def result(self, killed_by: str) -> Result:
        return Result(self.tally.module, self.change.name, killed_by, self.source, self.tests)


def _sample(changes: list[Change], module: str, options: argparse.Namespace) -> list[Change]:
    """The changes with the smallest hash of their names: code that moves stays in the sample."""
    if not options.per_module:
        return changes
    ranked = sorted(
        changes, key=lambda change: sha256(f"{options.seed} {module} {change.name}".encode()).digest()
    )
    return ranked[: options.per_module]


def _baseline(modules: Sequence[Path], tests: Sequence[Path]) -> Baseline:
    everything = [
        *sorted(ROOT.glob("bioimage_assets/**/*.py")),
        *sorted(ROOT.glob("bioimage_assets_tests/**/*.py")),
    ]
    names = "\n".join(map(str, [*modules, *tests]))
    digest = sha256(f"{digest_files(everything)}\n{names}".encode()).hexdigest()[:16]
    stored = _FOLDER / f"baseline-{digest}.json"
    if stored.exists():
        loaded = json.loads(stored.read_text())
        reached = {
            path: {int(line): ids for line, ids in lines.items()} for path, lines in loaded["reached"].items()
        }
        return Baseline(loaded["seconds"], reached, loaded["libraries"])
    print(f"Running {len(tests)} test files without a change …", file=sys.stderr)
    baseline = record_baseline(modules, tests)
    stored.write_text(json.dumps(asdict(baseline)))
    return baseline


def _run_trials(trials: Sequence[_Trial], baseline: Baseline, results: Results, workers: int) -> None:
    running: list[tuple[_Trial, Child]] = []
    waiting = iter(trials)
    done = 0
    while True:
        while len(running) < workers and (started := _start_next(waiting, baseline, results)):
            running.append(started)
        if not running:
            return
        time.sleep(0.01)
        for trial, child in [pair for pair in running if pair[1].poll()]:
            running.remove((trial, child))
            results.add(trial.result(_killed_by(child)))
            child.clean()
            done += 1
            print(f"\r{done} of {len(trials)}", end="", file=sys.stderr)


def _killed_by(child: Child) -> str:
    if child.is_late:
        return "time"
    answer = child.wait()
    return "crash" if answer is None else str(answer["failed"])


def _start_next(
    waiting: Iterator[_Trial], baseline: Baseline, results: Results
) -> tuple[_Trial, Child] | None:
    for trial in waiting:
        tests = trial.plan(baseline, results)
        if not tests:  # no test runs that code
            results.add(trial.result(""))
            continue
        limit_s = _LEAST_LIMIT_S + _PATIENCE * sum(baseline.seconds[test] for test in tests)
        folder = Path(tempfile.mkdtemp(prefix="mutant-"))
        return trial, start_trial(trial.path, trial.change.build_tree(), tests, folder, limit_s)
    return None


def _by_room(tallies: Sequence[Tally]) -> dict[str, list[Tally]]:
    rooms: dict[str, list[Tally]] = defaultdict(list)
    for tally in tallies:
        rooms[tally.room].append(tally)
    return rooms


def _open_fraction(tallies: Sequence[Tally]) -> float:
    total = sum(tally.total for tally in tallies)
    return sum(len(tally.survivors) for tally in tallies) / total if total else 0.0


def _print(tallies: Sequence[Tally], stale: Sequence[str]) -> None:
    print()
    for tally in tallies:
        for name in tally.survivors:
            print(f"open  {tally.module}  {name}")
    for name in stale:
        print(f"stale  {name}: the code has no such change; remove it from explained.toml")
    line = "{:<13} {:<36} {:>7} {:>7} {:>9} {:>5} {:>7}"
    print(line.format("room", "module", "changes", "killed", "explained", "open", "open %"))
    for room, group in _by_room(tallies).items():
        for tally in [*group, _total(room, group)]:
            print(line.format(tally.room, tally.module, *_numbers([tally])))
    print(line.format("all", "", *_numbers(tallies)))


def _total(room: str, tallies: Sequence[Tally]) -> Tally:
    return Tally(
        room,
        "(all)",
        sum(tally.total for tally in tallies),
        sum(tally.killed for tally in tallies),
        sum(tally.explained for tally in tallies),
        [name for tally in tallies for name in tally.survivors],
    )


def _numbers(tallies: Sequence[Tally]) -> tuple[int, int, int, int, str]:
    total = _total("", tallies)
    return total.total, total.killed, total.explained, len(total.survivors), f"{_open_fraction(tallies):.1%}"


if __name__ == "__main__":
    sys.exit(main())
