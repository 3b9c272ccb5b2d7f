"""Finding about images that have two channels of one name, whatever store they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.scan import StoreScan


def find_equal_channel_names(scans: Iterable[StoreScan]) -> list[Finding]:
    """One finding per store whose images have equal channel names: features and channels are linked by name."""
    return [finding for scan in scans if (finding := _find_in(scan)) is not None]


def _find_in(scan: StoreScan) -> Finding | None:
    equal = [
        image
        for image in scan.images
        if image.image_kind == "image"
        and image.channel_names is not None
        and len(set(named := [name for name in image.channel_names if name])) < len(named)
    ]
    if not equal:
        return None
    first = equal[0]
    counts = Counter(name for name in first.channel_names or () if name)
    name, count = counts.most_common(1)[0]
    text = (
        f"{count} channels of image {first.image_id!r} are named {name!r}"
        f"{f'; so it is in {len(equal):,} images' if len(equal) > 1 else ''}. What is linked by channel name cannot tell them "
        "apart: they differ in their index only. Correct the names in the metadata of the store."
    )
    return Finding("channel-names-equal", "warning", first.array_path or first.image_id, text, first.uri)
