"""Findings: recoverable oddities that travel with a result into tables and run metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["info", "warning", "error"]
# Spoken of without a folder, as code does that does not know the dataset's.
_SETTINGS_FILE = re.compile(r"(?<![/\w])(?:the dataset's )?dataset\.toml")


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
    setting
        Table and key to write in the dataset's ``dataset.toml``, e.g. ``[join] profile_site_offset = 1``; empty where no
        setting helps.
    """

    code: str
    severity: Severity
    location: str
    message: str
    store_uri: str = ""
    setting: str = ""

    def name_file(self, dataset_uri: str) -> Finding:
        """The same finding, whose message names the dataset's own file where it speaks of ``dataset.toml`` or has a setting.

        Without ``dataset_uri`` only the setting is added.
        """
        file = f"{dataset_uri.rstrip('/')}/dataset.toml" if dataset_uri else "the dataset's dataset.toml"
        text = _SETTINGS_FILE.sub(lambda _: file, self.message, count=1) if dataset_uri else self.message
        if self.setting:
            text = f"{text} Write {self.setting} in {file}."
        return replace(self, message=text, setting="")

    def name_campaign(self, file_uri: str, name: str) -> Finding:
        """The same finding about a campaign, whose settings stand in its own table of ``campaign.toml``."""
        place = f"{file_uri}, below [campaigns.{name}]"
        text = _SETTINGS_FILE.sub(lambda _: place, self.message, count=1)
        if self.setting:
            text = f"{text} Write {self.setting} in {place}."
        return replace(self, message=text, setting="")


SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""The worst first."""


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """Findings of one plate or dataset that have the same code.

    Parameters
    ----------
    partition
        Key of the plate or dataset.
    severity
        The worst of them.
    count
        How many there are.
    places
        Their distinct locations, in the order they were found.
    message
        Sentence of the first of the worst; others differ in place and numbers only.
    """

    partition: str
    code: str
    severity: Severity
    count: int
    places: tuple[str, ...]
    message: str


def group_findings(partition: str, findings: Iterable[Finding]) -> tuple[FindingGroup, ...]:
    """One group per code, the worst first, else in the order they were found."""
    by_code: dict[str, list[Finding]] = {}
    for finding in dict.fromkeys(findings):
        by_code.setdefault(finding.code, []).append(finding)
    groups = []
    for code, found in by_code.items():
        worst = min(found, key=lambda finding: SEVERITIES.index(finding.severity))
        places = tuple(dict.fromkeys(finding.location for finding in found if finding.location))
        groups.append(FindingGroup(partition, code, worst.severity, len(found), places, worst.message))
    return tuple(sorted(groups, key=lambda group: SEVERITIES.index(group.severity)))


def find_names_not_utf8(paths: Sequence[str], store_uri: str) -> tuple[Finding, ...]:
    """Say what was left out because its name is not text; nothing where ``paths`` is empty."""
    if not paths:
        return ()
    text = (
        f"{len(paths)} names are no UTF-8 text, which no table can hold, and were left out; rename them "
        "(convmv does so for trees)."
    )
    return (Finding("name-not-utf8", "error", paths[0], text, store_uri),)
