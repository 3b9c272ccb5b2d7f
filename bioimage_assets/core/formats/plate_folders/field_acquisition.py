"""How a field was taken, from what the sidecars and the headers of its files say.

Times and places come from the sidecar where it lists the field's files, else from the headers of those files of the field
that were opened: a header that was read of another file of the channel (see ``headers``) says nothing of this file's time
and place, but its wavelengths, objective and instrument are those of the channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft
from bioimage_assets.core.formats.plate_folders.channel_guard import unpadded_token
from bioimage_assets.core.formats.plate_folders.fields import PlaneFile
from bioimage_assets.core.formats.plate_folders.file_pages import join_page
from bioimage_assets.core.formats.plate_folders.sidecar_acquisition import ChannelFacts, FilePlane
from bioimage_assets.core.formats.plate_folders.sidecar_facts import SidecarFacts
from bioimage_assets.core.model.acquisition import AcquisitionFacts, PlaneFacts, drop_empty

Value = TypeVar("Value")
_NOTHING = ChannelFacts()
_NO_PLANE = FilePlane()


class FieldHeader(NamedTuple):
    """One file of a field and the header that was read for it, of itself or of a file of the same channel and size."""

    plane: PlaneFile
    header: ImageDraft

    @property
    def is_own(self) -> bool:
        """Tell whether the header is this file's."""
        return self.header.key == self.plane.key


def build_field_acquisition(
    files: Sequence[FieldHeader], tokens: Sequence[str], sidecars: SidecarFacts
) -> tuple[AcquisitionFacts | None, tuple[PlaneFacts, ...]]:
    """Facts of a field and of its planes; ``tokens`` are its channels as the file names spell them."""
    taken = sidecars.acquisition
    if not taken.source and all(header.acquisition is None and not header.planes for _, header in files):
        return None, ()
    of_channel = [taken.channels.get(unpadded_token(token), _NOTHING) for token in tokens]
    planes = _sidecar_planes(files, sidecars, of_channel)
    is_listed = bool(planes)
    planes = sorted(planes or _header_planes(files), key=lambda plane: (plane.t, plane.z, plane.c))
    of_header = [_find_header(files, number) for number in range(len(tokens))]
    own = [f.header.acquisition for f in files if f.is_own and f.header.acquisition and not is_listed]
    header = [facts for facts in of_header if facts is not None]
    binning = [facts.binning for facts in of_channel] + [facts.binning for facts in header]
    optics = taken.optics
    is_sidecar = is_listed or any(facts != _NOTHING for facts in of_channel) or any(optics)
    x, y, z = (_first([*map(get_place, planes), *map(get_place, own)]) for get_place in _PLACES)
    facts = AcquisitionFacts(
        taken.source if is_sidecar or not header else header[0].source, x, y, z,
        _first([*(plane.acquired_at for plane in planes), *(f.acquired_at for f in own)]),
        tuple(_exposures(planes, of_channel)),
        tuple(_of_channels(of_channel, of_header, lambda f: f.excitation_nm, lambda c: c.excitation_nm)),
        tuple(_of_channels(of_channel, of_header, lambda f: f.emission_nm, lambda c: c.emission_nm)),
        tuple(_of_channels(of_channel, of_header, lambda f: f.contrast_methods, lambda c: c.contrast)),
        _first([optics.objective, *(f.objective for f in header)]),
        _first([optics.magnification, *(f.magnification for f in header)]),
        _first([optics.numerical_aperture, *(f.numerical_aperture for f in header)]),
        ", ".join(dict.fromkeys(name for name in binning if name)) or None,
        _first([optics.instrument, *(f.instrument for f in header)]),
    )  # fmt: skip
    return drop_empty(facts), tuple(planes)


_PLACES: tuple[Callable[[PlaneFacts | AcquisitionFacts], float | None], ...] = (
    lambda facts: facts.stage_x_um,
    lambda facts: facts.stage_y_um,
    lambda facts: facts.stage_z_um,
)


def _first(values: Iterable[Value | None]) -> Value | None:
    return next((value for value in values if value is not None), None)


def _sidecar_planes(
    files: Sequence[FieldHeader], sidecars: SidecarFacts, of_channel: Sequence[ChannelFacts]
) -> list[PlaneFacts]:
    found: list[PlaneFacts] = []
    for plane, _ in files:
        if plane.page is None and plane.key.rpartition("/")[2] in sidecars.several_planes:
            continue  # which of its planes the facts belong to is not known
        known = sidecars.acquisition.find(join_page(plane.key, plane.page or None))
        if known is None:
            continue
        exposure = known.exposure_s
        if exposure is None and plane.c is not None:
            exposure = of_channel[plane.c].exposure_s
        at, offset, _, x, y, z = known
        found.append(PlaneFacts(plane.c or 0, plane.z or 0, plane.t or 0, at, offset, exposure, x, y, z))
    return found


def _header_planes(files: Sequence[FieldHeader]) -> list[PlaneFacts]:
    found: dict[tuple[int, int, int], PlaneFacts] = {}
    for file in files:
        for facts in file.header.planes if file.is_own else ():
            plane = file.plane
            moved = facts._replace(
                c=facts.c if plane.c is None else plane.c,
                z=facts.z if plane.z is None else plane.z,
                t=facts.t if plane.t is None else plane.t,
            )
            found.setdefault(moved[:3], moved)
    return list(found.values())


def _find_header(files: Sequence[FieldHeader], channel: int) -> AcquisitionFacts | None:
    """Facts that a header of a channel's files gives, their own first."""
    of_channel = [file for file in files if file.plane.c == channel and file.header.acquisition is not None]
    chosen = next((file for file in of_channel if file.is_own), of_channel[0] if of_channel else None)
    return None if chosen is None else chosen.header.acquisition


def _exposures(planes: Sequence[PlaneFacts], of_channel: Sequence[ChannelFacts]) -> Iterator[float | None]:
    for number, facts in enumerate(of_channel):
        own = (plane.exposure_s for plane in planes if plane.c == number)
        yield _first([*own, facts.exposure_s])


def _of_channels(
    of_channel: Sequence[ChannelFacts],
    of_header: Sequence[AcquisitionFacts | None],
    get_list: Callable[[AcquisitionFacts], tuple[Value | None, ...] | None],
    get: Callable[[ChannelFacts], Value | None],
) -> Iterator[Value | None]:
    for facts, header in zip(of_channel, of_header, strict=True):
        values = get_list(header) if header is not None else None
        yield _first([get(facts), *(values or ())[:1]])


def add_sidecar_facts(draft: ImageDraft, sidecars: SidecarFacts) -> None:
    """Give the sidecar's facts to an image whose own file says nothing of how it was taken."""
    taken = sidecars.acquisition
    if draft.acquisition is not None or not (taken.planes or any(taken.optics)):
        return
    plane = taken.find(draft.key) or _NO_PLANE
    optics = taken.optics
    draft.acquisition = drop_empty(
        AcquisitionFacts(
            taken.source, plane.stage_x_um, plane.stage_y_um, plane.stage_z_um, plane.acquired_at, objective=optics.objective,
            magnification=optics.magnification, numerical_aperture=optics.numerical_aperture, instrument=optics.instrument,
        )
    )  # fmt: skip
