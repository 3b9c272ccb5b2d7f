"""What the pixels say about the links of a plate: the verdict, the better hypothesis, and the numbers behind both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bioimage_assets.core.findings import Finding, Severity

VerdictWord = Literal["confirmed", "contradicted", "undecided"]
HypothesisKind = Literal[
    "stated",
    "site-offset",
    "swapped-wells",
    "swapped-rows-columns",
    "mirrored-columns",
    "mirrored-rows",
    "rotated-plate",
    "shifted-columns",
    "shifted-rows",
    "swapped-axes",
    "mirrored-y",
    "mirrored-x",
    "rotated-image",
    "swapped-channels",
    "other-plate",
]
UndecidedCause = Literal[
    "no-cells",
    "no-centres",
    "image-means-only",
    "too-few-cells",
    "pixels-unreadable",
    "centres-outside",
    "centres-shifted",
    "no-contrast",
    "not-better-than-chance",
]

_SENTENCES: dict[HypothesisKind, str] = {
    "stated": "Each cell belongs to the image that it is linked to.",
    "swapped-rows-columns": "Rows and columns of the plate are exchanged between measurements and images: correct the "
    "wells of one of them.",
    "mirrored-columns": "The columns of the plate run the other way in the images: correct the wells of one of them.",
    "mirrored-rows": "The rows of the plate run the other way in the images: correct the wells of one of them.",
    "rotated-plate": "The plate was turned by 180 degrees between measurements and images: correct the wells of one of them.",
    "swapped-axes": "Y and X of the centres are exchanged: exchange the columns of the measurements, or transpose the images.",
    "mirrored-y": "The images are upside down against the centres: measure the images as they are stored, or store them as "
    "they were measured.",
    "mirrored-x": "The images are mirrored left to right against the centres: measure the images as they are stored, or store "
    "them as they were measured.",
    "rotated-image": "The images are turned against the centres: measure the images as they are stored, or store them as they "
    "were measured.",
    "other-plate": "The centres fit none of the fields that were looked at: these are measurements or images of another "
    "plate, or of wells in another order. Put the right ones in their place.",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class WitnessOptions:
    """How much is read, and by what luck a link must not be explained.

    Parameters
    ----------
    max_fields, cells_per_field
        Fields spread over the plate, and cells taken of each.
    max_requests, max_bytes
        Budget of stored pieces (chunks, tiles, strips) and of their bytes; fewer fields are read where it does not
        suffice, and nothing beyond it.
    max_channels
        Channels read of each field; those with measured intensities first.
    null_draws, seed
        Random assignments of the same cells to other fields, which make the null.
    profile_site_offset
        The offset that the links were made with, so that a proposed one can be written as it belongs in dataset.toml.
    """

    max_fields: int = 30
    cells_per_field: int = 40
    max_requests: int = 600
    max_bytes: int = 256 * 2**20
    max_channels: int = 5
    null_draws: int = 999
    seed: int = 0
    profile_site_offset: int = 0


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Another way to link cells and images.

    Parameters
    ----------
    value
        ``site-offset``: what is to be added to the present ``profile_site_offset``; ``shifted-*``: rows or columns.
    wells
        ``swapped-wells``: the two wells.
    channels
        ``swapped-channels``: (measured name, image channel that it fits) for each channel that fits another one.
    setting
        What to write in dataset.toml, where a setting mends it.
    """

    kind: HypothesisKind
    value: int | None = None
    wells: tuple[str, ...] = ()
    channels: tuple[tuple[str, str], ...] = ()
    setting: str = ""

    def describe(self) -> str:
        """What is the case and what to do, in one or two sentences."""
        if self.kind == "site-offset":
            return f"Cells fit the image whose site number is {-(self.value or 0):+d} from the one they are linked to."
        if self.kind == "swapped-wells":
            return f"Wells {' and '.join(self.wells)} are exchanged between measurements and images: correct one of them."
        if self.kind in ("shifted-columns", "shifted-rows"):
            what = "column" if self.kind == "shifted-columns" else "row"
            return (
                f"Cells fit the well that is {self.value or 0:+d} {what} from the one they are linked to: "
                "correct the wells of measurements or images."
            )
        if self.kind == "swapped-channels":
            pairs = ", ".join(f"{measured} fits the image's {image}" for measured, image in self.channels)
            return f"Channels are named otherwise in the measurements than in the images ({pairs}): correct the names of one."
        return _SENTENCES[self.kind]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One comparison: a statistic of the cells under a hypothesis, and of the same cells on other fields.

    ``statistic`` is the mean over fields of the score of a field's cells, in units of one field's null deviation (for a
    single witness and all together alike); ``deviations`` says how far beyond its null it is.
    """

    hypothesis: str
    witness: str
    statistic: float
    null_mean: float
    null_95: float
    deviations: float
    p_value: float
    cell_count: int
    field_count: int


@dataclass(frozen=True, slots=True)
class ReadCost:
    """What was read of the images: stored pieces and arrays opened, and stored bytes, against the budget."""

    requests: int = 0
    bytes_read: int = 0
    max_requests: int = 0
    max_bytes: int = 0


@dataclass(frozen=True, slots=True)
class LinkVerdict:
    """Whether the pixels confirm the links of a plate.

    ``better`` is named where ``verdict`` is ``contradicted``; ``cause`` where it is ``undecided``. ``misfit_wells`` are wells
    of a plate that is confirmed whose own cells fit by chance only.
    """

    verdict: VerdictWord
    reason: str
    better: Hypothesis | None = None
    cause: UndecidedCause | None = None
    evidence: tuple[Evidence, ...] = ()
    cell_count: int = 0
    field_count: int = 0
    cost: ReadCost = ReadCost()
    null_draws: int = 0
    seed: int = 0
    findings: tuple[Finding, ...] = ()
    misfit_wells: tuple[str, ...] = ()

    @property
    def requests(self) -> int:
        """Stored pieces read and arrays opened."""
        return self.cost.requests

    @property
    def bytes_read(self) -> int:
        """Stored bytes read."""
        return self.cost.bytes_read

    def shown_evidence(self, rival_count: int) -> tuple[Evidence, ...]:
        """Evidence of the stated links, and of the best rivals."""
        stated = [one for one in self.evidence if one.hypothesis == "stated"]
        rivals = [one for one in self.evidence if one.hypothesis != "stated"]
        return (*stated, *rivals[:rival_count])

    def describe(self) -> str:
        """The verdict in words, with what to do where it contradicts."""
        if self.misfit_wells:
            return (
                f"{self.reason} But cells of {', '.join(self.misfit_wells)} do not fit theirs: look whether these wells are empty, "
                "out of focus, or exchanged with a well that was not looked at."
            )
        return f"{self.reason} {self.better.describe()}" if self.better else self.reason

    def to_finding(self) -> Finding:
        """The verdict as a finding of the plate.

        Measurements that name no place of a cell can never be compared, so that is an info; whatever else was not
        decided is a warning.
        """
        if self.verdict == "confirmed":
            severity: Severity = "warning" if self.misfit_wells else "info"
            wells = ", ".join(self.misfit_wells)
            return Finding("links-confirmed-by-pixels", severity, wells, self.describe())
        if self.verdict == "contradicted":
            setting = self.better.setting if self.better else ""
            return Finding("links-contradicted-by-pixels", "error", "", self.describe(), setting=setting)
        severity = "info" if self.cause in ("no-centres", "no-cells") else "warning"
        return Finding(
            "links-not-proven-by-pixels",
            severity,
            "",
            f"The links were not proven by pixels: {self.describe()}",
        )
