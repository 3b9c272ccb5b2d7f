"""What a join did, in numbers: counted outcomes with sample keys, linked columns and findings.

Row outcomes (``ROW_OUTCOMES``) add up to the profile rows; the others count images, columns or disagreements.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.joins.join_rules import JOIN_RULES, JoinRule
from bioimage_assets.core.joins.matcher import CountedKey
from bioimage_assets.core.tables.schemas import JOIN_REPORT

Outcome = Literal[
    "matched", "ambiguous", "profiles-without-image", "no-images", "image-without-profiles", "conflicting-rules",
    "linked-column", "unlinked-column", "corrected-position", "dropped",
]  # fmt: skip
ROW_OUTCOMES: tuple[Outcome, ...] = ("matched", "ambiguous", "profiles-without-image", "no-images")
# Values of columns that name image files (overlays), several per cell.
COLUMN_OUTCOMES: frozenset[Outcome] = frozenset({"linked-column", "unlinked-column"})
SAMPLE_SIZE = 5
NO_IMAGES_TEXT = "No images by design: the plate is measurements alone. Its cells are linked once its images lie beside them."


@dataclass(frozen=True, slots=True)
class JoinOutcome:
    """One line of the report; ``row_count`` counts profile rows, or images for ``image-without-profiles``."""

    outcome: Outcome
    join_rule: JoinRule | None
    row_count: int
    sample_keys: tuple[str, ...] = ()
    message: str | None = None


@dataclass(frozen=True, slots=True)
class JoinReport:
    """Accounting of one join; ``profile_rows`` came in and ``joined_rows`` went out."""

    plate_key: str
    dataset_id: str
    profile_rows: int
    joined_rows: int
    image_count: int
    outcomes: tuple[JoinOutcome, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def is_imageless(self) -> bool:
        """Whether the plate has no images by design."""
        return any(outcome.outcome == "no-images" for outcome in self.outcomes)

    @property
    def matched_rows(self) -> int:
        """Profile rows that found their image."""
        return self.count("matched")

    @property
    def matched_fraction(self) -> float:
        """Share of profile rows with an image; 1.0 where there are no rows."""
        return self.matched_rows / self.profile_rows if self.profile_rows else 1.0

    def count(self, outcome: Outcome, rule: JoinRule | None = None) -> int:
        """Sum of an outcome's counts, of one rule where it is given."""
        return sum(
            o.row_count
            for o in self.outcomes
            if o.outcome == outcome and (rule is None or o.join_rule == rule)
        )

    def to_table(self) -> pa.Table:
        """Rows of the ``join_report`` table."""
        rows = [
            {
                "plate_key": self.plate_key,
                "dataset_id": self.dataset_id,
                "outcome": outcome.outcome,
                "join_rule": outcome.join_rule,
                "row_count": outcome.row_count,
                "sample_keys": list(outcome.sample_keys),
                "message": outcome.message,
            }
            for outcome in self.outcomes
        ]
        return pa.Table.from_pylist(rows, schema=JOIN_REPORT)

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self) | {"matched_rows": self.matched_rows, "matched_fraction": self.matched_fraction}

    def to_json(self, **options: object) -> str:
        """JSON text of ``to_dict``; options go to ``json.dumps``."""
        return json.dumps(self.to_dict(), **options)  # type: ignore[arg-type]


def build_row_outcomes(counted: Iterable[CountedKey], *, is_imageless: bool = False) -> list[JoinOutcome]:
    """Outcomes of the profile rows: per rule matched, per rule ambiguous, without image, conflicting.

    ``is_imageless``: that the plate has no images is by design, so that no row could be linked.
    """
    matched, ambiguous, conflicts = _Tally(), _Tally(), _Tally()
    missing = _Tally()
    for item in counted:
        match, label = item.match, item.key.label()
        if match.rule is not None:
            matched.add(match.rule, item.row_count, label)
        elif match.ambiguous_rule is not None:
            ambiguous.add(match.ambiguous_rule, item.row_count, f"{label} ({len(match.candidates)} images)")
        else:
            missing.add(None, item.row_count, label)
        for rule, _ in match.conflicts:
            conflicts.add(rule, item.row_count, f"{label} ({match.rule} against {rule})")
    ambiguous_text = "The key names several images; the rows stay without image."
    conflict_text = (
        "This rule names another image, or a well without image, than the rule that linked the rows."
    )
    unlinked: tuple[Outcome, str] = (
        ("no-images", NO_IMAGES_TEXT)
        if is_imageless
        else ("profiles-without-image", "No rule found an image for these rows.")
    )
    return [
        *matched.outcomes("matched", None),
        *ambiguous.outcomes("ambiguous", ambiguous_text),
        *missing.outcomes(*unlinked),
        *conflicts.outcomes("conflicting-rules", conflict_text),
    ]


def read_proven_site_offset(join_report: pa.Table | None) -> int:
    """The site offset that a stored join proved and applied; 0 where there is none."""
    rows = [] if join_report is None else join_report.to_pylist()
    texts = [
        text for row in rows if row["outcome"] == "corrected-position" for text in row["sample_keys"] or ()
    ]
    found = (text.partition(" = ") for text in texts)
    return next((int(value) for name, _, value in found if name == "profile_site_offset"), 0)


class _Tally:
    """Counts and the first sample labels, by rule."""

    def __init__(self) -> None:
        self._counts: Counter[JoinRule | None] = Counter()
        self._samples: dict[JoinRule | None, dict[str, None]] = defaultdict(dict)

    def add(self, rule: JoinRule | None, count: int, label: str) -> None:
        self._counts[rule] += count
        if len(self._samples[rule]) < SAMPLE_SIZE:
            self._samples[rule][label] = None

    def outcomes(self, outcome: Outcome, message: str | None) -> list[JoinOutcome]:
        order: tuple[JoinRule | None, ...] = (*JOIN_RULES, None)
        return [
            JoinOutcome(outcome, rule, self._counts[rule], tuple(self._samples[rule]), message)
            for rule in order
            if self._counts[rule]
        ]
