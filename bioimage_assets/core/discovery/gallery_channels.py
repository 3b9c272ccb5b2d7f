"""What a LoadData table calls the channels that file names only number: ``ch5`` is ``OrigDNA``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from bioimage_assets.core.formats.plate_folders.channel_guard import unpadded_token
from bioimage_assets.core.formats.plate_folders.load_data import LoadDataImage, path_of_location
from bioimage_assets.core.formats.plate_folders.patterns import parse_name


def name_channels(images: Iterable[LoadDataImage]) -> tuple[tuple[str, str], ...]:
    """Name of each token, where all rows of the table agree and no two tokens share it; sorted by token.

    A table that calls files of one channel by several names (cycles, rounds) names none of these.
    """
    names: dict[str, set[str]] = defaultdict(set)
    tokens: dict[str, set[str]] = defaultdict(set)
    for image in images:
        parts = parse_name(path_of_location(image.location))
        if parts is not None and parts.channel is not None:
            token = unpadded_token(parts.channel)
            names[token].add(image.channel)
            tokens[image.channel].add(token)
    return tuple(
        sorted(
            (token, name)
            for token, (name, *others) in ((token, sorted(found)) for token, found in names.items())
            if not others and len(tokens[name]) == 1
        )
    )
