"""Codes about treatments: replicates, activity, dose-response curves and features."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import CONTROLS_EXAMPLE, INFO, WARNING, CodeFamily, FindingCode

HITS = CodeFamily(
    "hits",
    "Treatments: replicates, activity and hits",
    seen_in=(
        "hits",
        "hit_features",
        "campaign_hits",
        "plate_findings",
    ),
    page="hits.md",
    codes=(
        FindingCode(
            "replicates-not-measured",
            WARNING + INFO,
            means="Treatments were not measured. A warning where memory did not suffice, an info where the data allow none.",
            cause="There is no treatment with wells to compare, or the dataset is too large for the memory of the run.",
            remedy="Read the reason in the message. Name treatments and controls in the platemap, or give the run more memory and build hits again.",
        ),
        FindingCode(
            "replicates-sampled",
            INFO,
            means="Measures of replicates were made of samples of the wells.",
            cause="There are more wells, or more control wells, than are compared pairwise.",
            remedy="Nothing. The seed is fixed, so the numbers are the same each time.",
        ),
        FindingCode(
            "treatment-without-replicate",
            INFO,
            means="Treatments have one well and cannot be judged.",
            cause="The layout has no replicates, or the other wells have no profile.",
            remedy="Nothing here; put plates with the other replicates into the dataset.",
            page="hits.md#which-wells",
        ),
        FindingCode(
            "replicates-at-one-position",
            INFO,
            means="All replicates of treatments are at the same position of the plate, so effects of treatment and position cannot be told apart.",
            cause="Replicate plates have the same layout, as is usual.",
            remedy="Look at batch and position effects (`sphered_profiles`), and choose another layout next time.",
            page="hits.md#activity",
        ),
        FindingCode(
            "activity-without-controls",
            WARNING,
            means="There are fewer than two control wells; the activity of treatments is unknown.",
            cause="Controls are not marked, or have another word in the platemap.",
            remedy="Name column and values of the controls under `[controls]` in dataset.toml.",
            setting=CONTROLS_EXAMPLE,
            page="hits.md#activity",
        ),
        FindingCode(
            "distance-without-controls",
            WARNING,
            means="Treatments have no distance from controls, since their group has too few control wells that differ.",
            cause="Controls are not marked in some plates or time points.",
            remedy="Name the control wells in the platemap, with column and values under `[controls]` in dataset.toml.",
            setting=CONTROLS_EXAMPLE,
            page="hits.md#distance-from-controls",
        ),
        FindingCode(
            "features-without-test",
            INFO,
            means="Treatments have too few wells, or too few control wells on their plates, for a p value of a feature.",
            cause="A test needs two wells of each.",
            remedy="Nothing; add replicates or controls to have p values.",
            page="hits.md#features",
        ),
        FindingCode(
            "features-not-tested",
            WARNING,
            means="Features of treatments were not tested, since memory or the scratch folder did not suffice.",
            cause="The dataset has very many treatments and features.",
            remedy="Give the run more memory or its scratch folder (TMPDIR) more room, and build `hit_features` again.",
            page="hits.md#features",
        ),
        FindingCode(
            "no-sphered-profiles",
            WARNING,
            means="Hits are asked for on sphered profiles, and this dataset has none.",
            cause='`[hits] profiles = "sphered"` is written, and no batch has enough control wells or `[batch_effects]` asks for no correction.',
            remedy='Name the control wells (`[controls]`), or write `profiles = "selected"` in dataset.toml.',
            setting='[hits]\nprofiles = "selected"',
            page="hits.md#which-wells",
        ),
        FindingCode(
            "wells-not-sphered",
            WARNING,
            means="Wells are in no treatment, since the sphered profiles leave them out.",
            cause="Their batch could not be corrected (see `batch-left-out`).",
            remedy='Mend that finding, or write `profiles = "selected"` in dataset.toml.',
            setting='[hits]\nprofiles = "selected"',
            page="hits.md#which-wells",
        ),
    ),
)
