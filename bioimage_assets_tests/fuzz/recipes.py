"""A case that failed, as text: the kind of its example and the changes, as few as it needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from bioimage_assets_tests.fuzz.text_changes import Change
from bioimage_assets_tests.fuzz.worker import Worker

RECIPES = Path(__file__).with_name("recipes")


@dataclass(frozen=True)
class Recipe:
    """``reason`` says how the case failed when it was found."""

    kind: str
    changes: list[Change]
    reason: str = ""


def read_recipe(path: Path) -> Recipe:
    """A recipe as it was written."""
    document = json.loads(path.read_text())
    return Recipe(document["kind"], document["changes"], document["reason"])


def write_recipe(folder: Path, recipe: Recipe) -> Path:
    """Write it under a name that follows from its content."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"kind": recipe.kind, "reason": recipe.reason, "changes": recipe.changes}
    text = json.dumps(document, indent=1) + "\n"
    path = folder / f"{recipe.kind}-{sha256(text.encode()).hexdigest()[:8]}.json"
    path.write_text(text)
    return path


def minimise(worker: Worker, recipe: Recipe) -> Recipe:
    """Leave out each change without which the case fails in the same way."""
    kept = list(recipe.changes)
    for change in recipe.changes:
        fewer = [other for other in kept if other is not change]
        if fewer and worker.replay(recipe.kind, fewer).reason == recipe.reason:
            kept = fewer
    return Recipe(recipe.kind, kept, recipe.reason)
