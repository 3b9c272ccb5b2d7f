"""Findings: recoverable oddities that travel with a result into tables and run metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is odd, missing or repaired.

    Parameters
    ----------
    code
        Stable machine word in kebab-case, e.g. ``missing-level``.
    severity
        ``info`` (repaired or harmless), ``warning`` (a reader should look), ``error`` (data are missing).
    location
        Where: a path inside the store, a file, a column or a row count; empty for the store itself.
    message
        One sentence: what was expected, what was found, what to do.
    store_uri
        The store or file the finding is about.
    """

    code: str
    severity: Severity
    location: str
    message: str
    store_uri: str = ""


def find_names_not_utf8(paths: Sequence[str], store_uri: str) -> tuple[Finding, ...]:
    """Say what was left out because its name is not text; nothing where ``paths`` is empty."""
    if not paths:
        return ()
    text = (
        f"{len(paths)} names are no UTF-8 text, which no table can hold, and were left out; rename them "
        "(convmv does so for trees)."
    )
    return (Finding("name-not-utf8", "error", paths[0], text, store_uri),)
