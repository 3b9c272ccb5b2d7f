"""Which setting would link rows that name several images, or none; tried before it is suggested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.formats.plate_folders.propose import (
    build_pattern_line,
    propose_for_plate,
    propose_pattern,
)
from bioimage_assets.core.joins.image_index import ImageIndex, ImageKey
from bioimage_assets.core.joins.join_rules import RowKey, match_key
from bioimage_assets.core.joins.keys import rewrite_path
from bioimage_assets.core.joins.matcher import CountedKey
from bioimage_assets.core.model.store_paths import count_shared_tail

# Distinct keys that a setting is tried on.
_MAX_TRIED = 1_000


def suggest_for_ambiguous(index: ImageIndex, item: CountedKey) -> str:
    """What tells the images apart that one row names: names of files, a site, or the images themselves."""
    images = [index.images[row] for row in item.match.candidates]
    sites = {image.site_id for image in images}
    rewrite = _suggest_rewrite(index, [item], ())
    if rewrite:
        return rewrite
    if item.match.ambiguous_rule == "plate_well" and len(sites - {None}) > 1:
        return (
            "The rows name no site, and the well has several: name the column that holds it in dataset.toml: "
            '[microscopy.aliases] site_id = ["<column>"].'
        )
    if any(image.is_zarr or not image.file_paths for image in images):
        return "Give the rows the site or the image_id of one of them."
    named = [path for image in images for path in image.file_paths]
    others = [path for image in index.images.values() for path in image.file_paths[:1]]
    pattern = propose_pattern(_channel_files(item, images) or named, others, item.key.well_id)
    shown = " and ".join(repr(path.rpartition("/")[2]) for path in named[:2])
    return f"Their names do not tell them apart by place and channel ({shown}). {build_pattern_line(pattern)}"


def _channel_files(item: CountedKey, images: Sequence[ImageKey]) -> list[str]:
    """Files that one row names for its channels, each an image of its own so far."""
    names = set(item.key.file_names)
    found = [path for image in images for path in image.file_paths if path.rpartition("/")[2] in names]
    return found if len(found) > 1 else []


def suggest_for_unlinked(
    index: ImageIndex, counted: Sequence[CountedKey], rewrites: tuple[tuple[str, str], ...]
) -> Iterator[Finding]:
    """Findings about rows that no rule linked, each with what was seen to link them."""
    unlinked = [item for item in counted if item.match.rule is None and item.match.ambiguous_rule is None]
    unlinked = [item for item in unlinked if item.row_count]
    if not unlinked:
        return
    rows = sum(item.row_count for item in unlinked)
    if not index.images:
        text = (
            f"{rows} row(s) cannot be linked: no image of the plate is stored. Either its stores could not be read "
            "(scan_findings say why), or the measurements have another name than the images."
        )
        yield Finding("no-image-rows", "warning", "", text)
        return
    hint = _suggest_rewrite(index, unlinked, rewrites) or _suggest_pattern(index, unlinked)
    if hint:
        label = unlinked[0].key.label()
        yield Finding("unlinked-rows", "warning", label, f"{rows} row(s) found no image. {hint}")


def _suggest_pattern(index: ImageIndex, unlinked: Sequence[CountedKey]) -> str | None:
    """Where the rows have wells and the images, which are files, have none."""
    images = list(index.images.values())
    if any(image.well_id for image in images) or not any(item.key.well_id for item in unlinked):
        return None
    if any(image.is_zarr or not image.file_paths for image in images):
        return (
            f"The rows name wells, and no image does: the metadata of {images[0].uri} declare no plate. Give the rows the "
            'images\' ids: [microscopy.aliases] image_id = ["<column>"] in dataset.toml.'
        )
    names = [image.file_paths[0] for image in images]
    wells = sorted({item.key.well_id for item in unlinked if item.key.well_id})
    pattern = propose_for_plate(names, wells)
    return (
        f"The rows name wells, and the names of the image files say none ({names[0].rpartition('/')[2]!r}). "
        f"{build_pattern_line(pattern)} Where the names hold no well, put CellProfiler's load_data.csv "
        "beside the images: it names them."
    )


def _suggest_rewrite(
    index: ImageIndex, unlinked: Sequence[CountedKey], rewrites: tuple[tuple[str, str], ...]
) -> str | None:
    """The prefix of the rows' paths that stands for another of the images'."""
    tried = unlinked[:_MAX_TRIED]
    for item in tried[:3]:
        for path in item.key.paths[:1]:
            pair = _find_prefixes(path, index)
            if pair is None or pair in rewrites:
                continue
            linked = [
                other.row_count
                for other in tried
                if any(rewrite_path(name, (pair,)) in index.by_path for name in other.key.paths)
                and _is_linked_in_its_well(index, _rewritten(other.key, pair))
            ]
            if linked:
                return (
                    f"Their paths begin with another folder than the images'. [join] path_rewrites = "
                    f'[["{pair[0]}", "{pair[1]}"]] in dataset.toml links {sum(linked)} of them.'
                )
    return None


def _is_linked_in_its_well(index: ImageIndex, key: RowKey) -> bool:
    """Files of other wells end alike (``A/2/0`` and ``B/2/0``): an image of another well than the row's is not the row's."""
    match = match_key(index, key)
    if match.rule is None:
        return False
    well_id = index.images[match.image_row].well_id
    return key.well_id is None or well_id is None or key.well_id == well_id


def _rewritten(key: RowKey, pair: tuple[str, str]) -> RowKey:
    return replace(key, paths=tuple(rewrite_path(path, (pair,)) for path in key.paths))


def _find_prefixes(path: str, index: ImageIndex) -> tuple[str, str] | None:
    """What stands before the longest common tail of a path and the one image file that shares it."""
    parts = PurePosixPath(path).parts
    best: tuple[int, str] | None = None
    for other in index.by_path:
        shared = count_shared_tail(parts, other.split("/"))
        if shared and (best is None or shared > best[0]):
            best = (shared, other)
    if best is None:
        return None
    shared, other = best
    tail = "/".join(other.split("/")[-shared:])
    return path[: len(path) - len(tail)], other[: len(other) - len(tail)]
