"""The page of a campaign: its datasets and batches side by side, and how well replicates agree within and across them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from bioimage_assets.core.findings import Finding, FindingGroup
from bioimage_assets.core.model.identity import dataset_of
from bioimage_assets.core.phrases import count_words, plural_of
from bioimage_assets.core.pictures.hit_tables import build_campaign_table
from bioimage_assets.core.pictures.html import build_html_report
from bioimage_assets.core.pictures.page_parts import PageFrame, Report, ReportSection, ReportTable
from bioimage_assets.core.pictures.replicate_terms import campaign_terms
from bioimage_assets.core.profiling.campaign_replicates import (
    ACROSS_BATCHES,
    ACROSS_SOURCES,
    MAX_WELLS,
    NULL_DRAWS,
    WITHIN_BATCH,
    ReplicateSummary,
    summarize_replicates,
)
from bioimage_assets.core.profiling.null_correlations import NULL_PERCENTILE
from bioimage_assets.core.profiling.replicate_wells import SEED
from bioimage_assets.core.settings.campaign import CampaignSettings

MAX_TREATMENTS = 500  # rows of the table of treatments; the stored table has all

TERMS = (
    (
        "replicate correlation",
        "median Pearson correlation of the profiles of a treatment's wells: of pairs in one batch, or of pairs of which each well "
        "is of another batch or source; at different positions of the plate, where there are any "
        f"(of {MAX_WELLS:,} wells, drawn, where a treatment has more)",
    ),
    (
        "replicates",
        f"the correlation is above what chance gives: {NULL_PERCENTILE:.0f} % of groups of wells of different treatments that are "
        f"spread over the batches in the same way have a lower median. {NULL_DRAWS:,} such groups are drawn with the seed {SEED}",
    ),
)


@dataclass(frozen=True, slots=True)
class PlateCount:
    """What is stored of one plate: wells, and cells that passed and failed quality control."""

    plate_key: str
    well_count: int
    passed_count: int
    failed_count: int


@dataclass(frozen=True, slots=True)
class CampaignTables:
    """Tables of one campaign as they are stored; every one may be absent.

    Parameters
    ----------
    plates
        Keys of all plates of its datasets in the watched roots.
    counts
        Of those whose wells are stored.
    outdated
        Plates whose files or settings are other than those that their tables were made from.
    """

    campaign: CampaignSettings
    plates: tuple[str, ...] = ()
    counts: tuple[PlateCount, ...] = ()
    outdated: frozenset[str] = frozenset()
    features: pa.Table | None = None
    consensus_count: int | None = None
    replicates: pa.Table | None = None
    hits: pa.Table | None = None
    findings: tuple[Finding, ...] = ()
    of_plates: tuple[FindingGroup, ...] = ()


def build_campaign_report(tables: CampaignTables, frame: PageFrame = PageFrame()) -> Report:  # noqa: B008 (frozen)
    """Build the page of one campaign from whatever tables it has; nothing is written."""
    summaries = () if tables.replicates is None else summarize_replicates(tables.replicates)
    sections = (
        ReportSection(
            "Batches",
            "Side by side: what each batch holds, how many of its cells fail quality control, and how well its replicates agree.",
            (),
            (_batch_table(tables, summaries),),
        ),
        ReportSection(
            "Datasets",
            "Which plates are in the watched roots, which of them are built, and which were out of date when this page was made.",
            (),
            (_dataset_table(tables),),
        ),
        ReportSection(
            "Replicates",
            "Replicates that agree within a batch and not across batches are a batch effect.",
            (),
            (_summary_table(summaries), _treatment_table(tables.replicates)),
            TERMS if summaries else (),
        ),
        _hit_section(tables),
        ReportSection(
            "Features",
            "What feature selection over all plates said.",
            (),
            (_feature_table(tables.features),),
        ),
    )
    subtitle = f"Campaign report: {count_words(len(tables.campaign.datasets), 'dataset')} compared"
    frame = replace(frame, plates=tables.of_plates)
    return build_html_report(
        tables.campaign.name, subtitle, _facts(tables, summaries), tables.findings, sections, frame
    )


def _hit_section(tables: CampaignTables) -> ReportSection:
    if tables.hits is None:
        return ReportSection(
            "Hits", "This campaign has no table of hits; its findings, or a run of campaign_hits, say why."
        )
    text = "Which treatments do something, over all plates of all datasets; the strongest first."
    return ReportSection(
        "Hits", text, (), (build_campaign_table(tables.hits),), campaign_terms(tables.campaign)
    )


def _facts(tables: CampaignTables, summaries: Sequence[ReplicateSummary]) -> list[tuple[str, object]]:
    counts, campaign = tables.counts, tables.campaign
    facts: list[tuple[str, object]] = [
        ("datasets", len(campaign.datasets)),
        ("batches", len({campaign.batch_of(name) for name in campaign.datasets})),
        (plural_of(len(counts), "plate"), len(counts)),
        ("wells", sum(count.well_count for count in counts)),
        ("cells profiled", sum(count.passed_count for count in counts)),
    ]
    if sources := len(set(campaign.dataset_sources.values())):
        facts.insert(2, (plural_of(sources, "source"), sources))
    if tables.features is not None:
        facts.append(("features selected", sum(tables.features["is_selected"].to_pylist())))
    if tables.consensus_count is not None:
        facts.append((plural_of(tables.consensus_count, "consensus profile"), tables.consensus_count))
    if tables.hits is not None:
        active = [word for word in tables.hits["is_active"].to_pylist() if word is not None]
        facts += [("treatments active", f"{100 * sum(active) / len(active):.0f} %")] if active else []
    across = [one for one in summaries if one.pairs != WITHIN_BATCH and one.percent_replicating is not None]
    facts += [(f"replicating {one.pairs}", f"{one.percent_replicating:.0f} %") for one in across]
    return facts


def _batch_table(tables: CampaignTables, summaries: Sequence[ReplicateSummary]) -> ReportTable:
    campaign = tables.campaign
    within = {one.batch: one for one in summaries if one.pairs == WITHIN_BATCH}
    rows = []
    for batch in dict.fromkeys(map(campaign.batch_of, campaign.datasets)):
        of_it = [count for count in tables.counts if campaign.batch_of(count.plate_key) == batch]
        named = [name for name in campaign.datasets if campaign.batch_of(name) == batch]
        found = within.get(batch)
        percent = None if found is None else found.percent_replicating
        rows.append(
            (
                batch, ", ".join(dict.fromkeys(filter(None, map(campaign.source_of, named)))), len(named), *_numbers(of_it),
                None if found is None else found.treatment_count,
                None if percent is None else f"{percent:.0f} %",
                None if found is None else found.median_correlation,
            )
        )  # fmt: skip
    header = (
        "batch", "source", "datasets", "plates", "wells", "cells passed", "cells failed", "failed", "treatments compared",
        "replicating", "replicate correlation",
    )  # fmt: skip
    return ReportTable("Batches", header, tuple(rows))


def _numbers(counts: Sequence[PlateCount]) -> tuple[object, ...]:
    passed, failed = (sum(getattr(c, name) for c in counts) for name in ("passed_count", "failed_count"))
    percent = f"{failed / (passed + failed):.1%}" if passed + failed else ""
    return (len(counts), sum(count.well_count for count in counts), passed, failed, percent)


def _dataset_table(tables: CampaignTables) -> ReportTable:
    campaign = tables.campaign
    found = _count_by_dataset(tables.plates)
    built = _count_by_dataset([count.plate_key for count in tables.counts])
    outdated = _count_by_dataset(sorted(tables.outdated))
    rows = tuple(
        (
            name, campaign.batch_of(name), campaign.source_of(name), found(name), built(name), outdated(name),
            _say_state(found(name), built(name), outdated(name)),
        )
        for name in campaign.datasets
    )  # fmt: skip
    header = ("dataset", "batch", "source", "plates", "with wells", "out of date", "")
    return ReportTable("Datasets", header, rows)


def _count_by_dataset(keys: Sequence[str]) -> Callable[[str], int]:
    counts = Counter(map(dataset_of, keys))
    return lambda name: counts[name]


def _say_state(found: int, built: int, outdated: int) -> str:
    if not found:
        return "missing: no plate is in the watched roots"
    if not built:
        return "no plate has wells"
    parts = [f"{found - built} without wells"] if built < found else []
    parts += [f"{outdated} to be built again"] if outdated else []
    return ", ".join(parts)


def _summary_table(summaries: Sequence[ReplicateSummary]) -> ReportTable | None:
    across = [one for one in summaries if one.pairs in (ACROSS_BATCHES, ACROSS_SOURCES)]
    within = [one for one in summaries if one.pairs == WITHIN_BATCH]
    rows = tuple(
        (
            one.pairs if one.batch is None else f"{one.pairs} {one.batch}",
            one.treatment_count,
            None if one.percent_replicating is None else f"{one.percent_replicating:.0f} %",
            one.median_correlation,
        )
        for one in (*within, *across)
    )
    header = ("pairs", "treatments compared", "replicating", "median replicate correlation")
    return ReportTable("Within and across", header, rows) if rows else None


def _treatment_table(replicates: pa.Table | None) -> ReportTable | None:
    """Treatments by how well they agree across batches, the best first, beside their mean over batches."""
    if replicates is None or not replicates.num_rows:
        return None
    frame = replicates.to_pandas()
    wide = frame.pivot_table(
        index="treatment", columns="pairs", values="replicate_correlation", aggfunc="mean"
    )
    kinds = [kind for kind in (WITHIN_BATCH, ACROSS_BATCHES, ACROSS_SOURCES) if kind in wide]
    if not kinds:  # no treatment has a correlation
        return None
    ordered = wide.sort_values(kinds[1] if len(kinds) > 1 else kinds[0], ascending=False, kind="stable")
    shown = ordered.head(MAX_TREATMENTS)
    rows = tuple(
        (label, *(None if value != value else float(value) for value in values))
        for label, values in zip(shown.index, shown[kinds].to_numpy(), strict=True)
    )
    more = f", the first {len(rows)} of {len(ordered)}" if len(rows) < len(ordered) else ""
    header = ("treatment", *(f"correlation {kind}" for kind in kinds))
    return ReportTable(f"Treatments{more}", header, rows, is_folded=len(rows) > 50)


def _feature_table(features: pa.Table | None) -> ReportTable | None:
    if features is None:
        return None
    counts = Counter(word or "kept" for word in features["removed_by"].to_pylist())
    return ReportTable("Features", ("said", "features"), tuple(counts.most_common()))
