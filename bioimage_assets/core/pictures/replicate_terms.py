"""What the words of the replicate table mean; each of them is used for one thing on all pages."""

from __future__ import annotations

from bioimage_assets.core.profiling.activity import SIGNIFICANCE
from bioimage_assets.core.profiling.replicates import NULL_PERCENTILE

TERMS: tuple[tuple[str, str], ...] = (
    (
        "replicate correlation",
        "median Pearson correlation of the profiles of all pairs of a treatment's wells",
    ),
    (
        f"null {NULL_PERCENTILE:.0f} %",
        f"what chance gives: {NULL_PERCENTILE:.0f} % of groups of as many wells, each of another treatment, have a lower "
        "median correlation. A treatment above it replicates",
    ),
    (
        "mAP",
        "mean average precision of finding a treatment's other wells before control wells, by cosine similarity",
    ),
    ("q", "permutation p value of mAP after Benjamini-Hochberg"),
    (
        "strength",
        f"median length of a treatment's profiles; 1 is the length that {NULL_PERCENTILE:.0f} % of the control wells stay below",
    ),
    ("active", f"q below {SIGNIFICANCE} and a strength above 1"),
)
