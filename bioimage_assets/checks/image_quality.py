"""Whether few enough fields of a plate are flagged."""

from bioimage_assets.checks.inputs import CheckInputs
from bioimage_assets.checks.verdict import WARN, Verdict
from bioimage_assets.core.image_quality.summary import summarize_fields


def check_image_quality(inputs: CheckInputs) -> Verdict:
    """Few enough of the fields that were judged are flagged; what was not judged is named."""
    rows = inputs.find("image_quality")
    if rows is None or rows.num_rows == 0:
        return Verdict.not_checked("the plate has no images, and its image table no ImageQuality measures")
    summary = summarize_fields(rows)
    counts = {f"fields_{name}": count for name, count in summary.by_kind.items()}
    unread = f"; {summary.unjudged} were not read" if summary.unjudged else ""
    if not summary.judged:
        return Verdict.not_checked(f"none of {summary.fields} fields was read", counts)
    fraction = summary.flagged / summary.judged
    limit = inputs.settings.image_max_flagged
    text = f"{summary.flagged} of {summary.judged} fields are flagged ({fraction:.1%}); warning above {limit:.0%}{unread}"
    metadata = {"flagged_fraction": fraction, "wells": list(summary.flagged_wells[:50]), **counts}
    return Verdict(fraction <= limit, text, metadata, WARN)
