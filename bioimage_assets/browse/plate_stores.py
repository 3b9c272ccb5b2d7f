"""The OME-Zarr of each plate: its own store as it lies there, or one made of references into its files."""

from __future__ import annotations

from bioimage_assets.browse.answers import NotThereError
from bioimage_assets.browse.channels import PlateChannels, list_limits
from bioimage_assets.browse.kept import Kept
from bioimage_assets.browse.links import ZarrFormat
from bioimage_assets.browse.own_stores import OwnStores
from bioimage_assets.browse.plates import BrowsedPlate
from bioimage_assets.browse.project import BrowsedProject
from bioimage_assets.browse.served_objects import ServedObjects
from bioimage_assets.browse.virtual_objects import VirtualObjects, plan_objects
from bioimage_assets.core.errors import BioimageError, MissingTableError, UsageError
from bioimage_assets.core.storage.outdated_scans import is_scan_outdated
from bioimage_assets.core.virtual.image_paths import build_image_paths

_KEPT_PLANS = 3  # plates whose references are in memory


class PlateStores:
    """Finds the store of a plate; a plan is made with the first request for a plate of files."""

    def __init__(self, project: BrowsedProject, channels: PlateChannels) -> None:
        self._project = project
        self._channels = channels
        self._own = OwnStores(project.storage_options)
        self._plans: Kept[VirtualObjects] = Kept(_KEPT_PLANS)

    def find(self, plate: BrowsedPlate) -> ServedObjects:
        """Objects of a plate; NotThereError where it has no images, or their pieces were not indexed."""
        uri = plate.own_store_uri
        if uri is not None:
            return self._own.open(uri, self._project.change)
        if not any(one.is_shown for one in plate.fields.values()):
            raise NotThereError(f"Plate {plate.plate_key} has no images.")
        return self._plans.get((plate.plate_key, self._project.change), lambda: self._plan(plate))

    def close(self) -> None:
        """Close what is open."""
        self._own.close()

    def find_path(self, plate: BrowsedPlate, image_id: str) -> str:
        """Group of an image in the store of its plate."""
        if plate.own_store_uri is not None:
            return str(plate.image_row(image_id).get("array_path") or "").rpartition("/")[0]
        paths = self._project.keep(("paths", plate.plate_key), lambda: build_image_paths(plate.images))
        return paths.get(image_id, "")

    def find_format(self, plate: BrowsedPlate) -> ZarrFormat:
        """Version of Zarr that the store of a plate is in."""
        own = plate.own_store_uri is not None
        return 2 if own and "zarr-v2" in plate.images["storage_variant"].to_pylist()[:1] else 3

    def _plan(self, plate: BrowsedPlate) -> VirtualObjects:
        if is_scan_outdated(self._project.tables, plate.plate_key):
            raise BioimageError(
                f"Files of plate {plate.plate_key} changed since they were scanned. Type: bioimage-assets materialize --plates "
                f"{plate.plate_key}"
            )
        limits = list_limits(self._channels.find(plate))
        options = self._project.storage_options
        try:
            chunks = self._project.tables.stream("chunk_index", plate.plate_key)
        except MissingTableError as error:
            raise NotThereError(f"The pieces of plate {plate.plate_key} are not indexed.") from error
        except UsageError as error:  # a column that it has not
            raise BioimageError(
                f"The pieces of plate {plate.plate_key} were indexed by an earlier version. Type: bioimage-assets materialize --plates "
                f"{plate.plate_key}"
            ) from error
        with chunks:
            return plan_objects(plate.plate_key, plate.images, chunks, limits, options)
