"""Small pictures of fields as files that stay, beside a data source of BioFile Finder."""

from __future__ import annotations

import re
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa

from bioimage_assets.browse.answers import NotThereError
from bioimage_assets.browse.channels import PlateChannels
from bioimage_assets.browse.disk_cache import DiskCache
from bioimage_assets.browse.open_images import OpenImages
from bioimage_assets.browse.plates import BrowsedPlate, FieldRow, find_plate
from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.browse.thumbnails import Thumbnails
from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.settings.project import ProjectSettings
from bioimage_assets.core.storage.page_files import write_file

SIZE_PX = 256
_OWN_NAME = re.compile(r"[0-9a-f]{32}\.jpg")


class FieldThumbnails:
    """Makes the pictures of a plate that are not there yet; a picture is known by its image and what that was scanned as.

    ``reasons`` says, once for each plate, why a picture could not be made.
    """

    def __init__(self, settings: ProjectSettings, folder: Path, url: str | None) -> None:
        self._project = BrowsedProject(settings)
        self._images = OpenImages(self._project.storage_options)
        cache = DiskCache(settings.data_dir / "cache" / "browse")
        channels = PlateChannels(self._project, self._images, cache)
        self._thumbnails = Thumbnails(self._images, channels, cache)
        self._folder = folder / "thumbnails"
        self._url = None if url is None else f"{url.rstrip('/')}/{self._folder.name}"
        self._named: set[str] = set()
        self.reasons: list[str] = []

    def __call__(self, plate_key: str, images: pa.Table) -> dict[str, str]:
        """Addresses of the pictures of a plate by image."""
        try:
            plate = find_plate(self._project, plate_key)
        except NotThereError as error:
            self.reasons.append(f"No thumbnails of {plate_key}: {error}")
            return {}
        self._folder.mkdir(parents=True, exist_ok=True)
        found: dict[str, str] = {}
        failed: list[BioimageError] = []
        for image_id in images["image_id"].to_pylist():
            one = plate.fields.get(image_id)
            if one is None or not one.is_shown:
                continue
            try:
                found[image_id] = self._address(self._make(plate, one))
            except BioimageError as error:
                failed.append(error)
        if failed:
            self.reasons.append(
                f"{len(failed)} fields of {plate_key} have no thumbnail; the first: {failed[0]}"
            )
        return found

    def _make(self, plate: BrowsedPlate, one: FieldRow) -> str:
        key = "\0".join((plate.plate_key, one.image_id, one.fingerprint))
        name = f"{blake2b(key.encode(), digest_size=16).hexdigest()}.jpg"
        path = self._folder / name
        if not path.exists():
            write_file(path, self._thumbnails.make(plate, one, SIZE_PX))
        self._named.add(name)
        return name

    def _address(self, name: str) -> str:
        return str((self._folder / name).absolute()) if self._url is None else f"{self._url}/{name}"

    def close(self) -> None:
        """Close the images that were opened."""
        self._images.close()

    def remove_others(self) -> None:
        """Remove pictures of earlier calls that no row names any more."""
        for path in self._folder.glob("*.jpg") if self._folder.is_dir() else ():
            if _OWN_NAME.fullmatch(path.name) and path.name not in self._named:
                path.unlink(missing_ok=True)
