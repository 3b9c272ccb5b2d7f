"""Weighs the links of a plate against its pixels without label images: are the cells where their rows say they are?

Of fields spread over the plate the coarsest level that shows a cell is read, within a budget. At the centres of linked
cells, pixels must be brighter than around them, and re-measured intensities must rank as the measured ones do: both
against the same cells on other fields, so that scale, illumination correction and vignetting do not matter.
``core.pixels.proof`` is the exact proof, where label images are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.pixels.witness_channels import find_swapped_channels
from bioimage_assets.core.pixels.witness_elimination import explain_misfit
from bioimage_assets.core.pixels.witness_fields import FieldReader
from bioimage_assets.core.pixels.witness_judge import (
    MIN_CELL_COUNT,
    Comparison,
    Sample,
    compare,
    find_misfits,
)
from bioimage_assets.core.pixels.witness_means import judge_means
from bioimage_assets.core.pixels.witness_read import UndecidedError, read_sample
from bioimage_assets.core.pixels.witness_scores import MIN_OTHER_FIELDS
from bioimage_assets.core.pixels.witness_verdict import (
    Evidence,
    Hypothesis,
    LinkVerdict,
    ReadCost,
    WitnessOptions,
)

__all__ = ["Evidence", "Hypothesis", "LinkVerdict", "ReadCost", "WitnessOptions", "weigh_links"]


def weigh_links(
    cells: pa.Table | object,
    image_assets: pa.Table,
    *,
    options: WitnessOptions | None = None,
    storage_options: Mapping[str, object] | None = None,
) -> LinkVerdict:
    """Say whether the pixels confirm the links of one plate, contradict them, or leave them open, and why.

    Parameters
    ----------
    cells
        Linked rows (``image_id``) of one plate as a table, or whatever ``open_profiles`` takes; only the columns that
        bear witness are read, in two passes. Rows without image are left out.
    image_assets
        Images of the plate, also those that no row is linked to: cells may belong to them.
    storage_options
        Of the object store that images and tables are in; by default the project's (``BIOIMAGE_STORAGE_*``).

    Returns
    -------
    LinkVerdict
        The same for the same input: what is random is drawn from ``options.seed``.

    Examples
    --------
    >>> weigh_links("joined_profiles/", images).describe()
    '6 linked cells with a place are too few; 20 are needed.'
    """
    options = options or WitnessOptions()
    findings: list[Finding] = []
    with FieldReader(options, storage_options) as reader:
        try:
            sample = read_sample(cells, image_assets, options, reader, storage_options, findings)
            verdict = _judge(sample, options)
        except UndecidedError as error:
            verdict = LinkVerdict("undecided", str(error), cause=error.cause)
        return replace(
            verdict, cost=reader.cost, null_draws=options.null_draws, seed=options.seed,
            findings=(*findings, *verdict.findings),
        )  # fmt: skip


def _judge(sample: Sample, options: WitnessOptions) -> LinkVerdict:
    if not sample.has_places:
        return judge_means(sample, options)
    if sample.cell_count < MIN_CELL_COUNT:
        raise UndecidedError(
            "too-few-cells",
            f"{sample.cell_count} linked cells with a place are too few; {MIN_CELL_COUNT} are needed.",
        )
    comparison = compare(sample, options)
    verdict = _decide(sample, comparison)
    evidence = (*_list_evidence(comparison), *verdict.evidence)
    return replace(
        verdict, evidence=evidence, cell_count=sample.cell_count, field_count=len(comparison.fit.sources)
    )


def _decide(sample: Sample, comparison: Comparison) -> LinkVerdict:
    best = comparison.best
    if best is not None:
        stated = comparison.stated.deviations if comparison.stated else 0.0
        reason = (
            f"The pixels contradict the links: {best.evidence.cell_count} cells of {best.evidence.field_count} fields fit other "
            f"images than those they are linked to ({best.evidence.deviations:.0f} deviations beyond chance; all links as "
            f"stated: {stated:.0f})."
        )
        return LinkVerdict("contradicted", reason, best.rival.hypothesis)
    if comparison.is_confirmed:
        return _confirm(sample, comparison)
    outcome = explain_misfit(sample, comparison)
    if isinstance(outcome, Hypothesis):
        reason = f"The pixels contradict the links: {sample.cell_count} cells fit their images no better than any other."
        return LinkVerdict("contradicted", reason, outcome)
    return LinkVerdict("undecided", outcome[1], cause=outcome[0])


def _confirm(sample: Sample, comparison: Comparison) -> LinkVerdict:
    swapped = find_swapped_channels(sample, comparison.fit.sources)
    if swapped is not None:
        reason = "The pixels confirm the images of the links, but contradict the names of the channels."
        return LinkVerdict("contradicted", reason, swapped[0], evidence=(swapped[1],))
    assert comparison.stated is not None
    fields = len(comparison.fit.sources)
    where = (
        "on other fields" if len(sample.fields) > MIN_OTHER_FIELDS else "elsewhere in it or on other fields"
    )
    reason = (
        f"The pixels confirm the links: {sample.cell_count} cells of {fields} field{'s'[: fields != 1]} fit their own image "
        f"{comparison.stated.deviations:.0f} deviations better than the same cells do {where}."
    )
    return LinkVerdict("confirmed", reason, misfit_wells=find_misfits(sample, comparison.fit))


def _list_evidence(comparison: Comparison) -> tuple[Evidence, ...]:
    """The stated links together and by witness, then rivals, the best first."""
    rivals = sorted((one.evidence for one in comparison.rivals), key=lambda evidence: -evidence.deviations)
    stated = () if comparison.stated is None else (comparison.stated,)
    return (*stated, *comparison.by_witness, *rivals)
