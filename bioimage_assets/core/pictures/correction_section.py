"""The part of a dataset's page about position and batch: what was there before the correction, and what is left."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from bioimage_assets.core.batch_effects.mixing import NEIGHBOURS
from bioimage_assets.core.batch_effects.scores import AFTER, BEFORE, PLACED
from bioimage_assets.core.pictures.drawing import NotDrawn
from bioimage_assets.core.pictures.page_parts import ReportSection, ReportTable
from bioimage_assets.core.settings.dataset import DatasetSettings

TITLE = "Position and batch"
# Measures by the words of the page; what of them is better, and as what they are written.
_MEASURES: tuple[tuple[str, str, str, str], ...] = (
    ("position_variance", "position variance", "lower", "share"),
    ("batch_silhouette", "batch silhouette", "higher", "number"),
    ("batch_lisi", "batch LISI", "higher", "number"),
    ("control_correlation", "correlation of controls", "near 0", "number"),
    ("replicate_correlation", "replicate correlation, median", "higher", "number"),
    ("percent_replicating", "treatments replicating", "higher", "percent"),
    ("percent_active", "treatments active", "", "percent"),
    ("actives_kept", "actives kept", "higher", "percent"),
)
_STAGES = (BEFORE, PLACED, AFTER)
TERMS: tuple[tuple[str, str], ...] = (
    (
        "position variance",
        "share of the variance of control wells within their plates that their rows and columns explain (adjusted R2: what chance "
        "explains is taken off)",
    ),
    (
        "batch silhouette",
        "1 where the control wells of all batches lie among each other, 0 where each batch lies by itself: 1 less the mean "
        "absolute silhouette",
    ),
    (
        "batch LISI",
        f"how many batches there are among the {NEIGHBOURS} nearest wells of a control well: 0 its own alone, 1 as many as "
        "chance gives",
    ),
    (
        "correlation of controls",
        "median Pearson correlation of pairs of control wells at different positions; what all controls share is no treatment",
    ),
    (
        "actives kept",
        "treatments that are active after, of those that were before; what active means stands below Replicates",
    ),
)


def build_correction_section(scores: pa.Table | None, settings: DatasetSettings) -> ReportSection:
    """The section from ``correction_scores``; a sentence where there are none."""
    if scores is None or not scores.num_rows:
        return ReportSection(
            TITLE, "What position and batch add to profiles.", (NotDrawn(TITLE, _why_none(settings)),)
        )
    frame = scores.to_pandas()
    method, reference = str(frame["method"].iloc[0]), str(frame["reference_batch"].iloc[0])
    text = (
        f"What position and batch add to profiles, and what is left of it in sphered_profiles (method {method}, features of the "
        f"batch {reference!r}). The first four are of control wells, the others of treatments, "
        "which are measured before and after only."
    )
    return ReportSection(TITLE, text, (), (_score_table(frame), _batch_table(frame)), TERMS)


def _why_none(settings: DatasetSettings) -> str:
    if settings.batch_method == "none" and not settings.position_regression:
        return 'dataset.toml asks for no correction ([batch_effects] method = "none", position_regression = false)'
    return (
        f"no batch with well profiles has {max(settings.min_controls, 2)} control wells to fit a correction on ([controls] in "
        "dataset.toml says which wells are controls), or sphered_profiles are not built yet"
    )


def _score_table(frame: pd.DataFrame) -> ReportTable:
    whole = frame[frame["batch"].isna()]
    header = ("measure", "before", "without position", "after", "better is", "wells", "note")
    rows = []
    for measure, words, better, unit in _MEASURES:
        own = whole[whole["measure"] == measure].drop_duplicates("stage").set_index("stage")
        if len(own):
            values = [_write(own["value"].get(stage), unit) for stage in _STAGES]
            notes = own["note"].dropna().unique()
            rows.append((words, *values, better, int(own["well_count"].max()), "; ".join(map(str, notes))))
    return ReportTable("Before and after", header, tuple(rows))


def _batch_table(frame: pd.DataFrame) -> ReportTable | None:
    own = frame[(frame["measure"] == "position_variance") & frame["batch"].notna()]
    if own["batch"].nunique() < 2:
        return None
    rows = []
    for batch, part in own.groupby("batch", sort=True):
        by_stage = part.set_index("stage")
        values = [_write(by_stage["value"].get(stage), "share") for stage in _STAGES]
        rows.append((batch, *values, int(part["well_count"].max())))
    header = ("batch", "before", "without position", "after", "control wells")
    return ReportTable("Position variance by batch", header, tuple(rows), is_folded=len(rows) > 12)


def _write(value: float | None, unit: str) -> str | None:
    """A number as people read it, None where there is none."""
    if value is None or pd.isna(value):
        return None
    if unit == "number":
        return f"{value:.3f}"
    return f"{100 * value if unit == 'share' else value:.1f} %"
