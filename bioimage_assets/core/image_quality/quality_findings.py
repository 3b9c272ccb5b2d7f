"""Says what of a plate's image quality is not known, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.image_quality.fields import QualityField
from bioimage_assets.core.image_quality.flags import MIN_FIELDS
from bioimage_assets.core.image_quality.measured import MeasuredQuality
from bioimage_assets.core.image_quality.read_plan import ReadPlan
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.settings.dataset import DatasetSettings


def list_findings(
    sources: Sequence[str],
    field_count: int,
    plan: ReadPlan,
    unreadable: Sequence[tuple[QualityField, str]],
    measured: MeasuredQuality,
    settings: DatasetSettings,
) -> Iterator[Finding]:
    """Findings about what was not read, not linked and not judged; ``sources`` are those of the rows."""
    counts = Counter(sources)
    if plan.beyond_budget and settings.measure_image_quality:
        text = (
            f"{plan.beyond_budget} of {count_words(field_count, 'field')} were not read for their quality: the budget of "
            f"{settings.image_read_budget_mb} MB holds {len(plan.reads)}. They are listed as not_read and have no flag."
        )
        yield Finding(
            "image-quality-beyond-budget", "info", "", text, setting="[image_quality] read_budget_mb = …"
        )
    if unreadable:
        field, reason = unreadable[0]
        text = f"{len(unreadable)} of {count_words(field_count, 'field')} could not be read for their quality; the first: {reason}"
        yield Finding("image-quality-unreadable", "warning", field.image_id or "", text)
    if measured.unlinked:
        text = (
            f"{count_words(measured.unlinked, 'row')} of the image table with ImageQuality measures belong to no image, or "
            "several rows or images are at one well and site; they are left out, and the fields are read where they can be."
        )
        yield Finding("image-quality-unlinked", "warning", "", text)
    if counts["measured"]:
        text = (
            f"{count_words(counts['measured'], 'row')} have the measures of CellProfiler's MeasureImageQuality, which do not "
            "tell debris and uneven light; these two are not judged there."
        )
        yield Finding("image-quality-as-measured", "info", "", text)
    if 0 < len(plan.reads) < MIN_FIELDS and not counts["measured"]:
        text = (
            f"{count_words(len(plan.reads), 'field was', 'fields were')} read, of which there is no usual value (expected "
            f"{MIN_FIELDS} or more): only limits that hold for a single image were applied."
        )
        yield Finding("image-quality-few-fields", "info", "", text)
