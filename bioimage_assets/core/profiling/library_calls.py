"""Calls of the libraries behind a table, written down so that a reader can repeat them by hand.

A record names the function, the version of its package, the arguments that were really given and, in ``rows`` and the
other notes, the data. Where another engine computed the numbers by the function's rule, ``computed_by`` names it with its
version: the call by hand gives the same numbers. It holds plain values only, as JSON stores them. Feature names are not listed, since a table
names them already: they are described by a rule, their count and a digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata

from bioimage_assets.core.profiling.cosmicqc import QcReport


@dataclass(frozen=True, slots=True)
class LibraryCall:
    """One call: ``call`` is the dotted name of the function, ``notes`` say which data it was given."""

    call: str
    arguments: Mapping[str, object]
    notes: Mapping[str, object] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """As a manifest stores it."""
        package = self.call.partition(".")[0]
        version = metadata.version(package)
        return {"call": self.call, "version": version, "arguments": dict(self.arguments), **self.notes}


def describe_features(names: Sequence[str], rule: str) -> dict[str, object]:
    """Feature names as a record: their number, how to find them in the table, and a digest to compare with.

    The digest is the SHA-256 of the names in table order, joined by line breaks.
    """
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    return {"count": len(names), "rule": rule, "sha256": digest}


def list_qc_calls(report: QcReport) -> tuple[LibraryCall, ...]:
    """Calls of coSMicQC behind the flags of one plate, one per condition that could be evaluated."""
    return tuple(
        LibraryCall(
            "cosmicqc.identify_outliers",
            {
                "condition_name": condition.name,
                "feature_thresholds": {limit.feature: limit.zscore for limit in condition.thresholds},
                "include_threshold_scores": True,
            },
            {"rows": "cells of joined_profiles with a finite value in each of these features"},
        )
        for condition in report.conditions
        if condition.thresholds  # flags of fields are none of the library's
    )
