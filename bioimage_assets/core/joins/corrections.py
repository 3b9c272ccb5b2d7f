"""Another reading of the positions that profiles name: another numbering of sites, another name of the plate."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bioimage_assets.core.joins.join_rules import RowKey
from bioimage_assets.core.model.identity import subtract_site_offset


@dataclass(frozen=True, slots=True)
class Correction:
    """Another reading of the positions that profiles name.

    Parameters
    ----------
    site_offset
        Site number of the profiles minus site number of the image.
    plate_name
        Plate that all rows name and no image has, which stands for the only plate there is; None where plates agree.
    """

    site_offset: int = 0
    plate_name: str | None = None

    def apply(self, key: RowKey) -> RowKey:
        """The key as it would be read."""
        site = key.site_id
        return replace(
            key,
            site_id=None if site is None else subtract_site_offset(site, self.site_offset),
            plate_id=None
            if self.plate_name is not None and key.plate_id == self.plate_name
            else key.plate_id,
        )

    def list_settings(self) -> tuple[str, ...]:
        """Keys of ``[join]`` in ``dataset.toml`` that declare it, with their values."""
        offset = (f"profile_site_offset = {self.site_offset}",) if self.site_offset else ()
        return (*offset, *(("ignore_profile_plate = true",) if self.plate_name is not None else ()))

    @property
    def setting(self) -> str:
        """The same as one text."""
        return "[join] " + " and ".join(self.list_settings())

    def describe(self) -> str:
        """The correction in words."""
        name = "" if self.plate_name is None else f"{self.plate_name!r} is another name of the plate"
        sites = (
            f"sites of the profiles are those of the images {'plus' if self.site_offset > 0 else 'minus'} {abs(self.site_offset)}"
            if self.site_offset
            else ""
        )
        return " and ".join(part for part in (sites, name) if part)
