"""One verdict per plate: a check of a batch of plates speaks about each of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from bioimage_assets.core.phrases import count_words, plural_of
from bioimage_assets.partitions import list_run_partitions

WARN = dg.AssetCheckSeverity.WARN
ERROR = dg.AssetCheckSeverity.ERROR


@dataclass
class Verdict:
    """What a check says about one plate."""

    passed: bool
    description: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    severity: dg.AssetCheckSeverity = ERROR

    @classmethod
    def not_checked(cls, reason: str, metadata: Mapping[str, Any] | None = None) -> "Verdict":
        """Of a check that did not run, or had nothing to look at: a warning, since green would say more than is known."""
        return cls(False, f"not checked: {reason}", metadata or {}, WARN)

    def build_evaluation(
        self, check: dg.AssetCheckKey, plate_key: str, *, is_blocking: bool = False
    ) -> dg.AssetCheckEvaluation:
        """What the event log is told of one plate."""
        return dg.AssetCheckEvaluation(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=self.passed,
            description=self.description,
            metadata=dict(self.metadata),
            severity=self.severity,
            partition=plate_key,
            blocking=is_blocking,
        )


def evaluate_plates(
    context: dg.AssetCheckExecutionContext, check_plate: Callable[[str], Verdict]
) -> dg.AssetCheckResult:
    """Check every plate of the run.

    A run of one plate gives that plate's result. A run of several logs one evaluation per plate, and
    gives a result about the batch that names the plates that failed.
    """
    keys = list_run_partitions(context)
    verdicts = {key: check_plate(key) for key in keys}
    if len(keys) == 1:
        verdict = verdicts[keys[0]]
        return dg.AssetCheckResult(
            passed=verdict.passed,
            description=verdict.description,
            metadata=verdict.metadata,
            severity=verdict.severity,
        )
    spec = context.check_specs[0] if hasattr(context, "check_specs") else None
    for key, verdict in verdicts.items():
        if spec is not None:
            # Typed for materialisations and observations only; evaluations are logged alike (tested).
            context.op_execution_context.log_event(
                verdict.build_evaluation(spec.key, key, is_blocking=bool(spec.blocking))  # type: ignore[arg-type]
            )
    failed = [key for key, verdict in verdicts.items() if not verdict.passed]
    worst = ERROR if any(verdicts[key].severity is ERROR for key in failed) else WARN
    return dg.AssetCheckResult(
        passed=not failed,
        description=f"{len(failed)} of {count_words(len(keys), 'plate')} {plural_of(len(failed), 'does', 'do')} not pass."
        if failed
        else f"{count_words(len(keys), 'plate passes', 'plates pass')}.",
        metadata={"plates_that_fail": failed[:100]},
        severity=worst,
    )
