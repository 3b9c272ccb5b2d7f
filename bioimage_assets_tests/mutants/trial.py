"""One change is tried: a forked child imports the package with it and runs the tests that reach it.

The parent has imported every library that the tests use, and nothing of the package itself. A child therefore pays only
for the package's own modules, and a changed one is compiled from memory: no file is ever touched.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

import pytest
from hypothesis import Phase, settings

from bioimage_assets_tests.mutants.rooms import ROOT

_ARGUMENTS = [
    "-q",
    "-x",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "-m",
    "not slow",
    # The libraries are loaded before pytest begins: once for all changes of a module.
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
    "--no-header",
    "--tb=no",
]
_IMPORT = ("import", "")
_MEMORY_BYTES = 12 << 30


class _ChangedModule(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import hook that gives one module another code."""

    def __init__(self, module: str, path: Path, tree: ast.Module) -> None:
        self._module, self._path, self._tree = module, path, tree

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._module:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=str(self._path))

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self._path)
        code: CodeType = compile(self._tree, str(self._path), "exec", dont_inherit=True)
        exec(code, module.__dict__)


@dataclass(slots=True)
class Baseline:
    """What the unchanged code did: seconds per test, and which tests ran which lines of which file."""

    seconds: dict[str, float] = field(default_factory=dict)
    reached: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    libraries: list[str] = field(default_factory=list)

    def tests_of(self, path: Path, lines: tuple[int, int] | None) -> list[str]:
        """Tests that ran one of the lines, or any line of the file; the quick ones first, file by file."""
        of_file = self.reached.get(str(path), {})
        wanted = of_file if lines is None else range(lines[0], lines[1] + 1)
        tests = {test for line in wanted for test in of_file.get(line, ())}
        per_file: dict[str, float] = defaultdict(float)
        for test in tests:
            per_file[test.partition("::")[0]] += self.seconds[test]
        return sorted(
            tests,
            key=lambda test: (
                per_file[test.partition("::")[0]],
                test.partition("::")[0],
                self.seconds[test],
                test,
            ),
        )


