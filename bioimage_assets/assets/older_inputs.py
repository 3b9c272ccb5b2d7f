"""Steps on tables that were made before a plate's files changed: what they make is stored, and is never taken for current.

A run lists a plate's files once per step. Files that change between two steps, or before a selection of steps that leaves
out the first, would put the fingerprint of the new files on rows of the old ones, and no later run would build them again.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bioimage_assets.assets.current import SCANNED_TABLES, SIGNATURE, read_recorded, stored_parts
from bioimage_assets.assets.versions import plate_fingerprint
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.resources.project import ProjectResource

# Tables that a step reads, by the first table or asset that it makes. The others read the plate's files themselves.
UPSTREAMS: Mapping[str, tuple[str, ...]] = {
    "joined_profiles": ("image_assets", "single_cells"),
    "plate_completeness": (
        "image_assets",
        "plate_layout",
        "chunk_index",
        "measured_images",
        "joined_profiles",
    ),
    "cosmicqc_profiles": ("joined_profiles",),
    "pycytominer_profiles": ("joined_profiles", "cosmicqc_profiles"),
    "cytomining_warehouse": ("image_assets", "chunk_index"),
    "plate_report": (
        "image_assets",
        "scan_findings",
        "joined_profiles",
        "join_report",
        "plate_completeness",
        "cosmicqc_profiles",
        "pycytominer_profiles",
    ),
}


def mark_older_inputs(
    context: Any, project: ProjectResource, step: str, sources: Mapping[str, PlateSource]
) -> dict[str, PlateSource]:
    """Sources of the plates as the step may sign for them: with a signature of its own where a table it reads is older."""
    names = UPSTREAMS.get(step, ())
    parts = stored_parts(project, names) if names else {}
    marked = dict(sources)
    for key, source in sources.items():
        older = [name for name in names if _is_older(context, source, name, parts.get(name, {}).get(key))]
        if older:
            context.log.warning(
                f"{key}: {', '.join(older)} was made before the plate's files changed; the next run builds it again."
            )
            marked[key] = replace(source, signature=f"{source.signature}+{context.run_id}")
    return marked


def _is_older(context: Any, source: PlateSource, name: str, part: Any) -> bool:
    """Tell whether a table is made of other files than lie there now; one that is not stored is not."""
    wanted = plate_fingerprint(source, name)
    if name in SCANNED_TABLES:  # their own fingerprints are digests of what was read
        signature = read_recorded(context.instance, name, source.plate_key, SIGNATURE)
        if signature is not None:
            return signature != source.signature
        return part is None or part.fingerprint != wanted
    if part is not None:
        return part.fingerprint != wanted
    return read_recorded(context.instance, name, source.plate_key, "fingerprint") not in (None, wanted)
