"""Chooses the fields that are looked at, spread over the plate and closed under what is mixed up, and some cells of each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from bioimage_assets.core.joins.sources import ProfileSource, open_profiles
from bioimage_assets.core.pixels.witness_columns import WitnessColumns
from bioimage_assets.core.pixels.witness_well_maps import Field, Place, list_well_maps, parse_well

# Of wells with more sites two that follow each other are taken, of the first wells three: an offset has two directions.
SITES_PER_WELL = 2
WELLS_WITH_THREE_SITES = 4


def count_linked(source: ProfileSource) -> Counter[str]:
    """Linked rows of each image."""
    counts: Counter[str] = Counter()
    for batch in source.batches([source.schema.names.index("image_id")]):
        for item in pc.value_counts(batch.column(0)):
            if item["values"].is_valid:
                counts[str(item["values"].as_py())] += item["counts"].as_py()
    return counts


def rereadable(cells: object, storage_options: Mapping[str, object] | None) -> ProfileSource:
    """The source of the cells; a stream is held in memory, because it is read twice."""
    source = open_profiles(cells, storage_options)
    return (
        source
        if source.is_rereadable
        else open_profiles(pa.Table.from_batches(source.batches(), source.schema))
    )


def list_fields(images: pa.Table) -> list[Field]:
    """Images of one plate, in order of well and site."""
    columns = [images[name].to_pylist() for name in ("image_id", "well_id", "site_id", "acquisition_id")]
    rows = sorted(zip(*columns, strict=True), key=lambda row: tuple(str(value) for value in row[1:]))
    ranks: Counter[tuple[object, object]] = Counter()
    fields = []
    for image_id, well, site, acquisition in rows:
        rank = ranks[well, acquisition]
        ranks[well, acquisition] += 1
        number = int(site) if str(site or "").lstrip("-").isdecimal() else rank
        fields.append(Field(image_id, parse_well(well), number, acquisition))
    return fields


def choose_fields(fields: Sequence[Field], linked: Mapping[str, int], max_fields: int) -> list[Field]:
    """At most so many fields: wells spread over the plate with their mirror images, and neighbouring sites of each.

    Fields that no cell is linked to are chosen, too, where the cells of a neighbour could belong to them.
    """
    if len(fields) <= max_fields:
        return list(fields)
    by_well: dict[Place | None, list[Field]] = defaultdict(list)
    for field in fields:
        by_well[field.well].append(field)
    chosen: dict[str, Field] = {}
    if set(by_well) == {None}:
        cells = [field for field in fields if linked.get(field.image_id)]
        return [cells[i] for i in spread(len(cells), max_fields)]
    for number, well in enumerate(_order_wells(by_well, linked)):
        count = SITES_PER_WELL + (number < WELLS_WITH_THREE_SITES)
        sites = _neighbouring_sites(by_well[well], linked, count)
        if len(chosen) + len(sites) > max_fields:
            break
        chosen.update({field.image_id: field for field in sites})
    return [field for field in fields if field.image_id in chosen]


def _order_wells(
    by_well: Mapping[Place | None, Sequence[Field]], linked: Mapping[str, int]
) -> Iterator[Place | None]:
    """Wells with cells, each followed by those that it could be mistaken for; the seeds are spread over the plate."""
    wells = sorted(
        well
        for well, fields in by_well.items()
        if well is not None and any(linked.get(field.image_id) for field in fields)
    )
    maps = list_well_maps(well for well in by_well if well is not None)
    seen: set[Place] = set()
    for position in _scatter(len(wells)):
        group = [wells[position], *(move(wells[position]) for _, move in maps)]
        for well in group:
            if well in by_well and well not in seen:
                seen.add(well)
                yield well


def _scatter(count: int) -> Iterator[int]:
    """Numbers below ``count``, each far from those before it."""
    # Steps of the golden ratio leave no gap for long.
    seen: set[int] = set()
    for number in range(4 * count):
        position = int((0.5 + number * 0.6180339887) % 1 * count)
        if position not in seen:
            seen.add(position)
            yield position
    yield from (position for position in range(count) if position not in seen)


def _neighbouring_sites(fields: Sequence[Field], linked: Mapping[str, int], count: int) -> list[Field]:
    """Sites that follow each other, around the site with most cells."""
    ordered = sorted(fields, key=lambda field: (field.acquisition or "", field.site))
    if len(ordered) <= count:
        return ordered
    best = max(range(len(ordered)), key=lambda i: linked.get(ordered[i].image_id, 0))
    start = min(max(best - count // 2, 0), len(ordered) - count)
    return ordered[start : start + count]


def read_cells(source: ProfileSource, columns: WitnessColumns, image_ids: Sequence[str]) -> pa.Table:
    """The chosen columns of the rows that are linked to some images."""
    names = source.schema.names
    positions = sorted(names.index(name) for name in columns.names)
    schema = pa.schema([source.schema.field(position) for position in positions])
    wanted = pa.array(image_ids, pa.string())
    batches = []
    for batch in source.batches(positions):
        ids = batch.column(batch.schema.names.index("image_id")).cast(pa.string())
        batches.append(batch.filter(pc.is_in(ids, wanted)).cast(schema))
    return pa.Table.from_batches(batches, schema)


def spread(count: int, wanted: int) -> list[int]:
    """At most ``wanted`` numbers below ``count``, evenly spaced."""
    return list(range(count)) if count <= wanted else [int((i + 0.5) * count / wanted) for i in range(wanted)]
