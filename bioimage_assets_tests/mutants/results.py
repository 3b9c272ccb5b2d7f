"""What became of each change, kept in a file between runs so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Result:
    """``killed_by`` is the test that failed, ``time`` or ``crash``; empty where the change survived.

    ``source`` and ``tests`` are digests of the module and of its tests at the time of the trial.
    """

    module: str
    change: str
    killed_by: str
    source: str
    tests: str


class Results:
    """Results by module and change, appended to one file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._by_change: dict[tuple[str, str], Result] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                result = Result(**json.loads(line))
                self._by_change[result.module, result.change] = result

    def get(self, module: str, change: str) -> Result | None:
        """The last result of a change."""
        return self._by_change.get((module, change))

    def add(self, result: Result) -> None:
        """Keep a result; it is written at once."""
        self._by_change[result.module, result.change] = result
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(result)) + "\n")


def digest_files(paths: Iterable[Path]) -> str:
    """Short digest of the content of files."""
    digest = sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
