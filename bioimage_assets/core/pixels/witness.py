"""Weighs the links of a plate against its pixels without label images: are the cells where their rows say they are?

Of fields spread over the plate the coarsest level that shows a cell is read, within a budget. At the centres of linked
cells, pixels must be brighter than around them, and re-measured intensities must rank as the measured ones do: both
against the same cells on other fields, so that scale, illumination correction and vignetting do not matter.
``core.pixels.proof`` is the exact proof, where label images are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.joins.query import query_metadata_table
from bioimage_assets.core.pixels.location import ImageGeometry, read_geometry
from bioimage_assets.core.pixels.witness_cells import CellTable, build_cell_sets, find_radius
from bioimage_assets.core.pixels.witness_channels import find_swapped_channels
from bioimage_assets.core.pixels.witness_columns import find_witness_columns, match_channels
from bioimage_assets.core.pixels.witness_elimination import explain_misfit
from bioimage_assets.core.pixels.witness_fields import CellSet, FieldMaps, FieldReader, MapGrid, build_maps
from bioimage_assets.core.pixels.witness_judge import (
    MIN_CELL_COUNT,
    Comparison,
    Sample,
    compare,
    find_misfits,
)
from bioimage_assets.core.pixels.witness_plan import ReadPlan, plan_reads
from bioimage_assets.core.pixels.witness_sample import (
    choose_fields,
    count_linked,
    list_fields,
    read_cells,
    rereadable,
)
from bioimage_assets.core.pixels.witness_scores import MIN_OTHER_FIELDS
from bioimage_assets.core.pixels.witness_verdict import (
    Evidence,
    Hypothesis,
    LinkVerdict,
    ReadCost,
    UndecidedCause,
    WitnessOptions,
)
from bioimage_assets.core.pixels.witness_well_maps import Field

__all__ = ["Evidence", "Hypothesis", "LinkVerdict", "ReadCost", "WitnessOptions", "weigh_links"]

# A store that is out of reach answers each request after a long wait.
MAX_UNREADABLE = 4
_IMAGE_COLUMNS = ("plate_key", "image_id", "well_id", "site_id", "acquisition_id", "image_kind")


class _UndecidedError(Exception):
    """Raised where nothing can be compared; the cause and the reason make the verdict."""

    def __init__(self, cause: UndecidedCause, reason: str) -> None:
        super().__init__(reason)
        self.cause: UndecidedCause = cause


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
    >>> weigh_links("joined_profiles/", images).verdict
    'confirmed'
    """
    options = options or WitnessOptions()
    findings: list[Finding] = []
    with FieldReader(options, storage_options) as reader:
        try:
            sample = _read_sample(cells, image_assets, options, reader, storage_options, findings)
            verdict = _judge(sample, options)
        except _UndecidedError as error:
            verdict = LinkVerdict("undecided", str(error), cause=error.cause)
        return replace(
            verdict, cost=reader.cost, null_draws=options.null_draws, seed=options.seed,
            findings=(*findings, *verdict.findings),
        )  # fmt: skip


def _read_sample(
    cells: object, image_assets: pa.Table, options: WitnessOptions, reader: FieldReader,
    storage_options: Mapping[str, object] | None, findings: list[Finding],
) -> Sample:  # fmt: skip
    source = rereadable(cells, storage_options)
    columns = find_witness_columns(source.schema.names)
    if "image_id" not in source.schema.names:
        raise _UndecidedError("no-cells", "The measurements are linked to no images.")
    if columns.place is None:
        raise _UndecidedError(
            "no-centres",
            "The measurements say nowhere in the image a cell is: no centre (Location_Center, AreaShape_Center) and no "
            "bounding box.",
        )
    linked = count_linked(source)
    images = _images_of_the_plate(image_assets, linked)
    fields = list_fields(images)
    if not linked or not fields:
        raise _UndecidedError("no-cells", "No measured cell is linked to an image.")
    chosen = choose_fields(fields, linked, options.max_fields)
    table = CellTable(read_cells(source, columns, [field.image_id for field in chosen]), columns)
    if not table.count:
        raise _UndecidedError("no-centres", "No linked cell has a centre or bounding box that is a number.")
    geometries = _read_geometries(image_assets, chosen, findings)
    geometry = _common_geometry(geometries)
    row = table.first_row()
    channel_of_value = match_channels(table.value_names, geometry, row)
    plan = plan_reads(
        geometry, find_radius(table), _order_channels(geometry, channel_of_value.values()),
        float(np.median([count for count in linked.values() if count])), len(chosen), options,
    )  # fmt: skip
    if plan.field_count < len(chosen):
        chosen = choose_fields(fields, linked, plan.field_count) if plan.field_count else []
    return _read_fields(chosen, fields, geometries, table, plan, channel_of_value, options, reader, findings)


