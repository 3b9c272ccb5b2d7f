"""Operation counts of scans, kept by test in counts.json: a change of cost is a change on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

COUNTS = Path(__file__).with_name("counts.json")
Check = Callable[..., None]


@pytest.fixture
def check_counts(request: pytest.FixtureRequest) -> Check:
    """Compare what a test (or a part of it) counted with its entry; ``--write-opcounts`` writes the entry first."""

    def check(counts: Mapping[str, int], part: str = "") -> None:
        name = f"{request.node.name} {part}".strip()
        known = json.loads(COUNTS.read_text())
        found = dict(sorted(counts.items()))
        if request.config.getoption("--write-opcounts"):
            known[name] = found
            COUNTS.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n")
        assert found == known.get(name), (
            f"{name} costs {found}, counts.json has {known.get(name)}. "
            "Where that is meant, write it: make opcounts"
        )

    return check
