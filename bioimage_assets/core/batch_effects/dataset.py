"""Corrected profiles of all batches of a dataset: each fitted on its own controls, with the features of the reference batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from bioimage_assets.core.batch_effects.batch_wells import BatchWells, FilledBatch, fill_gaps
from bioimage_assets.core.batch_effects.correction import Fit, Unchanged, correct_batch, place_wells
from bioimage_assets.core.batch_effects.describe import (
    describe_axes,
    describe_few_controls,
    describe_gaps,
    describe_harmony,
    describe_lacking,
)
from bioimage_assets.core.batch_effects.harmony import find_components, mix_batches
from bioimage_assets.core.batch_effects.plan import CorrectionPlan
from bioimage_assets.core.batch_effects.plate_positions import find_positions
from bioimage_assets.core.batch_effects.position_terms import ChosenTerms, choose_terms
from bioimage_assets.core.batch_effects.sphere import fit_sphere
from bioimage_assets.core.batch_effects.tvn import align_batch, fit_axes
from bioimage_assets.core.errors import ProfilingError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.settings.dataset import DatasetSettings


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What was done to one batch: its wells and controls, ``terms`` of position and features that it lacks."""

    batch: str
    well_count: int
    control_count: int
    chosen: ChosenTerms
    lacking_count: int

    @property
    def position(self) -> str:
        """What of the position was taken off, in words; empty where nothing was."""
        areas = ("edge", "surface")
        kinds = dict.fromkeys(term.kind if term.kind in areas else term.axis for term in self.chosen.terms)
        return ", ".join(kinds)


@dataclass(frozen=True, slots=True)
class Correction:
    """Corrected wells, in the order in which they were given.

    ``rows`` are the numbers of the wells that are of a corrected batch. ``before``, ``placed`` (without position effects) and
    ``after`` have one row for each of them; ``before`` and ``placed`` are by ``features``, ``after`` by ``columns``.
    ``filled`` counts the features of each that had no value.
    """

    rows: np.ndarray
    features: tuple[str, ...]
    columns: tuple[str, ...]
    before: np.ndarray
    placed: np.ndarray
    after: np.ndarray
    filled: np.ndarray
    batches: tuple[BatchReport, ...]
    findings: tuple[Finding, ...]


def correct_wells(
    plan: CorrectionPlan,
    wells: pd.DataFrame,
    values: np.ndarray,
    features: Sequence[str],
    settings: DatasetSettings,
) -> Correction:
    """Correct the wells of every usable batch.

    ``values`` are profiles (wells x features of the reference batch), NaN where a well has none. Batches are corrected one by
    one: but for the method ``harmony`` the numbers of one do not depend on the others, besides the reference batch.

    Raises
    ------
    ProfilingError
        The reference batch lacks some of its own features.
    MissingExtraError
        A library that the method needs is not installed.
    """
    # Matrices of a batch are small: threads wait for each other longer than they work, and numbers would depend on their count.
    with threadpool_limits(limits=1, user_api="blas"):
        return _correct(plan, wells, values, features, settings)


def _correct(
    plan: CorrectionPlan,
    wells: pd.DataFrame,
    values: np.ndarray,
    features: Sequence[str],
    settings: DatasetSettings,
) -> Correction:
    batches, findings = _fill_batches(plan, wells, values, settings)
    chosen = {name: _choose(batch.wells, settings) for name, batch in batches.items()}
    fit = _choose_fit(batches[plan.reference].wells, chosen[plan.reference], settings)
    # The axes are shaped by all controls: held out of the rest, they would seem to vary more than any other well.
    folds = 1 if settings.batch_method == "tvn" else settings.control_folds
    rows = np.flatnonzero(np.isin(plan.batches.of_wells, list(batches)))
    shape = (rows.size, len(features))
    before, placed, filled = np.empty(shape), np.empty(shape), np.empty(rows.size, np.int64)
    after: np.ndarray | None = None
    for name, batch in batches.items():
        own = plan.batches.of_wells[rows] == name
        corrected = correct_batch(batch.wells, chosen[name].terms, fit, folds)
        before[own], placed[own], filled[own] = batch.wells.values, corrected.placed, batch.filled
        after = np.empty((rows.size, corrected.values.shape[1])) if after is None else after
        after[own] = corrected.values
    assert after is not None, "the reference batch is among them"
    if settings.batch_method == "harmony":
        components = find_components(placed, plan.is_control[rows], settings.batch_components)
        after = mix_batches(components, plan.batches.of_wells[rows])
    reports = [
        BatchReport(name, batch.filled.size, batch.wells.control_count, chosen[name], batch.lacking.size)
        for name, batch in batches.items()
    ]
    findings += _describe(plan, reports, filled, len(features), settings)
    columns = _name_columns(features, after.shape[1], settings)
    return Correction(
        rows, tuple(features), columns, before, placed, after, filled, tuple(reports), tuple(findings)
    )


