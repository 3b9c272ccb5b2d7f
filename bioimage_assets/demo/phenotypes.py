"""How compound and dose change the shape and intensity of the cells of a well.

The dose response is the Hill equation; factors are relative to untreated cells (1.0 = no change).
"""

from __future__ import annotations

from dataclasses import dataclass

EC50_UM = 0.6
HILL_SLOPE = 1.3  # one binding site is 1.0; cells answer a little more steeply

NEGATIVE_CONTROL = "DMSO"
INERT_COMPOUND = "inert_A"
ACTIVE_COMPOUNDS = ("nocodazole_like", "mito_tox", "golgi_disruptor")
COMPOUNDS = (*ACTIVE_COMPOUNDS, INERT_COMPOUND)


@dataclass(frozen=True, slots=True)
class Phenotype:
    """How a treated cell differs from an untreated one.

    Parameters
    ----------
    count, nucleus_area, er_level, rna_level, mito_level, golgi_level, golgi_spread
        Factors on the untreated value.
    nucleus_irregularity
        Added relative amplitude of the nuclear outline's waves.
    mito_fragmentation
        0 for a network of filaments, 1 for isolated spots.
    """

    count: float = 1.0
    nucleus_area: float = 1.0
    nucleus_irregularity: float = 0.0
    er_level: float = 1.0
    rna_level: float = 1.0
    mito_level: float = 1.0
    mito_fragmentation: float = 0.0
    golgi_level: float = 1.0
    golgi_spread: float = 1.0


def hill_response(concentration_um: float) -> float:
    """Fraction of the full effect at a concentration in µM, 0 to 1."""
    if concentration_um <= 0:
        return 0.0
    dose = concentration_um**HILL_SLOPE
    return float(dose / (dose + EC50_UM**HILL_SLOPE))


def build_phenotype(compound: str, concentration_um: float) -> Phenotype:
    """Phenotype of a compound at a concentration; DMSO and the inert compound change nothing."""
    effect = hill_response(concentration_um)
    if compound == "nocodazole_like":
        return Phenotype(
            count=1 - 0.35 * effect,
            nucleus_area=1 + 0.7 * effect,
            nucleus_irregularity=0.13 * effect,
            rna_level=1 + 0.15 * effect,
        )
    if compound == "mito_tox":
        return Phenotype(
            count=1 - 0.15 * effect,
            mito_level=1 - 0.6 * effect,
            mito_fragmentation=effect,
            er_level=1 + 0.15 * effect,
        )
    if compound == "golgi_disruptor":
        return Phenotype(
            golgi_level=1 - 0.85 * effect,
            golgi_spread=1 + 0.8 * effect,
            er_level=1 + 0.25 * effect,
        )
    return Phenotype()
