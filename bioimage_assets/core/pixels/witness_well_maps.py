"""Where a field's cells could belong instead: the maps of wells and sites that people and tools mix up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from bioimage_assets.core.model.identity import build_well_id, row_index
from bioimage_assets.core.pixels.witness_verdict import Hypothesis

# Rows and columns of the usual plates.
FORMATS = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))
SITE_SHIFTS = (-1, 1, -2, 2)

Place = tuple[int, int]
WellMap = Callable[[Place], Place]
Key = tuple[Place | None, int, str | None]


@dataclass(frozen=True, slots=True)
class Field:
    """One image of the plate; ``well`` is (row, column) from zero, ``site`` its number or its rank in the well."""

    image_id: str
    well: Place | None
    site: int
    acquisition: str | None = None

    @property
    def well_id(self) -> str:
        """The well's name, empty where the image is in none."""
        return "" if self.well is None else build_well_id(*self.well)


@dataclass(frozen=True, slots=True)
class FieldMap:
    """A hypothesis about fields: for each field of the sample the number of the one its cells belong to, None if absent."""

    hypothesis: Hypothesis
    targets: tuple[int | None, ...]


def parse_well(well_id: object) -> Place | None:
    """Row and column from zero of a normalised well id such as ``B03``."""
    text = str(well_id or "")
    letters = text.rstrip("0123456789")
    row = row_index(letters) if letters else None
    digits = text[len(letters) :]
    return None if row is None or not digits or int(digits) < 1 else (row, int(digits) - 1)


def list_well_maps(wells: Iterable[Place]) -> list[tuple[Hypothesis, WellMap]]:
    """Maps of wells that fit a plate whose images are in these wells."""
    places = list(wells)
    if not places:
        return []
    rows, columns = zip(*places, strict=True)
    low, high = (min(rows), min(columns)), (max(rows), max(columns))
    maps: list[tuple[Hypothesis, WellMap]] = []
    plate = next((f for f in FORMATS if high[0] < f[0] and high[1] < f[1]), FORMATS[-1])
    # A plate half filled is mirrored about its own middle by a tool, about its wells' middle by a person.
    for top, left in sorted({(low[0] + high[0], low[1] + high[1]), (plate[0] - 1, plate[1] - 1)}):
        maps += [
            (Hypothesis("mirrored-columns"), partial(_mirror, None, left)),
            (Hypothesis("mirrored-rows"), partial(_mirror, top, None)),
            (Hypothesis("rotated-plate"), partial(_mirror, top, left)),
        ]
    maps.append((Hypothesis("swapped-rows-columns"), _exchange))
    for shape in sorted({plate, (high[0] - low[0] + 1, high[1] - low[1] + 1)}):
        maps += [
            (Hypothesis("swapped-rows-columns"), partial(_number_by_rows, shape)),
            (Hypothesis("swapped-rows-columns"), partial(_number_by_columns, shape)),
        ]
    for step in (-1, 1):
        maps += [
            (Hypothesis("shifted-columns", step), partial(_move, 0, step)),
            (Hypothesis("shifted-rows", step), partial(_move, step, 0)),
        ]
    return maps


def _mirror(top: int | None, left: int | None, well: Place) -> Place:
    return (well[0] if top is None else top - well[0], well[1] if left is None else left - well[1])


def _exchange(well: Place) -> Place:
    return well[1], well[0]


def _number_by_rows(shape: Place, well: Place) -> Place:
    """The well that has, counted along rows, the number that this one has along columns."""
    row, column = divmod(well[1] * shape[0] + well[0], shape[1])
    return row, column


def _number_by_columns(shape: Place, well: Place) -> Place:
    """The well that has, counted along columns, the number that this one has along rows."""
    column, row = divmod(well[0] * shape[1] + well[1], shape[0])
    return row, column


def _move(rows: int, columns: int, well: Place) -> Place:
    return well[0] + rows, well[1] + columns


def build_field_maps(
    fields: Sequence[Field], wells: Iterable[Place], site_offset: int
) -> tuple[FieldMap, ...]:
    """Every hypothesis about wells and sites under which a field of the sample belongs to another one of it."""
    known = list(wells)
    index = {(field.well, field.site, field.acquisition): number for number, field in enumerate(fields)}
    found: dict[tuple[int | None, ...], FieldMap] = {}
    for hypothesis, target in _list_targets(known, site_offset):
        targets = tuple(index.get(target(field)) for field in fields)
        is_other = any(t is not None and t != number for number, t in enumerate(targets))
        if is_other and targets not in found:
            found[targets] = FieldMap(hypothesis, targets)
    return tuple(found.values())


def _list_targets(
    wells: Sequence[Place], site_offset: int
) -> Iterator[tuple[Hypothesis, Callable[[Field], Key]]]:
    for shift in SITE_SHIFTS:
        # Profile site minus image site, and the cells belong to the image whose number is larger by ``shift``.
        setting = f"[join] profile_site_offset = {site_offset - shift}"
        yield Hypothesis("site-offset", -shift, setting=setting), partial(_shift_site, shift)
    for hypothesis, move in list_well_maps(wells):
        yield hypothesis, partial(_move_well, move)


def _shift_site(shift: int, field: Field) -> Key:
    return field.well, field.site + shift, field.acquisition


def _move_well(move: WellMap, field: Field) -> Key:
    return None if field.well is None else move(field.well), field.site, field.acquisition


def list_well_pairs(fields: Sequence[Field]) -> Iterator[FieldMap]:
    """Each pair of wells of the sample, exchanged site by site."""
    index = {(field.well, field.site, field.acquisition): number for number, field in enumerate(fields)}
    wells = sorted({field.well for field in fields if field.well is not None})
    for position, one in enumerate(wells):
        for other in wells[position + 1 :]:
            swap = {one: other, other: one}
            targets = tuple(
                index.get((swap[f.well], f.site, f.acquisition)) if f.well in swap else None for f in fields
            )
            if any(target is not None for target in targets):
                names = (build_well_id(*one), build_well_id(*other))
                yield FieldMap(Hypothesis("swapped-wells", wells=names), targets)
