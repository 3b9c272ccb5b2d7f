"""What one partition is made of: the stores, measurements and settings of a plate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlateSource:
    """The inputs of one plate partition, as found by listing a watched root; nothing was opened.

    ``plate_name`` is the store's stem or the plate folder's name (the plate part of the key before
    encoding). ``signature`` digests names, sizes and change times of the listed stores and
    measurements; ``newest_mtime_s`` is the newest of those times (seconds since the epoch).
    """

    plate_key: str
    dataset_name: str
    plate_name: str
    dataset_uri: str
    store_uris: tuple[str, ...]
    measurement_uris: tuple[str, ...] = ()
    signature: str = ""
    newest_mtime_s: float = 0.0
