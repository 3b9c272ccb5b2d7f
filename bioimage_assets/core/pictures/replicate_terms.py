"""What the words of the replicate table mean; each of them is used for one thing on all pages."""

from __future__ import annotations

from bioimage_assets.core.profiling.activity import NULL_SIZE, SIGNIFICANCE
from bioimage_assets.core.profiling.null_correlations import MAX_NULL_WELLS, NULL_DRAWS, NULL_PERCENTILE
from bioimage_assets.core.profiling.replicate_wells import MAX_CONTROLS, MAX_WELLS, SEED

TERMS: tuple[tuple[str, str], ...] = (
    (
        "replicate correlation",
        "median Pearson correlation of the profiles of all pairs of a treatment's wells that lie at different positions (of all "
        f"pairs where there is one position; of {MAX_WELLS:,} wells, drawn, where there are more)",
    ),
    (
        f"null {NULL_PERCENTILE:.0f} %",
        f"what chance gives: {NULL_PERCENTILE:.0f} % of groups of as many wells, each of another treatment, have a lower "
        f"median correlation. {NULL_DRAWS:,} such groups are drawn, of at most {MAX_NULL_WELLS} wells. A treatment above it "
        "replicates",
    ),
    (
        "mAP",
        "mean average precision of finding a treatment's other wells before control wells, by cosine similarity; control wells "
        f"are those of the same time point and reference, and where there are more than {MAX_CONTROLS:,}, as many of them, drawn",
    ),
    (
        "q",
        f"permutation p value of mAP ({NULL_SIZE:,} random rankings) after Benjamini-Hochberg. Whatever is drawn is drawn with "
        f"the seed {SEED}: the same wells give the same numbers",
    ),
    (
        "strength",
        f"median length of a treatment's profiles; 1 is the length that {NULL_PERCENTILE:.0f} % of the control wells stay below",
    ),
    ("active", f"q below {SIGNIFICANCE} and a strength above 1"),
)
