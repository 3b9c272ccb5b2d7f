"""The proof of a join: a few cells of each plate are measured again from the pixels they are linked to."""

from bioimage_assets.checks.inputs import CheckInputs
from bioimage_assets.checks.verdict import WARN, Verdict
from bioimage_assets.core.errors import ContractError
from bioimage_assets.core.pixels.proof import ProofOptions, check_pixel_proof

MAX_IMAGES = 24


def check_pixels(inputs: CheckInputs) -> Verdict:
    """Measure one cell of up to 24 images again; a plate without label images cannot be checked and says so."""
    cells = inputs.tables.find_cells("joined_profiles", inputs.plate_key)
    if cells is None:
        return Verdict(True, "no measured cells")
    images = inputs.read("image_assets")
    if "label" not in images["image_kind"].to_pylist():
        return Verdict(True, "not checked: the plate's stores hold no label images")
    try:
        proof = check_pixel_proof(
            cells,
            images,
            options=ProofOptions(max_images=MAX_IMAGES),
            storage_options=inputs.project.settings.storage_options,
        )
    except ContractError as error:
        return Verdict(True, f"not checked: {error}")
    if not proof.rows:
        return Verdict(True, "not checked: no cell has a label, a box and a mean intensity")
    examples = [
        f"{row.object_id} {row.feature}: {row.measured:.6g} in the table, {row.remeasured} in the pixels"
        for row in proof.failed[:5]
    ]
    text = f"{proof.checked_count - proof.failed_count} of {proof.checked_count} cells are confirmed by their pixels"
    counts = {"cells_checked": proof.checked_count, "cells_that_differ": proof.failed_count}
    return Verdict(not proof.failed, text, {**counts, "examples": examples}, WARN)
