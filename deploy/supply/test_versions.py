"""Runs the quick tests with other versions than the pinned ones: the newest and the oldest that ``pyproject.toml`` allows.

Run as ``make test-versions``. uv chooses and installs the versions (https://docs.astral.sh/uv/concepts/resolution/), from
where pip is told to find them. Environments, and lists of what is in them, stay in ``build/versions``; the next run
brings them up to date.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "build" / "versions"
PYTHONS = ("3.11", "3.12", "3.13")
# An interpreter that was built without a library lacks the module.
NEEDED = "import bz2, ctypes, lzma, sqlite3, ssl, sys; sys.exit(sys.version_info[:2] != ({}, {}))"
# uv's words for settings of pip.
PIP_SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "constraint": "UV_CONSTRAINT",
    "cert": "SSL_CERT_FILE",
}
# How uv tells of an index that cannot be reached, or answers with an error of its own. Versions that contradict each other
# ("No solution found") and a package that cannot be built are failures.
NO_ANSWER = re.compile("Failed to fetch|error sending request")
# What is pinned, and its licences, are looked at in the pinned set alone.
NOT_HERE = "bioimage_assets_tests/supply"
CORE_ROOMS = (
    "catalog",
    "discovery",
    "formats",
    "model",
    "settings",
    "storage",
    "stores",
    "tables",
    "text_files",
)
# What those rooms' tests are written with, beside the core.
CORE_TEST_LIBRARIES = (
    "pytest", "pytest-xdist", "pytest-timeout", "hypothesis", "moto", "pandas", "polars", "ome-types", "ome-zarr-models",
    "imagecodecs",
)  # fmt: skip


class VersionsError(Exception):
    """The versions of a set cannot be had, or are not the ones that it promises."""


class UnansweredError(VersionsError):
    """The package index did not answer: nothing is known about the versions."""


@dataclass(frozen=True, slots=True)
class VersionSet:
    """Which of the allowed versions, and the tests that they are given (none: all quick ones)."""

    name: str
    resolution: str
    tests: tuple[str, ...] = ()
    is_core_alone: bool = False

    @property
    def is_oldest(self) -> bool:
        """Whether its direct requirements are to be in their lowest versions."""
        return self.resolution == "lowest-direct"


SETS = {
    one.name: one
    for one in (
        VersionSet("pinned", "highest"),
        VersionSet("newest", "highest"),
        VersionSet("oldest", "lowest-direct"),
        # Libraries that extras and tests need lift the floors of the core; without them those are what is installed.
        VersionSet(
            "oldest-core",
            "lowest-direct",
            tuple(f"bioimage_assets_tests/core/{room}" for room in CORE_ROOMS),
            is_core_alone=True,
        ),
    )
}
# `make test` runs the pinned set on one Python. Here every other Python and every other set has its turn.
COMBINATIONS = ("newest-3.12", "newest-3.13", "oldest-3.11", "oldest-core-3.11")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the tests of one combination said; ``reason`` says why they did not run."""

    version_set: str
    python: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    reason: str = ""


