"""What the words of the replicate table mean; each of them is used for one thing on all pages."""

from __future__ import annotations

from bioimage_assets.core.profiling.null_correlations import MAX_NULL_WELLS, NULL_DRAWS, NULL_PERCENTILE
from bioimage_assets.core.profiling.replicate_wells import MAX_CONTROLS, MAX_WELLS, SEED
from bioimage_assets.core.settings.dataset import DatasetSettings

_PROFILES = {
    "selected": "wells with the features selected over the dataset (pycytominer_selected_features)",
    "sphered": "wells without the effects of position and batch (sphered_profiles), as [hits] profiles in dataset.toml asks",
}
_TESTS = {
    "welch": "Welch's t test",
    "student": "Student's t test",
    "mann_whitney": "Mann-Whitney's test",
}


def replicate_terms(settings: DatasetSettings) -> tuple[tuple[str, str], ...]:
    """Words of the table of treatments."""
    return (
        ("profiles", _PROFILES[settings.hits_profiles]),
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
        *activity_terms(settings),
    )


def feature_terms(settings: DatasetSettings) -> tuple[tuple[str, str], ...]:
    """Words of the table of what changes in the strongest treatments."""
    test = _TESTS[settings.hits_test]
    return (
        ("features changed", f"those with a feature q below {settings.hits_significance:g}"),
        (
            "effect size",
            "Hedges' g: the difference of the treatment's wells from the control wells of the same plates, in pooled standard "
            "deviations. Of the changed features those with the largest are listed; hit_features has all",
        ),
        ("feature q", f"p value of {test} after Benjamini-Hochberg over the features of one treatment"),
    )


def campaign_terms(settings: DatasetSettings) -> tuple[tuple[str, str], ...]:
    """Words of a campaign's table of treatments."""
    wells = "wells of all plates of all datasets, with the features selected over the campaign"
    return (("profiles", wells), *activity_terms(settings))


def activity_terms(settings: DatasetSettings) -> tuple[tuple[str, str], ...]:
    """Words of a table of treatments, of a dataset or of a campaign."""
    return (
        (
            "mAP",
            "mean average precision of finding a treatment's other wells before control wells, by cosine similarity; control wells "
            f"are those of the same time point and reference, and where there are more than {MAX_CONTROLS:,}, as many of them, drawn",
        ),
        (
            "q",
            f"permutation p value of mAP ({settings.hits_null_size:,} random rankings) after Benjamini-Hochberg. Whatever is drawn is "
            f"drawn with the seed {SEED}: the same wells give the same numbers",
        ),
        (
            "strength",
            f"median length of a treatment's profiles; 1 is the length that {NULL_PERCENTILE:.0f} % of the control wells stay below",
        ),
        ("active", f"q below {settings.hits_significance:g} and a strength above 1"),
        (
            "distance",
            "Mahalanobis distance of the mean profile from the mean control well, on the principal components that hold "
            f"{settings.hits_explained_variance:.0%} of the variance; its null are as many control wells, held out, and its q the p "
            "value of those after Benjamini-Hochberg",
        ),
    )


def dose_terms(settings: DatasetSettings) -> tuple[tuple[str, str], ...]:
    """Words of the table of curves."""
    return (
        (
            "response",
            "how far a well has gone from the mean control in the direction of its compound's higher doses, in deviations of control "
            "wells; no well is scored in a direction that it helped to find",
        ),
        (
            "EC50",
            "dose of half of the curve's rise, by a Hill curve with four parameters; the interval holds the true one in "
            f"{1 - settings.hits_significance:.0%} of cases (profile likelihood), and … is an end that the doses do not bound",
        ),
        (
            "fitted",
            f"a curve that is better than a flat line (F test, q below {settings.hits_significance:g} after Benjamini-Hochberg) and rises "
            f"by at least {settings.hits_min_effect:g} robust deviations of the controls; beyond the doses: the same, but its EC50 is not "
            "between the lowest and the highest dose; flat: neither",
        ),
        (
            "monotone",
            f"responses rise with the dose: Spearman's correlation, p below {settings.hits_significance:g}",
        ),
    )
