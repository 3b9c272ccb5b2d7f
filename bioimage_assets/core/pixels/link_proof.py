"""Proves the links of a plate from its pixels: exactly where its store has label images, else by the cells' places and ranks,
else by the means of whole images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.joins.decision import LinkProof, WeighLinks
from bioimage_assets.core.joins.sources import ProfileSource, open_profiles
from bioimage_assets.core.pixels.measured_images import link_measured_images
from bioimage_assets.core.pixels.proof import PixelProof, ProofOptions, check_pixel_proof
from bioimage_assets.core.pixels.witness import LinkVerdict, WitnessOptions, weigh_links

# One cell of each: a wrong plate differs in nearly all of them.
EXACT_PROOF = ProofOptions(max_images=24)


def build_link_weigher(
    image_assets: pa.Table,
    *,
    measured_images: pa.Table | None = None,
    profile_site_offset: int = 0,
    storage_options: Mapping[str, object] | None = None,
) -> WeighLinks:
    """What a join asks about the pixels behind its links.

    Parameters
    ----------
    image_assets
        Images and label images of the plate.
    measured_images
        The plate's image table, where measurements have one.
    profile_site_offset
        The offset that the dataset states; a better one is named as it belongs in ``dataset.toml``.
    """

    def weigh(rows: ProfileSource) -> LinkProof:
        exact = find_exact_proof(rows, image_assets, storage_options=storage_options)
        if exact is not None and exact.is_passed:
            text = (
                f"The pixels confirm the links: {exact.checked_count} cells measured again under their labels have the "
                "intensities of their rows."
            )
            return LinkProof(
                "confirmed", text, finding=Finding("links-confirmed-by-pixels", "info", "", text)
            )
        options = WitnessOptions(profile_site_offset=profile_site_offset)
        verdict = weigh_cells_or_images(
            rows, image_assets, measured_images, options=options, storage_options=storage_options
        )
        if exact is not None and verdict.verdict != "contradicted" and is_contradiction(exact):
            text = f"The pixels contradict the links: {exact.findings[-1].message} {verdict.reason}"
            verdict = replace(verdict, verdict="contradicted", reason=text, cause=None)
        better = verdict.better
        offset = better.value or 0 if better is not None and better.kind == "site-offset" else 0
        return LinkProof(verdict.verdict, verdict.describe(), offset, verdict.to_finding())

    return weigh


def weigh_cells_or_images(
    rows: object,
    image_assets: pa.Table,
    measured_images: pa.Table | None,
    *,
    options: WitnessOptions,
    storage_options: Mapping[str, object] | None = None,
) -> LinkVerdict:
    """Weigh the places of cells, and where they decide nothing the means of whole images.

    ``rows`` are linked rows that can be read again.
    """
    verdict = weigh_links(rows, image_assets, options=options, storage_options=storage_options)
    if verdict.verdict != "undecided" or measured_images is None:
        return verdict
    linked = link_measured_images(open_profiles(rows, storage_options), measured_images)
    of_images = weigh_links(linked, image_assets, options=options, storage_options=storage_options)
    if of_images.verdict != "undecided":
        return of_images
    return verdict


def find_exact_proof(
    rows: object, image_assets: pa.Table, *, storage_options: Mapping[str, object] | None = None
) -> PixelProof | None:
    """The proof under label images; None where the plate has none, or nothing that could be measured under them."""
    if "label" not in image_assets["image_kind"].unique().to_pylist():
        return None
    try:
        proof = check_pixel_proof(rows, image_assets, options=EXACT_PROOF, storage_options=storage_options)
    except BioimageError:
        return None
    return proof if proof.rows else None


def is_contradiction(exact: PixelProof) -> bool:
    """Whether cells that differ are on wrong images: others fit exactly, or half of them have no label where they should be.

    Where every label is there and not one intensity fits, the measurements may be of corrected images: that says nothing.
    """
    unlabelled = {row.object_id for row in exact.failed if row.remeasured is None}
    return exact.failed_count < exact.checked_count or 2 * len(unlabelled) >= exact.checked_count