def main() -> None:
    """Run the combinations one after the other, write a table, and fail where a test failed or versions cannot be had."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", default="uv", help="uv's program")
    parser.add_argument("--processes", type=int, default=2, help="of pytest")
    parser.add_argument(
        "--only",
        action="append",
        metavar="SET-PYTHON",
        help=f"one combination, such as {COMBINATIONS[0]}; again for more of them; sets: {', '.join(SETS)}",
    )
    parser.add_argument("tests", nargs="*", help="files or folders of tests, instead of those of the set")
    arguments = parser.parse_args()
    wanted = [split_combination(name) for name in arguments.only or COMBINATIONS]
    FOLDER.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for version_set, python in wanted:
        print(f"== {version_set.name} on Python {python}", flush=True)
        outcomes.append(
            try_combination(version_set, python, arguments.uv, arguments.tests, arguments.processes)
        )
    print("\n".join(write_table(outcomes)))
    sys.exit(any(one.failed for one in outcomes))


def split_combination(name: str) -> tuple[VersionSet, str]:
    """The set and the Python of ``newest-3.12``."""
    chosen, _, python = name.rpartition("-")
    if chosen not in SETS or python not in PYTHONS:
        sys.exit(f"'{name}' is no combination: one of {', '.join(SETS)}, '-', one of {', '.join(PYTHONS)}")
    return SETS[chosen], python


def try_combination(
    version_set: VersionSet, python: str, uv: str, tests: Sequence[str], processes: int
) -> Outcome:
    """Install and test; skipped, with the reason, where there is no such Python, no uv or no answer from the index."""
    interpreter = find_interpreter(python)
    if interpreter is None:
        reason = f"skipped: no Python {python} with all of its modules among pyenv's, on PATH or in /usr/bin"
        return Outcome(version_set.name, python, reason=reason)
    if shutil.which(uv) is None:
        return Outcome(
            version_set.name, python, reason=f"skipped: no uv at '{uv}'; python3 -m pip install uv"
        )
    begun = time.monotonic()
    folder = FOLDER / f"{version_set.name}-{python}"
    try:
        program = install(version_set, folder, interpreter, uv)
    except UnansweredError as error:
        print(error)
        reason = "skipped: the package index does not answer; what uv says stands above"
        return Outcome(version_set.name, python, reason=reason)
    except VersionsError as error:
        print(error)
        return Outcome(
            version_set.name,
            python,
            failed=1,
            reason=f"{str(error).splitlines()[0].rstrip(':')}; more stands above",
        )
    report = folder.with_name(f"{folder.name}.xml")
    report.unlink(missing_ok=True)
    command = [
        str(program), "-m", "pytest", "--dist", "loadfile", "--no-loadscope-reorder", "-n", str(processes),
        "-m", "not slow", "-p", "no:cacheprovider", "-rsfE", "--ignore", NOT_HERE, f"--junitxml={report}",
        *(tests or version_set.tests),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    # uv leaves compiling to the first import; where that is not kept, each process that a test starts does it again.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    code = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode
    return read_outcome(version_set.name, python, report, code, time.monotonic() - begun)


def find_interpreter(python: str) -> str | None:
    """A Python of this minor version that has its standard library whole; names on PATH may be stubs that refuse."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    built = sorted(map(str, root.glob(f"versions/{python}.*/bin/python")), reverse=True)
    named = [shutil.which(f"python{python}"), f"/usr/bin/python{python}"]
    check = NEEDED.format(*python.split("."))
    for program in [*built, *filter(None, named)]:
        is_there = Path(program).exists()
        if (
            is_there
            and subprocess.run([program, "-c", check], check=False, capture_output=True).returncode == 0
        ):
            return program
    return None


def install(version_set: VersionSet, folder: Path, interpreter: str, uv: str) -> Path:
    """Bring an environment to exactly the versions of the set; the path of its Python.

    Raises
    ------
    VersionsError
        They cannot be found or installed, or a floor is not among them.
    """
    program = folder / "bin" / "python"
    if not program.exists():
        run_uv(uv, "venv", "--clear", "--python", interpreter, str(folder))
    wanted, versions = folder.with_name(f"{folder.name}.in"), folder.with_name(f"{folder.name}.txt")
    requirements = list_requirements(version_set)
    wanted.write_text("".join(f"{requirement}\n" for requirement in requirements))
    pins = ["--constraint", "constraints.txt"] if version_set.name == "pinned" else ["--upgrade"]
    run_uv(
        uv, "pip", "compile", str(wanted), *pins, "--resolution", version_set.resolution, "--python", str(program),
        "--no-header", "--no-annotate", "--no-emit-index-url", "--output-file", str(versions),
    )  # fmt: skip
    if version_set.is_oldest:
        tell_lifted(find_lifted(requirements, versions.read_text(), version_set), version_set)
    run_uv(uv, "pip", "sync", "--python", str(program), str(versions))
    run_uv(uv, "pip", "install", "--no-deps", "--python", str(program), "--editable", ".")
    return program


@cache
def read_project() -> Mapping[str, object]:
    """The table ``[project]``."""
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def list_requirements(version_set: VersionSet) -> list[str]:
    """What the set is resolved from: the core and all that tests need, or what tests of the core alone need."""
    extras = read_project()["optional-dependencies"]
    core = list(read_project()["dependencies"])
    if not version_set.is_core_alone:
        return core + expand("test", extras)
    others = [one for lines in extras.values() for one in lines if read_name(one) in CORE_TEST_LIBRARIES]
    return core + others


