"""What one file name says, and the form of a layout of names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

GUID = r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
# PNG: instruments write whole plates of it under the same names.
SUFFIX = r"(?i:(?:\.ome)?\.(?:tiff?|tf2|tf8|btf|stk|lsm|flex|svs|ndpi|qptiff)|\.png)"

NameGroups = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class NameParts:
    """What one file name says; None where it says nothing. ``channel`` is the token as written (``w1``, ``d0``).

    ``channel_name`` is what the name calls the channel, where its token is a mere number.
    """

    layout: str
    well_id: str
    site_id: str | None = None
    plate: str | None = None
    channel: str | None = None
    z: int | None = None
    t: int | None = None
    acquisition: str | None = None
    channel_name: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NamePattern:
    """One layout: a regular expression over the file name. ``channel_prefix`` restores the token's letters.

    ``hint`` is a text in small letters that every such name has: names without it are not tried, which is most of the work.
    ``folders`` is the number of folders above the file that the expression sees, too. ``refine`` turns the matched groups
    into those of ``NameParts`` where they are written in another way.
    """

    layout: str
    regex: re.Pattern[str]
    channel_prefix: str = ""
    default_site: str | None = None
    hint: str = ""
    folders: int = 0
    refine: Callable[[NameGroups], NameGroups] | None = None
