"""Compares the stated links with other ways to link the same sample, and gives the verdict.

Stated links are contradicted only where a named hypothesis is clearly better than its own null and than the stated
links of the very fields that it concerns; or where nothing fits although cells can be seen in the pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bioimage_assets.core.pixels.witness_fields import CellSet, FieldMaps, MapGrid
from bioimage_assets.core.pixels.witness_scores import (
    MIN_SIGNAL,
    TRANSFORMS,
    Fit,
    Scores,
    ScoreTable,
    build_scores,
    combine,
    weigh_assignment,
)
from bioimage_assets.core.pixels.witness_verdict import (
    Evidence,
    Hypothesis,
    HypothesisKind,
    WitnessOptions,
)
from bioimage_assets.core.pixels.witness_well_maps import (
    Field,
    FieldMap,
    Place,
    build_field_maps,
    list_well_pairs,
)

# In deviations of the null: to believe a hypothesis, to prefer it to the stated links, to say that nothing fits.
CLEAR = 5.0
CLEARLY_BETTER = 4.0
CHANCE = 3.0
MAX_P = 0.005
# Of each of two exchanged wells.
EACH_WELL = 2.0
MIN_CELL_COUNT = 20
# A well does not fit its images below this share of what as many cells of other wells score.
MISFIT_SHARE = 0.25

_TURNED: tuple[HypothesisKind, ...] = (
    "stated", "swapped-axes", "mirrored-y", "mirrored-x", "rotated-image", "rotated-image", "rotated-image", "rotated-image",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """What was read: fields with their cells and maps."""

    fields: tuple[Field, ...]
    cells: tuple[CellSet, ...]
    maps: tuple[FieldMaps, ...]
    grid: MapGrid
    channel_names: tuple[str, ...]
    value_names: tuple[str, ...]
    channel_of_value: tuple[int | None, ...]
    wells: tuple[Place, ...]
    has_places: bool = True
    channel_of_mean: tuple[int | None, ...] = ()

    @property
    def cell_count(self) -> int:
        """Cells that are compared."""
        return sum(own.count for own in self.cells)


@dataclass(frozen=True, slots=True)
class Rival:
    """A hypothesis with what it assigns: a target for each field, in images turned by a transform."""

    hypothesis: Hypothesis
    targets: tuple[int | None, ...]
    transform: int = 0


@dataclass(frozen=True, slots=True)
class Weighed:
    """A rival weighed on the fields that it assigns otherwise: its evidence, and by how much it beats the stated links.

    ``rest`` is how well the stated links of all other fields fit, in deviations; None where it does not matter.
    """

    rival: Rival
    evidence: Evidence
    gain: float
    total_gain: float
    rest: float | None = None

    @property
    def is_clear(self) -> bool:
        """Better than chance, and than what is stated.

        One pair of wells out of many fits by luck where nothing else does, so the rest must be right for it.
        """
        good = self.evidence.deviations >= CLEAR and self.evidence.p_value <= MAX_P
        return good and self.gain >= CLEARLY_BETTER and (self.rest is None or self.rest >= CLEAR)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The stated links and every rival, on one sample."""

    table: ScoreTable
    fit: Fit
    stated: Evidence | None
    by_witness: tuple[Evidence, ...]
    rivals: tuple[Weighed, ...]

    @property
    def best(self) -> Weighed | None:
        """The clear rival that explains most."""
        clear = [weighed for weighed in self.rivals if weighed.is_clear]
        return max(clear, key=lambda weighed: weighed.total_gain, default=None)

    @property
    def is_confirmed(self) -> bool:
        """Whether the stated links are clearly better than chance."""
        stated = self.stated
        return stated is not None and stated.deviations >= CLEAR and stated.p_value <= MAX_P


def find_misfits(sample: Sample, fit: Fit) -> tuple[str, ...]:
    """Wells whose cells fit their images by chance only, although as many cells of other wells fit clearly."""
    own = fit.scores[np.arange(len(fit.sources)), list(fit.sources), 0]
    roots = np.sqrt(np.array(fit.cell_counts, float))
    per_cell = float(np.median(own / roots))
    found = []
    names = [sample.fields[source].well_id for source in fit.sources]
    for name in sorted({name for name in names if name}):
        at = [position for position, other in enumerate(names) if other == name]
        score = float(own[at].sum() / np.sqrt(len(at)))
        expected = per_cell * float(roots[at].sum() / np.sqrt(len(at)))
        if score < MISFIT_SHARE * expected and expected >= CLEAR + 1:
            found.append(name)
    return tuple(found)


