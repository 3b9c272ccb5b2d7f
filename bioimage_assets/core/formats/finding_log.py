"""Findings of one scan, collected: single places stay single, what repeats for every image is said once."""

from __future__ import annotations

from bioimage_assets.core.findings import Finding, Severity

MAX_FINDINGS_PER_CODE = 1_000  # one finding per field of a broken plate; further ones are counted in the last


class FindingLog:
    """Collects findings about one store in the order they were met."""

    def __init__(self, store_uri: str) -> None:
        self.store_uri = store_uri
        self._single: list[Finding] = []
        self._counts: dict[str, int] = {}
        self._repeated: dict[tuple[str, str], tuple[Finding, int]] = {}

    def note(self, code: str, severity: Severity, location: str, message: str) -> None:
        """Record one place; beyond 1,000 places of one code they are only counted."""
        count = self._counts.get(code, 0)
        self._counts[code] = count + 1
        if count < MAX_FINDINGS_PER_CODE:
            self._single.append(Finding(code, severity, location, message, self.store_uri))

    def note_repeated(self, code: str, severity: Severity, location: str, message: str) -> None:
        """Record something that many nodes share: the first place is kept, the others are counted."""
        first, count = self._repeated.get((code, message), (None, 0))
        finding = first or Finding(code, severity, location, message, self.store_uri)
        self._repeated[code, message] = (finding, count + 1)

    def findings(self) -> tuple[Finding, ...]:
        """Give everything that was recorded."""
        result = list(self._single)
        for finding, count in self._repeated.values():
            message = (
                finding.message
                if count == 1
                else f"{finding.message} (here and in {count - 1:,} more places)"
            )
            result.append(Finding(finding.code, finding.severity, finding.location, message, self.store_uri))
        for code, count in self._counts.items():
            if count > MAX_FINDINGS_PER_CODE:
                more = count - MAX_FINDINGS_PER_CODE
                severity = next(finding.severity for finding in self._single if finding.code == code)
                result.append(
                    Finding(code, severity, "", f"{more:,} more places of this kind.", self.store_uri)
                )
        return tuple(result)
