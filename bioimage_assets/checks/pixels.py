"""The proof of a join: cells of each plate are measured again from the pixels they are linked to.

With label images the means must be equal; without, places and intensities of a sample of cells are weighed against
other fields. What could not be decided does not pass.
"""

from bioimage_assets.checks.inputs import CheckInputs
from bioimage_assets.checks.verdict import ERROR, WARN, Verdict
from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pixels.link_proof import find_exact_proof, is_contradiction, weigh_cells_or_images
from bioimage_assets.core.pixels.proof import PixelProof
from bioimage_assets.core.pixels.witness import LinkVerdict, WitnessOptions

SHOWN_RIVALS = 5


def check_pixels(inputs: CheckInputs) -> Verdict:
    """The exact proof of one cell of up to 24 images where labels are there, else the weighing of places and intensities."""
    cells = inputs.tables.find_cells("joined_profiles", inputs.plate_key)
    if cells is None:
        return Verdict.not_checked("no measured cells")
    images = inputs.read("image_assets")
    if "image" not in images["image_kind"].to_pylist():
        return Verdict.not_checked("the plate has no images")
    storage_options = inputs.project.settings.storage_options
    proof = find_exact_proof(cells, images, storage_options=storage_options)
    if proof is not None and proof.is_passed:
        return _exact_verdict(proof)
    options = WitnessOptions(profile_site_offset=inputs.settings.profile_site_offset or 0)
    measured = inputs.find("measured_images")
    weighed = weigh_cells_or_images(cells, images, measured, options=options, storage_options=storage_options)
    # Where means differ, places say whether the links are wrong or the intensities are others, such as corrected ones.
    if proof is not None and weighed.verdict != "contradicted":
        return _exact_verdict(proof)
    return _weighed_verdict(weighed)


def _exact_verdict(proof: PixelProof) -> Verdict:
    examples = [
        f"{row.object_id} {row.feature}: {row.measured:.6g} in the table, {row.remeasured} in the pixels"
        for row in proof.failed[:5]
    ]
    text = f"{proof.checked_count - proof.failed_count} of {count_words(proof.checked_count, 'cell')} are confirmed by their pixels"
    counts = {"cells_checked": proof.checked_count, "cells_that_differ": proof.failed_count}
    severity = ERROR if is_contradiction(proof) else WARN
    return Verdict(not proof.failed, text, {**counts, "examples": examples}, severity)


def _weighed_verdict(weighed: LinkVerdict) -> Verdict:
    metadata = {
        "verdict": weighed.verdict,
        "cells_compared": weighed.cell_count,
        "fields_compared": weighed.field_count,
        "requests": f"{weighed.requests} of {weighed.cost.max_requests} allowed",
        "bytes_read": f"{weighed.bytes_read} of {weighed.cost.max_bytes} allowed",
        "null": f"{weighed.null_draws} random assignments to other fields, seed {weighed.seed}",
        "deviations_beyond_chance": [
            f"{one.hypothesis}, {one.witness}: {one.deviations:.1f}"
            for one in weighed.shown_evidence(SHOWN_RIVALS)
        ],
        "findings": [finding.message for finding in weighed.findings[:SHOWN_RIVALS]],
    }
    if weighed.verdict == "undecided":
        return Verdict.not_checked(weighed.describe(), metadata)
    if weighed.misfit_wells:
        return Verdict(False, weighed.describe(), metadata, WARN)
    return Verdict(weighed.verdict == "confirmed", weighed.describe(), metadata)
