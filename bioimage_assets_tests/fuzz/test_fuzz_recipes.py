"""What once failed is read or refused now, and a case that goes wrong is noticed, whatever way it goes wrong."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bioimage_assets_tests.fuzz import targets, worker
from bioimage_assets_tests.fuzz.recipes import RECIPES, Recipe, minimise, read_recipe, write_recipe
from bioimage_assets_tests.fuzz.seeds import SEEDS, Seed
from bioimage_assets_tests.fuzz.worker import Worker

FILES = sorted(RECIPES.glob("*.json"))
LESS = {"file": "a.csv", "how": "bytes", "at": 0, "remove": 1, "insert": ""}


def marks_of(path: Path) -> tuple[pytest.MarkDecorator, ...]:
    """The library that writes AnnData takes seconds to import."""
    return (pytest.mark.slow,) if path.stem.startswith("anndata-") else ()


@pytest.fixture(scope="module")
def any_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    one = Worker(tmp_path_factory.mktemp("room"))
    yield one
    one.close()


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem, marks=marks_of(path)) for path in FILES])
def test_a_recipe_that_once_failed_is_read_or_refused(path: Path, any_worker: Worker) -> None:
    recipe = read_recipe(path)
    answer = any_worker.replay(recipe.kind, recipe.changes)
    assert answer.outcome in ("accepted", "refused"), answer


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(SEEDS))
def test_an_example_is_accepted_as_it_is(kind: str, any_worker: Worker) -> None:
    assert any_worker.replay(kind, []).outcome == "accepted"


def _raise(folder: Path) -> int:
    raise KeyError("foreign")


def _write_outside(folder: Path) -> int:
    (folder.parent / "outside/thesis.txt").write_text("theirs")
    return 0


def _write_inside(folder: Path) -> int:
    (folder / "new").touch()
    return 0


def _leave_behind(folder: Path) -> int:
    (folder.parent / "tmp/staged").mkdir()
    return 0


def _end(folder: Path) -> int:
    os.kill(os.getpid(), signal.SIGSEGV)
    return 0


def _hold(folder: Path) -> int:
    return len(b"x" * (2 * worker.PEAK_BYTES)) * 0


def _claim(folder: Path) -> int:
    return len(bytearray(8 << 30))


def _turn(folder: Path) -> int:
    while True:
        pass


@pytest.fixture
def answer_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., worker.Answer]]:
    """Try one case of a target made for it."""
    workers = []

    def ask(look: Callable[[Path], int]) -> worker.Answer:
        # The first look of a process imports what it needs, which may take half a second.
        monkeypatch.setattr(worker, "CPU_S", 0.5 if look is _turn else 20.0)
        monkeypatch.setattr(worker, "PEAK_BYTES", 32 << 20)
        monkeypatch.setitem(targets.TARGETS, "made", look)
        monkeypatch.setitem(
            SEEDS, "made", Seed(lambda folder: (folder / "a.csv").write_text("a,b\n"), "made")
        )
        workers.append(Worker(tmp_path))
        return workers[-1].replay("made", [LESS])

    yield ask
    for one in workers:
        one.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("look", "reason"),
    [
        (_raise, "KeyError"),
        (_write_outside, "touched what lies outside"),
        (_write_inside, "changed what it read"),
        (_leave_behind, "left temporary files"),
        (_end, "killed by SIGSEGV"),
        (_hold, "more than 32 MiB"),
        (_claim, "MemoryError"),
        (_turn, "more than 0.5 s of processor"),
    ],
)
def test_every_way_to_go_wrong_is_a_failure(
    look: Callable[[Path], int], reason: str, answer_of: Callable[..., worker.Answer]
) -> None:
    answer = answer_of(look)
    assert (answer.outcome, answer.reason) == ("failed", reason)
    assert answer.changes == [LESS]


def test_memory_that_was_freed_before_the_case_does_not_hide_what_it_holds(
    answer_of: Callable[..., worker.Answer],
) -> None:
    # Pieces of the heap, not maps of their own; what comes after them keeps the heap from shrinking when they go.
    freed = [bytes(100_000) for _ in range(3000)]
    kept = [bytes(100_000)]
    del freed
    assert answer_of(_hold).reason == "more than 32 MiB"
    assert kept


def test_a_worker_that_died_is_replaced_and_the_recipe_is_the_smallest(
    answer_of: Callable[..., worker.Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die_without_a(folder: Path) -> int:
        return _end(folder) if not (folder / "a.csv").read_text().startswith("a") else 0

    assert answer_of(die_without_a).reason == "killed by SIGSEGV"
    one = Worker(tmp_path / "other")
    (tmp_path / "other").mkdir()
    end = {"file": "a.csv", "how": "bytes", "at": 3, "remove": 1, "insert": "00"}
    recipe = minimise(one, Recipe("made", [end, LESS, end], "killed by SIGSEGV"))
    one.close()
    assert recipe.changes == [LESS]
    assert read_recipe(write_recipe(tmp_path / "kept", recipe)) == recipe


def test_the_same_name_gives_the_same_case_and_another_one_another(any_worker: Worker) -> None:
    first, again, other = (any_worker.draw("csv-table", case) for case in ("1/0", "1/0", "1/1"))
    assert first == again
    assert json.dumps(first.changes) != json.dumps(other.changes)