def _images_of_the_plate(image_assets: pa.Table, linked: Mapping[str, int]) -> pa.Table:
    """Images, not labels, of the plate that most rows are linked to."""
    images = query_metadata_table(image_assets, columns=_IMAGE_COLUMNS)
    images = images.filter(pc.equal(images["image_kind"], "image"))
    counts: Counter[str] = Counter()
    for plate, image_id in zip(images["plate_key"].to_pylist(), images["image_id"].to_pylist(), strict=True):
        counts[plate] += linked.get(image_id, 0)
    plate = counts.most_common(1)[0][0] if counts else None
    return images.filter(pc.equal(images["plate_key"], plate))


def _read_geometries(
    image_assets: pa.Table, chosen: Sequence[Field], findings: list[Finding]
) -> dict[str, ImageGeometry]:
    ids = pa.array([field.image_id for field in chosen], pa.string())
    rows = image_assets.filter(
        pc.and_(pc.is_in(image_assets["image_id"], ids), pc.equal(image_assets["image_kind"], "image"))
    )
    found = {}
    for row in rows.to_pylist():
        try:
            found[row["image_id"]] = read_geometry(row)
        except BioimageError as error:
            findings.append(Finding("pixels-unreadable", "warning", row["image_id"], str(error)))
    usable = {key: one for key, one in found.items() if "y" in one.axes and "x" in one.axes}
    if not usable:
        why = f" ({findings[0].message})" if findings else ""
        raise _UndecidedError("pixels-unreadable", f"No image of the sample can be opened{why}.")
    return usable


def _common_geometry(geometries: Mapping[str, ImageGeometry]) -> ImageGeometry:
    """An image of the commonest shape; others are left out of the sample."""
    shapes = Counter((one.axes, one.levels[0].shape) for one in geometries.values())
    axes, shape = shapes.most_common(1)[0][0]
    return next(one for one in geometries.values() if (one.axes, one.levels[0].shape) == (axes, shape))


def _order_channels(geometry: ImageGeometry, measured: Iterable[int]) -> list[int]:
    position = geometry.axis("c")
    count = 1 if position is None else geometry.levels[0].shape[position]
    first = dict.fromkeys(channel for channel in measured if channel < count)
    return list(first | dict.fromkeys(range(count)))


def _read_fields(
    chosen: Sequence[Field], fields: Sequence[Field], geometries: Mapping[str, ImageGeometry], table: CellTable,
    plan: ReadPlan, channel_of_value: Mapping[str, int], options: WitnessOptions, reader: FieldReader,
    findings: list[Finding],
) -> Sample:  # fmt: skip
    geometry = _common_geometry(geometries)
    shape = geometry.levels[0].shape
    sets = build_cell_sets(table, geometries, plan, options)
    typical = int(np.median([own.count for own in sets.values() if own.count] or [1]))
    read: list[tuple[Field, CellSet, FieldMaps]] = []
    grid: MapGrid | None = None
    for field in chosen:
        own = geometries.get(field.image_id)
        if own is None or own.levels[0].shape != shape or len(own.levels) <= plan.level or reader.is_spent:
            continue
        if len(findings) >= MAX_UNREADABLE > len(read):
            break
        try:
            planes = reader.read(own, plan, sets[field.image_id].plane)
        except BioimageError as error:
            findings.append(Finding("pixels-unreadable", "warning", field.image_id, str(error)))
            continue
        grid = grid or _build_grid(geometry, plan, planes.shape[1:])
        read.append(
            (field, sets[field.image_id], build_maps(planes, find_radius(table) / grid.scale, typical))
        )
    if grid is None:
        why = (
            f" ({findings[0].message})"
            if findings
            else f": the budget of {options.max_bytes} bytes allows none"
        )
        raise _UndecidedError("pixels-unreadable", f"No image of the sample was read{why}.")
    names = tuple(
        str(geometry.channel_names[c])
        if c < len(geometry.channel_names) and geometry.channel_names[c]
        else f"channel {c}"
        for c in plan.channels
    )
    positions = {channel: number for number, channel in enumerate(plan.channels)}
    return Sample(
        tuple(one[0] for one in read), tuple(one[1] for one in read), tuple(one[2] for one in read), grid, names,
        table.value_names, tuple(positions.get(channel_of_value.get(name, -1)) for name in table.value_names),
        tuple({field.well for field in fields if field.well is not None}),
    )  # fmt: skip


def _build_grid(geometry: ImageGeometry, plan: ReadPlan, shape: Sequence[int]) -> MapGrid:
    height, width = (geometry.levels[0].shape[geometry.axes.index(axis)] for axis in "yx")
    # Levels are read in whole pixels: the box begins where its first one does.
    start_y, start_x = (int(start // plan.step * plan.step) for start in (plan.box.y_start, plan.box.x_start))
    box = replace(plan.box, y_start=start_y, x_start=start_x)
    return MapGrid(box, plan.step * plan.bin_px, (int(shape[0]), int(shape[1])), (height, width))


def _judge(sample: Sample, options: WitnessOptions) -> LinkVerdict:
    if sample.cell_count < MIN_CELL_COUNT:
        raise _UndecidedError(
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
