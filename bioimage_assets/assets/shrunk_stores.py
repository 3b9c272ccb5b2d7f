"""Images that a plate had at its last scan and has no longer: stored rows follow the store, so it is said when they go."""

import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.storage.standing_findings import SCAN_FINDINGS, read_finding_rows
from bioimage_assets.core.storage.step_inputs import StepInputs

IMAGES_GONE = "images-gone"
_MAX_NAMES = 5


def find_gone_images(inputs: StepInputs, images: pa.Table) -> tuple[Finding, ...]:
    """Say which images are gone; what was said stands until there are more images again. Reads only where rows are fewer.

    Findings are kept by plate, and whoever meant it removes the plate and builds it again.
    """
    had = inputs.stored_rows.get("image_assets", 0)
    if images.num_rows > had:
        return ()
    if images.num_rows == had:
        return _find_said(inputs) if inputs.stored_rows.get(SCAN_FINDINGS, 0) else ()
    stored = inputs.find("image_assets", ["image_id", "well_id"])
    there = set(images["image_id"].to_pylist())
    gone = [row for row in stored.to_pylist() if row["image_id"] not in there] if stored is not None else []
    if _are_fields_now(gone, images):
        return ()
    wells = sorted({row["well_id"] for row in gone if row["well_id"] is not None})
    named = ", ".join(wells[:_MAX_NAMES]) + (" …" if len(wells) > _MAX_NAMES else "")
    text = (
        f"The plate had {had} images at its last scan and has {images.num_rows} now; {len(gone)} are gone"
        f"{f' (wells {named})' if wells else ''}. Copy the store again. If this is meant, remove the plate with "
        f"'bioimage-assets partitions remove {inputs.partition}' and build it again."
    )
    return (Finding(IMAGES_GONE, "error", named, text, next(iter(inputs.source.store_uris), "")),)


def _are_fields_now(gone: list[dict[str, object]], images: pa.Table) -> bool:
    """Whether files, each an image of its own, became channels of fields: a pattern told how their names are read."""
    return all(row["well_id"] is None for row in gone) and not images["well_id"].null_count


def _find_said(inputs: StepInputs) -> tuple[Finding, ...]:
    rows = inputs.find(SCAN_FINDINGS)
    said = [] if rows is None else read_finding_rows(rows)
    return tuple(finding for finding in said if finding.code == IMAGES_GONE)
