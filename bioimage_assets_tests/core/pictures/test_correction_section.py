"""The page of a dataset says what a correction of position and batch did, or why there is none."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest

from bioimage_assets.core.batch_effects.scores import Score, build_scores
from bioimage_assets.core.pictures.correction_section import TERMS, build_correction_section
from bioimage_assets.core.pictures.dataset_report import DatasetTables, build_dataset_report
from bioimage_assets.core.pictures.page_parts import ReportTable
from bioimage_assets.core.pictures.replicate_terms import replicate_terms
from bioimage_assets.core.settings.dataset import DatasetSettings

SCORES = [
    *(
        Score("position_variance", stage, value, 96 if batch else 192, batch)
        for stage, value in (("before", 0.5), ("position", 0.02), ("after", 0.01))
        for batch in ("day 1", "day 2", None)
    ),
    Score("batch_lisi", "before", 0.31, 192),
    Score("batch_lisi", "after", 0.925, 192),
    Score("percent_active", "after", 62.5, 300),
    Score("actives_kept", "after", None, 0, None, "no treatment was active before"),
]


def read_table(part: object) -> dict[str, tuple[object, ...]]:
    assert isinstance(part, ReportTable)
    return {str(row[0]): row[1:] for row in part.rows}


def test_every_measure_stands_before_and_after_with_what_is_better() -> None:
    scores = build_scores(SCORES, "screen", "sphere", "day 1")
    section = build_correction_section(scores, DatasetSettings())
    whole = read_table(section.tables[0])
    assert whole["position variance"] == ("50.0 %", "2.0 %", "1.0 %", "lower", 192, "")
    assert whole["batch LISI"] == ("0.310", None, "0.925", "higher", 192, "")
    assert whole["treatments active"] == (None, None, "62.5 %", "", 300, "")
    assert whole["actives kept"] == (None, None, None, "higher", 0, "no treatment was active before")
    assert read_table(section.tables[1])["day 2"] == ("50.0 %", "2.0 %", "1.0 %", 96)
    assert "method sphere" in section.text
    assert "'day 1'" in section.text


def test_one_batch_has_no_table_by_batch() -> None:
    scores = build_scores([score for score in SCORES if score.batch != "day 2"], "screen", "tvn", "day 1")
    assert build_correction_section(scores, DatasetSettings()).tables[1] is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (DatasetSettings(), "has 4 control wells to fit a correction on"),
        (DatasetSettings(batch_method="none", position_regression=False), "asks for no correction"),
    ],
)
def test_without_scores_the_page_says_why_and_warns_of_nothing(settings: DatasetSettings, words: str) -> None:
    report = build_dataset_report(DatasetTables("screen", settings))
    (sentence,) = re.findall(r"Position and batch: not drawn, because [^<]+", report.html)
    assert words in sentence
    assert "picture-not-drawn" not in [finding.code for finding in report.findings]


def test_scores_are_on_the_page_of_the_dataset_and_each_word_is_explained_once() -> None:
    scores = build_scores(SCORES, "screen", "sphere", "day 1")
    page = build_dataset_report(DatasetTables("screen", DatasetSettings(), correction_scores=scores)).html
    assert "Position variance by batch" in page
    for word, _ in TERMS:
        assert page.count(f"<dt>{word}</dt>") == 1
    assert not {word for word, _ in TERMS} & {word for word, _ in replicate_terms(DatasetSettings())}


def test_scores_of_other_columns_are_a_sentence_and_no_broken_page() -> None:
    odd = pa.table({"measure": ["position_variance"], "stage": ["before"]})
    page = build_dataset_report(DatasetTables("screen", DatasetSettings(), correction_scores=odd))
    assert "Position and batch: not drawn" in page.html
