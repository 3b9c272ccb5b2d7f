"""An environment in which only what `pip install bioimage_assets` brings can be imported, in every process that is started in it.

The libraries of the extras are on the disk all the same; a finder in front of all others says that they are not. Which ones
these are follows from pyproject.toml and the requirements of the installed distributions, as an installer reads them.
"""

from __future__ import annotations

import os
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
_FINDER = '''\
"""Written for a test: hides modules that a plain installation does not have."""

import sys

HIDDEN = frozenset({hidden!r})


class Hide:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Hide)
'''


def read_project() -> dict[str, object]:
    """The table ``[project]`` and the dependency groups of pyproject.toml."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {**content["project"], "groups": content["dependency-groups"]}


@cache
def list_hidden() -> frozenset[str]:
    """Top-level modules of this environment that a plain installation has not."""
    core = find_closure(read_project()["dependencies"])
    ours = {"bioimage_assets", "bioimage_assets_tests"}
    return frozenset(
        module
        for module, names in packages_distributions().items()
        if module not in ours and core.isdisjoint(map(canonicalize_name, names))
    )


def find_closure(wanted: object) -> set[str]:
    """Names of the distributions that requirements bring, theirs included, as far as they are installed here."""
    assert isinstance(wanted, list)
    found: set[str] = set()
    open_ones = [Requirement(text) for text in wanted]
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while open_ones:
        one = open_ones.pop()
        name, extras = canonicalize_name(one.name), tuple(sorted(one.extras))
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found.add(name)
        try:
            texts = requires(one.name) or ()
        except PackageNotFoundError:
            continue
        open_ones += [
            inner
            for inner in map(Requirement, texts)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in ("", *extras))
        ]
    return found


def build_plain_environment(folder: Path, **variables: str) -> dict[str, str]:
    """Variables of a process for which the extras are not installed; ``folder`` holds what hides them."""
    (folder / "sitecustomize.py").write_text(_FINDER.format(hidden=sorted(list_hidden())))
    path = os.pathsep.join([str(folder), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, **variables}