def expand(extra: str, extras: Mapping[str, Sequence[str]]) -> list[str]:
    """Requirements of an extra with those of the extras of ours that it names."""
    found: list[str] = []
    for one in extras[extra]:
        own = re.fullmatch(r"bioimage_assets\[([\w-]+)\]", one)
        found += expand(own[1], extras) if own else [one]
    return found


def read_name(requirement: str) -> str:
    """Name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def find_lifted(requirements: Sequence[str], versions: str, version_set: VersionSet) -> list[str]:
    """Floors that are not installed, because another requirement asks for more: those of the core where it is alone, else the others."""
    found = re.findall(r"^([\w.-]+)==(\S+)", versions, re.MULTILINE)
    installed = {read_name(name): version for name, version in found}
    core = {read_name(one) for one in read_project()["dependencies"]}
    lifted = set()
    for requirement in requirements:
        name, floor = read_name(requirement), re.search(r">=\s*([\w.]+)", requirement)
        if floor is None or (name in core) != version_set.is_core_alone:
            continue
        if trim(floor[1]) != trim(installed[name]):
            lifted.add(f"  {name}>={floor[1]}: {installed[name]} is the lowest that can be installed")
    return sorted(lifted)


def tell_lifted(lifted: Sequence[str], version_set: VersionSet) -> None:
    """Refuse a floor of the core that is not tested; floors of extras may be lifted by what other extras need by now."""
    if not lifted:
        return
    text = "\n".join(["floors in pyproject.toml that are not tested:", *lifted])
    if version_set.is_core_alone:
        raise VersionsError(text)
    print(text, flush=True)


def trim(version: str) -> str:
    """A version without zeros at its end: 3.0 is 3."""
    return re.sub(r"(\.0)+$", "", version)


def run_uv(uv: str, *arguments: str) -> None:
    """Run uv; UnansweredError where its index does not answer, VersionsError with what it said where it fails else."""
    command = [uv, *arguments, "--quiet"]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=os.environ | read_pip_settings(),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise build_error(f"uv {' '.join(arguments[:2])} failed:\n{done.stderr.strip()}")


def build_error(text: str) -> VersionsError:
    """The error for what uv said."""
    return UnansweredError(text) if NO_ANSWER.search(text) else VersionsError(text)


@cache
def read_pip_settings() -> dict[str, str]:
    """Where pip finds packages, in uv's words; what uv is told already stays."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=False, capture_output=True, text=True
    ).stdout
    found: dict[str, str] = {}
    # Later lines win in pip: the environment stands first there, and is stronger than a file.
    for name, value in reversed(re.findall(r"^[\w:]+\.([\w-]+)=('.*')$", listed, re.MULTILINE)):
        if name in PIP_SETTINGS and PIP_SETTINGS[name] not in os.environ:
            found[PIP_SETTINGS[name]] = " ".join(str(ast.literal_eval(value)).split())
    # As pip does: the best version of all places, not the first place that has any.
    return {"UV_INDEX_STRATEGY": "unsafe-best-match"} | found


def read_outcome(version_set: str, python: str, report: Path, code: int, seconds: float) -> Outcome:
    """Counts from pytest's report; one failure where it ended without."""
    if not report.exists():
        reason = f"pytest ended with {code} and no report"
        return Outcome(version_set, python, failed=1, seconds=seconds, reason=reason)
    suite = ElementTree.parse(report).getroot().find("testsuite")
    counts = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
    failed, skipped = counts["failures"] + counts["errors"], counts["skipped"]
    passed = counts["tests"] - failed - skipped
    return Outcome(version_set, python, passed, failed or int(code != 0), skipped, seconds)


def write_table(outcomes: Sequence[Outcome]) -> list[str]:
    """One line per combination."""
    line = "{:<8}{:<14}{:>8}{:>8}{:>9}{:>9}  {}"
    rows = [line.format("Python", "set", "passed", "failed", "skipped", "seconds", "").rstrip()]
    if not any(one.version_set == "pinned" for one in outcomes):
        own = "{}.{}".format(*sys.version_info)
        rows.append(line.format(own, "pinned", *"----", "make test runs all tests with it"))
    for one in outcomes:
        counts = (one.passed, one.failed, one.skipped, round(one.seconds))
        rows.append(line.format(one.python, one.version_set, *counts, one.reason).rstrip())
    return rows


if __name__ == "__main__":
    main()
