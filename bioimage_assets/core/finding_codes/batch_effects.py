"""Codes about the correction of batch and position effects."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import CONTROLS_EXAMPLE, INFO, WARNING, CodeFamily, FindingCode

BATCH_EFFECTS = CodeFamily(
    "batch-effects",
    "Batches and positions",
    seen_in=(
        "sphered_profiles",
        "correction_scores",
        "plate_findings",
    ),
    page="batch-effects.md",
    codes=(
        FindingCode(
            "plate-of-two-batches",
            WARNING,
            means="Wells of one plate name several batches; the commonest is taken.",
            cause="The column of the batch differs within the platemap.",
            remedy="Write the batches of the plates into dataset.toml, or correct the platemap.",
            setting='[batch_effects]\nbatches = { "day 1" = ["plate-1*"], "day 2" = ["plate-2*"] }',
        ),
        FindingCode(
            "plate-without-batch",
            WARNING,
            means="Plates name no batch and are taken for a batch of their own.",
            cause="The column of the batch is empty for them, or no pattern fits their names.",
            remedy="Add them to `batches` in dataset.toml.",
            setting='[batch_effects]\nbatches = { "day 1" = ["plate-1*"], "day 2" = ["plate-2*"] }',
        ),
        FindingCode(
            "batch-left-out",
            WARNING,
            means="A batch has no corrected profiles: too few control wells, or too many features of the reference batch are missing in it.",
            cause="Its controls are not marked in the platemap, or it was measured with another pipeline.",
            remedy="Mark its controls, join it to another batch (`[batch_effects] batches`), or raise `max_missing` where features are missing.",
            setting=CONTROLS_EXAMPLE,
            page="batch-effects.md#what-is-done-in-this-order",
        ),
        FindingCode(
            "batch-few-controls",
            INFO,
            means="A batch has fewer control wells than features, so how controls vary is known in part.",
            cause="That is usual: features are hundreds, controls are tens.",
            remedy="Nothing, or put more plates into one batch. A larger `epsilon` trusts the controls less.",
            setting="[batch_effects]\nepsilon = 1.0",
        ),
        FindingCode(
            "batch-gaps-filled",
            INFO,
            means="Wells lack some features; the mean of the controls of their batch stands there.",
            cause="Features are null in single wells, mostly where few cells are left.",
            remedy="Nothing. `Metadata_Filled_Features` counts them; leave out wells with many.",
            page="batch-effects.md#what-is-done-in-this-order",
        ),
        FindingCode(
            "position-axis-left-out",
            INFO,
            means="No effect of row or column is taken off, since too few rows or columns have controls.",
            cause="Controls stand in one or two columns of the plate.",
            remedy="Spread controls over the plate. Lower `position_coverage` or `position_min_controls`, or write `position_regression = false`.",
            setting="[batch_effects]\nposition_coverage = 0.5",
            page="batch-effects.md#what-is-done-in-this-order",
        ),
        FindingCode(
            "position-by-trend",
            INFO,
            means="Some rows or columns have too few controls for an effect of their own; only the trend over the plate is taken off.",
            cause="Controls are not in every row and column.",
            remedy="Nothing.",
            page="batch-effects.md#what-is-done-in-this-order",
        ),
        FindingCode(
            "harmony-moves-all",
            INFO,
            means="Harmony moves the wells of all batches together: a new batch changes the profiles of old ones.",
            cause='`method = "harmony"` was chosen.',
            remedy="Choose `sphere`, if published profiles must not move.",
            setting='[batch_effects]\nmethod = "sphere"',
            page="batch-effects.md#what-moves-old-profiles-and-what-does-not",
        ),
        FindingCode(
            "actives-lost",
            WARNING,
            means="Treatments were active before the correction and are not after it.",
            cause="Their effect went along with the position or batch, or there are few controls and the correction is uncertain.",
            remedy='Compare with `pycytominer_profiles` before you call them inactive. `method = "none"` takes off position alone.',
            setting='[batch_effects]\nmethod = "none"',
            page="batch-effects.md#what-the-scores-are",
        ),
        FindingCode(
            "sphering-mixed-references",
            WARNING,
            means="Controls of plates that are relative to controls and of plates that are relative to themselves define one correction.",
            cause="Some plates have too few control wells (see `normalised-to-plate`).",
            remedy="Give every plate enough control wells, or put plates without controls into a dataset of their own.",
        ),
    ),
)