def _fill_batches(
    plan: CorrectionPlan, wells: pd.DataFrame, values: np.ndarray, settings: DatasetSettings
) -> tuple[dict[str, FilledBatch], list[Finding]]:
    """Batches that have nearly all features, without gaps; findings name the others."""
    plates = pd.factorize(wells["plate_key"], sort=True)[0]
    positions = find_positions(wells["well_id"] if "well_id" in wells else wells["Metadata_Well"])
    found: dict[str, FilledBatch] = {}
    findings: list[Finding] = []
    for name in plan.usable:
        own = np.flatnonzero(plan.batches.of_wells == name)
        batch = BatchWells(name, values[own], plan.is_control[own], plates[own], positions.take(own))
        filled = fill_gaps(batch)
        limit = settings.batch_max_missing * values.shape[1]
        if filled.lacking.size <= limit:
            found[name] = filled
        elif name == plan.reference:
            raise ProfilingError(
                f"{filled.lacking.size} of {values.shape[1]} features do not vary among the controls of the reference batch "
                f"{name!r}. Name another in dataset.toml ([batch_effects] reference_batch)."
            )
        else:
            findings.append(describe_lacking(name, filled.lacking.size, values.shape[1]))
    return found, findings


def _choose(wells: BatchWells, settings: DatasetSettings) -> ChosenTerms:
    if not settings.position_regression:
        return ChosenTerms(())
    return choose_terms(
        wells.positions, wells.is_control, settings.position_min_controls, settings.position_coverage
    )


def _choose_fit(reference: BatchWells, chosen: ChosenTerms, settings: DatasetSettings) -> Fit:
    epsilon = settings.batch_epsilon
    if settings.batch_method == "sphere":
        return lambda controls: fit_sphere(controls, epsilon)
    if settings.batch_method == "tvn":
        placed = place_wells(reference, chosen.terms, reference.is_control)
        axes = fit_axes(placed[reference.is_control], epsilon, settings.controls_per_axis)
        return lambda controls: align_batch(axes, controls)
    return lambda _: Unchanged()


def _name_columns(features: Sequence[str], count: int, settings: DatasetSettings) -> tuple[str, ...]:
    """Features keep their names; axes and components are numbered."""
    if settings.batch_method in ("none", "sphere"):
        return tuple(features)
    prefix = "TVN" if settings.batch_method == "tvn" else "Harmony"
    return tuple(f"{prefix}_{place:04d}" for place in range(1, count + 1))


def _describe(
    plan: CorrectionPlan,
    reports: Sequence[BatchReport],
    filled: np.ndarray,
    feature_count: int,
    settings: DatasetSettings,
) -> list[Finding]:
    findings = list(plan.findings)
    for report in reports:
        findings += describe_axes(report.batch, report.chosen)
        if settings.batch_method in ("sphere", "tvn"):
            findings += describe_few_controls(report.batch, report.control_count, feature_count)
    findings += describe_gaps(filled, feature_count)
    if settings.batch_method == "harmony":
        findings.append(describe_harmony(len(reports)))
    return findings
