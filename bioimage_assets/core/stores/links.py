"""Links that listings meet: which of them would never end, which were left out, and what is said of those."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from bioimage_assets.core.findings import Finding, Severity, find_names_not_utf8
from bioimage_assets.core.model.file_kinds import TIFF_SUFFIXES, has_suffix
from bioimage_assets.core.model.store_paths import show_name

MAX_LINKS_KEPT = 1_000  # places that are remembered; all are counted
# Where git-annex and DataLad keep contents: the file in the tree is a link to it.
_ANNEX = "/annex/objects/"
HOW_TO_FOLLOW = (
    "Where these links are meant, write [images] follow_symlinks = true in dataset.toml, set BIOIMAGE_FOLLOW_SYMLINKS=on, or "
    "say --follow-symlinks"
)


@dataclass(slots=True)
class RefusedLinks:
    """Links that the listings of one store left out, by path below it; those to nothing are counted apart.

    ``paths`` are the first of them, ``folders`` all that hold one.
    """

    paths: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    count: int = 0
    dangling_count: int = 0
    image_count: int = 0
    is_annexed: bool = False

    def add(self, path: str, full_path: str) -> None:
        """Count a link that was not followed; one that is known already is not counted again."""
        if path in self.paths:
            return
        if len(self.paths) < MAX_LINKS_KEPT:
            self.paths.add(path)
        self.folders.add(path.rpartition("/")[0])
        self.count += 1
        self.dangling_count += not os.path.exists(full_path)
        self.image_count += has_suffix(path, TIFF_SUFFIXES)
        with suppress(OSError):  # gone since it was listed
            self.is_annexed |= _ANNEX in os.readlink(full_path)


NO_LINKS = RefusedLinks()  # of stores that cannot hold any


def find_links_not_followed(
    links: RefusedLinks, store_uri: str, *, holds_pixels: bool
) -> tuple[Finding, ...]:
    """Say which links of a store were left out, in one finding; nothing where there was none.

    It is an error where what they name is missing from the rows: images, or with ``holds_pixels`` anything, as in a Zarr store.
    """
    if not links.count:
        return ()
    where = f" in {len(links.folders)} folders" if len(links.folders) > 1 else ""
    first = show_name(min(links.paths))
    severity: Severity = "error" if holds_pixels or links.image_count else "warning"
    text = (
        f"{links.count} link(s){where} lead out of the store and were not followed, the first is {first!r}: what they name is not "
        f"in the tables. {HOW_TO_FOLLOW}."
    )
    if links.dangling_count:
        text += f" {links.dangling_count} of them lead to nothing{_say_annex(links)}."
    return (Finding("link-not-followed", severity, first, text, store_uri),)


class ListedStore(Protocol):
    """A store whose listings may have left something out."""

    @property
    def names_not_utf8(self) -> Sequence[str]: ...

    @property
    def links_not_followed(self) -> RefusedLinks: ...


def find_left_out(store: ListedStore, store_uri: str) -> tuple[Finding, ...]:
    """Say what the listings of a folder left out: names that are no text, links that were not followed."""
    links = find_links_not_followed(store.links_not_followed, store_uri, holds_pixels=False)
    return (*find_names_not_utf8(store.names_not_utf8, store_uri), *links)


def _say_annex(links: RefusedLinks) -> str:
    return (
        ": their content was not fetched ('datalad get' or 'git annex get' does)" if links.is_annexed else ""
    )


def is_link_loop(root: str, path: str) -> bool:
    """Tell whether a link to a folder leads to one of the folders that it is reached through, or above the root.

    ``path`` is the link, a full path below ``root``. Also through other links: a/b -> ../c, c/d -> ../a.
    """
    target = os.path.realpath(path)
    return any(f"{parent}/".startswith(f"{target.rstrip('/')}/") for parent in _real_parents(root, path))


def _real_parents(root: str, path: str) -> Iterator[str]:
    parent = os.path.dirname(path)
    while len(parent) > len(root.rstrip("/")):
        yield os.path.realpath(parent)
        parent = os.path.dirname(parent)
    yield os.path.realpath(root)
