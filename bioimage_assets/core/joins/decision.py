"""How the positions of profiles are to be read where they do not fit those of the images, and whether pixels confirm the links.

Rows are never linked to a neighbour field on a guess: a correction that keys alone suggest is applied where image ids, image
files or pixels prove it; else the rows stay without image, with an error that names the setting that declares it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.joins.corrections import Correction
from bioimage_assets.core.joins.find_correction import count_file_votes, find_correction
from bioimage_assets.core.joins.image_index import ImageIndex
from bioimage_assets.core.joins.matcher import CountedKey, MatchOptions
from bioimage_assets.core.joins.sources import ProfileSource


@dataclass(frozen=True, slots=True)
class LinkProof:
    """What pixels say about the links of a plate.

    Parameters
    ----------
    verdict
        ``confirmed``, ``contradicted``, or ``undecided``: neither.
    reason
        Sentence with numbers, or why it could not be decided.
    site_offset
        Where contradicted: the offset, besides the one that was applied, under which the pixels agree; 0 where there is none.
    finding
        The same for the plate's findings; None where there was nothing to look at.
    """

    verdict: Literal["confirmed", "contradicted", "undecided"]
    reason: str
    site_offset: int = 0
    finding: Finding | None = None


WeighLinks = Callable[[ProfileSource], LinkProof]
"""Looks at linked rows (columns of the joined table) and at the pixels of their images."""


@dataclass(frozen=True, slots=True)
class LinkDecision:
    """How positions are read.

    Parameters
    ----------
    correction
        Proven, and applied to every row; None where positions are read as they are written.
    refused
        Suggested by the keys and not proven: rows that name a site are linked by other keys only.
    reason
        What proved the correction, or why nothing did.
    findings
        What the pixels say about the links as they were made.
    """

    correction: Correction | None = None
    refused: Correction | None = None
    reason: str = ""
    findings: tuple[Finding, ...] = ()

    def describe(self) -> str:
        """How positions are read, and why, in one line."""
        if self.correction is not None:
            return f"read otherwise: {self.correction.describe()}; proven by {self.reason}"
        if self.refused is not None:
            return f"sites not trusted: it looks as if {self.refused.describe()}, and {self.reason}"
        return "as written"

    def read_keys(self, options: MatchOptions) -> MatchOptions:
        """Options of a matcher that reads keys as decided."""
        return replace(options, correction=self.correction, refuses_sites=self.refused is not None)


AS_WRITTEN = LinkDecision()
WeighDecision = Callable[[LinkDecision], LinkProof]


def decide_links(
    index: ImageIndex,
    counted: Sequence[CountedKey],
    *,
    is_offset_declared: bool,
    weigh: WeighDecision | None,
    other_plates: frozenset[str] = frozenset(),
) -> LinkDecision:
    """Decide how the positions of some profiles are read.

    Parameters
    ----------
    counted
        The rows' keys, matched as they are written.
    is_offset_declared
        The site offset is stated by the user, and is not questioned by keys.
    other_plates
        Plates beside the images' own, whose names are no other names of it.
    weigh
        Has the links of a decision looked at in the pixels; None where pixels are not to be read.
    """
    correction = find_correction(index, counted, other_plates)
    if correction is not None and correction.site_offset and is_offset_declared:
        correction = None
    if correction is None:
        return _weigh_as_written(weigh, may_shift=not is_offset_declared)
    votes = count_file_votes(index, counted, correction)
    if votes.is_refutation:
        return _weigh_as_written(weigh, may_shift=False)
    if votes.is_proof:
        reason = f"image ids or image files of {votes.corrected} rows"
        return _with_findings(LinkDecision(correction, reason=reason), weigh)
    if weigh is None:
        return LinkDecision(refused=correction, reason="no image file or image id of the rows proves it")
    proof = weigh(LinkDecision(correction))
    if proof.verdict == "confirmed":
        return LinkDecision(correction, None, _because(proof), _findings(proof))
    return LinkDecision(refused=correction, reason=f"the pixels do not prove it ({proof.reason.rstrip('.')})")


def _weigh_as_written(weigh: WeighDecision | None, *, may_shift: bool) -> LinkDecision:
    """The links as written; where pixels contradict them and agree with another offset, that one, if it may be applied."""
    if weigh is None:
        return AS_WRITTEN
    proof = weigh(AS_WRITTEN)
    if proof.verdict == "contradicted" and proof.site_offset and may_shift:
        shifted = LinkDecision(Correction(site_offset=proof.site_offset))
        again = weigh(shifted)
        if again.verdict == "confirmed":
            return replace(shifted, reason=_because(again), findings=_findings(again))
    return LinkDecision(findings=_findings(proof))


def _with_findings(decision: LinkDecision, weigh: WeighDecision | None) -> LinkDecision:
    return decision if weigh is None else replace(decision, findings=_findings(weigh(decision)))


def _because(proof: LinkProof) -> str:
    return f"pixels ({proof.reason.rstrip('.')})"


def _findings(proof: LinkProof) -> tuple[Finding, ...]:
    return () if proof.finding is None else (proof.finding,)