def compare(sample: Sample, options: WitnessOptions) -> Comparison:
    """Weigh the stated links and their rivals."""
    table = build_scores(
        sample.cells, sample.maps, sample.grid, sample.channel_names, sample.channel_of_value, options.seed
    )
    same = tuple(range(len(sample.fields)))
    turned = [Rival(Hypothesis(_TURNED[t]), same, t) for t in range(1, len(TRANSFORMS))]
    maps = build_field_maps(sample.fields, sample.wells, options.profile_site_offset)
    rivals = turned + [Rival(one.hypothesis, one.targets) for one in maps]
    counts = [sample.cells[source].count for source in table.sources]
    stated = Rival(Hypothesis("stated"), same)
    weights = _weigh_witnesses(table, [stated, *rivals], counts)
    fit = combine(table, weights, counts)
    pairs = [
        Rival(one.hypothesis, one.targets) for one in _promising_pairs(fit, list_well_pairs(sample.fields))
    ]
    weighed = [
        found for rival in (*rivals, *pairs) if (found := _weigh_rival(fit, rival, options)) is not None
    ]
    return Comparison(
        table, fit, weigh_assignment(fit, "stated", same, 0, options.null_draws, options.seed),
        tuple(_weigh_alone(table, same, counts, options)), tuple(weighed),
    )  # fmt: skip


def _alone(table: ScoreTable, witness: int, counts: Sequence[int]) -> Fit:
    weights = np.zeros(len(table.witnesses))
    weights[witness] = 1
    return combine(table, weights, counts)


def _weigh_alone(
    table: ScoreTable, same: Sequence[int], counts: Sequence[int], options: WitnessOptions
) -> Iterator[Evidence]:
    for number, witness in enumerate(table.witnesses):
        fit = _alone(table, number, counts)
        found = weigh_assignment(fit, "stated", same, 0, options.null_draws, options.seed, witness)
        if found is not None:
            yield found


def _weigh_witnesses(table: ScoreTable, rivals: Sequence[Rival], counts: Sequence[int]) -> Scores:
    """Each witness counts by how much it says under whichever hypothesis it speaks for most; silent ones not at all."""
    weights = np.zeros(len(table.witnesses))
    for number in range(len(table.witnesses)):
        fit = _alone(table, number, counts)
        for rival in rivals:
            pairs = _pairs(fit, rival)
            if len(pairs):
                score = fit.scores[pairs[:, 0], pairs[:, 1], rival.transform].sum() / np.sqrt(len(pairs))
                weights[number] = max(weights[number], score)
    weights[weights < MIN_SIGNAL] = 0
    if not weights.any():
        weights[:] = [witness.startswith("place") for witness in table.witnesses]
    return weights


def _pairs(fit: Fit, rival: Rival) -> np.ndarray:
    """(position of the source, target) of what a rival assigns otherwise than stated; all of what is stated."""
    is_stated = rival.hypothesis.kind == "stated"
    found = [
        (position, target)
        for position, source in enumerate(fit.sources)
        if (target := rival.targets[source]) is not None
        and (target != source or rival.transform or is_stated)
    ]
    return np.array(found, int).reshape(-1, 2)


def _gains(fit: Fit, rival: Rival) -> Scores:
    pairs = _pairs(fit, rival)
    own = [fit.sources[position] for position in pairs[:, 0]]
    gains: Scores = fit.scores[pairs[:, 0], pairs[:, 1], rival.transform] - fit.scores[pairs[:, 0], own, 0]
    return gains


def _weigh_rival(fit: Fit, rival: Rival, options: WitnessOptions) -> Weighed | None:
    pairs = _pairs(fit, rival)
    targets: list[int | None] = [None] * fit.scores.shape[1]
    for position, target in pairs:
        targets[fit.sources[position]] = int(target)
    name = rival.hypothesis.kind
    evidence = weigh_assignment(fit, name, targets, rival.transform, options.null_draws, options.seed)
    if evidence is None or evidence.cell_count < MIN_CELL_COUNT // 2:
        return None
    gains = _gains(fit, rival)
    rest = _weigh_rest(fit, pairs[:, 0], options) if rival.hypothesis.kind == "swapped-wells" else None
    return Weighed(rival, evidence, float(gains.sum() / np.sqrt(2 * len(gains))), float(gains.sum()), rest)


def _weigh_rest(fit: Fit, positions: np.ndarray, options: WitnessOptions) -> float | None:
    """How well the stated links of all other sources fit; None where there are none."""
    targets: list[int | None] = [None] * fit.scores.shape[1]
    for position, source in enumerate(fit.sources):
        targets[source] = None if position in positions else source
    evidence = weigh_assignment(fit, "stated", targets, 0, options.null_draws, options.seed)
    return None if evidence is None else evidence.deviations


def _promising_pairs(fit: Fit, pairs: Iterator[FieldMap]) -> Iterator[FieldMap]:
    """Exchanged wells of which each fits the other and beats what is stated; there are many pairs, so the rest is dropped."""
    for pair in pairs:
        rival = Rival(pair.hypothesis, pair.targets)
        moved = _pairs(fit, rival)
        if not len(moved):
            continue
        scores = fit.scores[moved[:, 0], moved[:, 1], 0]
        owners = np.array([fit.sources[position] for position in moved[:, 0]])
        one_way = owners < moved[:, 1]
        sides = [scores[side] for side in (one_way, ~one_way)]
        gains = _gains(fit, rival)
        if all(len(side) and side.sum() / np.sqrt(len(side)) >= EACH_WELL for side in sides) and (
            gains.sum() / np.sqrt(2 * len(gains)) >= CLEARLY_BETTER
        ):
            yield pair
