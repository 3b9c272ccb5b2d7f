"""Gives the drafts of one OME document the facts of their acquisition, and says what of them was left out.

Source of truth: ome.xsd 2016-06; the facts themselves are made by ``ome_acquisition``.
"""

from __future__ import annotations

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.ome_tiff.image_draft import ImageDraft
from bioimage_assets.core.formats.ome_tiff.ome_acquisition import (
    SOURCE,
    Instruments,
    build_image_acquisition,
    index_instruments,
)
from bioimage_assets.core.formats.ome_tiff.ome_model import OmeDocument, OmeImage
from bioimage_assets.core.formats.ome_tiff.ome_plates import OmePosition
from bioimage_assets.core.formats.ome_tiff.planes import MAX_NAMED_CHANNELS
from bioimage_assets.core.model.acquisition import AcquisitionFacts, PlaneFacts

_NOWHERE = (None, None)


class AcquiredImages:
    """Facts of one document's images; counts those whose stage position is written in a unit that is no length."""

    def __init__(self, document: OmeDocument, key: str) -> None:
        self._document = document
        self._instruments: Instruments | None = None
        self._key = key
        self._unknown: dict[str, int] = {}

    def add(self, draft: ImageDraft, image: OmeImage, position: OmePosition | None) -> None:
        """Give a draft its facts; planes only where the declared axes are those of the image."""
        sample_um = _NOWHERE if position is None else position.sample_um
        if image.acquisition is None and sample_um == _NOWHERE:
            return
        plan = draft.plan
        limits = (0, 0, 0)
        if plan is not None and plan.axes != "i":
            limits = (plan.size_of("c"), plan.size_of("z"), plan.size_of("t"))
        draft.acquisition, draft.planes = self.read(image, sample_um, limits)

    def read(
        self, image: OmeImage, sample_um: tuple[float | None, float | None], limits: tuple[int, int, int]
    ) -> tuple[AcquisitionFacts | None, tuple[PlaneFacts, ...]]:
        """Facts of one image and its planes; ``limits`` are its channels, z and t."""
        own = image.acquisition
        if own is None:
            return (None if sample_um == _NOWHERE else AcquisitionFacts(SOURCE, *sample_um)), ()
        if self._instruments is None:
            self._instruments = index_instruments(self._document.instruments)
        bounded = (min(limits[0], MAX_NAMED_CHANNELS), *limits[1:])
        built = build_image_acquisition(own, self._instruments, bounded, sample_um)
        if built.unknown_unit is not None:
            self._unknown[built.unknown_unit] = self._unknown.get(built.unknown_unit, 0) + 1
        return built.facts, built.planes

    def findings(self) -> list[Finding]:
        """What was left out of the facts, once per document."""
        if not self._unknown and not self._document.planes_left_out:
            return []
        found = [
            Finding(
                "stage-unit-unknown", "info", self._key,
                f"Stage positions of {count} images have the unit {unit[:40]!r}, which is no length; they are not in the tables. "
                "Write PositionXUnit and PositionYUnit into the OME-XML to have them.",
            )
            for unit, count in sorted(self._unknown.items())[:8]
        ]  # fmt: skip
        left_out = self._document.planes_left_out
        if left_out:
            text = f"Times and places of {left_out:,} planes are not in acquisition_planes: the document has too many."
            found.append(Finding("planes-left-out", "warning", self._key, text))
        return found