class _Record:
    """Pytest plugin that learns which tests run which lines of the watched files.

    What a fixture runs counts for every test that asks for the fixture, since it may be made only once.
    """

    def __init__(self, watched: Sequence[Path]) -> None:
        self._watched = {str(path) for path in watched}
        self._lines: dict[tuple[str, str], set[tuple[str, int]]] = defaultdict(set)
        self._context: list[tuple[str, str]] = []
        self._fixtures: dict[str, list[str]] = {}
        self.seconds: dict[str, float] = {}

    def _trace(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        return self._trace_line if frame.f_code.co_filename in self._watched else None

    def _trace_line(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        if event == "line" and self._context:
            self._lines[self._context[-1]].add((frame.f_code.co_filename, frame.f_lineno))
        return self._trace_line

    @pytest.hookimpl(hookwrapper=True)
    def pytest_collection(self) -> Iterator[None]:
        """What runs at import counts for every test that runs anything of the file."""
        self._context = [_IMPORT]
        sys.settrace(self._trace)
        yield
        sys.settrace(None)
        self._context = []

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._fixtures[item.nodeid] = list(getattr(item, "fixturenames", ()))
        self._context = [("test", item.nodeid)]
        start = time.perf_counter()
        sys.settrace(self._trace)
        threading.settrace(self._trace)
        yield
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
        self._context = []
        self.seconds[item.nodeid] = time.perf_counter() - start

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        shared = fixturedef.scope != "function"
        if shared:
            self._context.append(("fixture", fixturedef.argname))
        yield
        if shared:
            self._context.pop()

    def reached(self) -> dict[str, dict[int, list[str]]]:
        found: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for test, fixtures in self._fixtures.items():
            for context in [("test", test), *(("fixture", name) for name in fixtures)]:
                for path, line in self._lines.get(context, ()):
                    found[path][line].add(test)
        for path, line in self._lines.get(_IMPORT, ()):
            found[path][line] = set().union(*found[path].values())
        return {path: {line: sorted(tests) for line, tests in lines.items()} for path, lines in found.items()}


class _Select:
    """Pytest plugin that runs the chosen tests in the given order and remembers the one that failed."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._order = {test: position for position, test in enumerate(tests)}
        self.failed = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._order), key=lambda item: self._order[item.nodeid]
        )

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self) -> None:
        # A failing example is enough; the smallest one is not searched.
        settings.register_profile("mutants", settings(), phases=[Phase.explicit, Phase.generate])
        settings.load_profile("mutants")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


def record_baseline(modules: Sequence[Path], tests: Sequence[Path]) -> Baseline:
    """Run the tests on the unchanged code, in a child.

    Raises
    ------
    RuntimeError
        When they do not pass; then no change could be told from the code as it is.
    """

    def body() -> dict[str, object]:
        record = _Record(modules)
        code = pytest.main([*_ARGUMENTS[:-1], *map(str, tests)], plugins=[record])
        libraries = [
            name for name in sys.modules if not name.startswith(("bioimage_assets", "__main__", "test"))
        ]
        return {
            "code": int(code),
            "seconds": record.seconds,
            "reached": record.reached(),
            "libraries": libraries,
        }

    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        child = Child(body, Path(folder), limit_s=3600)
        answer = child.wait()
        if not answer or answer["code"] != 0:
            said = (Path(folder) / "output.txt").read_text(errors="replace")[-4000:]
            raise RuntimeError(f"The tests fail without any change:\n{said}")
    reached = {
        path: {int(line): ids for line, ids in lines.items()} for path, lines in answer["reached"].items()
    }
    return Baseline(answer["seconds"], reached, answer["libraries"])


def import_libraries(names: Sequence[str]) -> None:
    """Import what the tests import, so that no child has to; nothing of the package."""
    for name in names:
        if name.partition(".")[0] in sys.modules or "." not in name:
            with contextlib.suppress(ImportError, AttributeError):
                importlib.import_module(name)


def start_trial(module: Path, tree: ast.Module, tests: Sequence[str], folder: Path, limit_s: float) -> Child:
    """Start the tests on a changed module; the child's answer names the test that failed, or nothing."""
    name = ".".join(module.relative_to(ROOT).with_suffix("").parts)

    def body() -> dict[str, object]:
        sys.meta_path.insert(0, _ChangedModule(name, module, tree))
        select = _Select(tests)
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        code = int(pytest.main([*_ARGUMENTS, f"--basetemp={folder / 'tests'}", *files], plugins=[select]))
        return {"code": code, "failed": select.failed or ("import" if code else "")}

    return Child(body, folder, limit_s)


class Child:
    """A forked process with limits of time and memory that leaves its answer in ``folder``."""

    def __init__(self, body: Callable[[], dict[str, object]], folder: Path, limit_s: float) -> None:
        self._folder = folder
        self._end = time.monotonic() + limit_s
        self._answer: dict[str, Any] | None = None
        self.is_done = self.is_late = False
        self._pid = os.fork()
        if self._pid == 0:
            self._run(body)

    def _run(self, body: Callable[[], dict[str, object]]) -> None:
        try:
            os.setsid()
            os.chdir(ROOT)
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.environ["TMPDIR"] = str(self._folder)
            tempfile.tempdir = None
            out = os.open(self._folder / "output.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            null = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((null, 0), (out, 1), (out, 2)):
                os.dup2(source, target)
            answer = body()
            partial = self._folder / "answer.partial"
            partial.write_text(json.dumps(answer))
            partial.rename(self._folder / "answer.json")
        finally:
            os._exit(0)

    def poll(self) -> bool:
        """Tell whether the child has ended; it is ended when its time is over."""
        if self.is_done:
            return True
        pid, _ = os.waitpid(self._pid, os.WNOHANG)
        self.is_late = not pid and time.monotonic() > self._end
        if self.is_late:
            os.killpg(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        if pid or self.is_late:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)  # what the tests may have left running
            self.is_done = True
            with contextlib.suppress(FileNotFoundError):
                self._answer = json.loads((self._folder / "answer.json").read_text())
        return self.is_done

    def wait(self) -> dict[str, Any] | None:
        """The answer; None where the child died or was too late."""
        while not self.poll():
            time.sleep(0.01)
        return self._answer

    def clean(self) -> None:
        """Remove what the child left behind."""
        shutil.rmtree(self._folder, ignore_errors=True)
