"""A warehouse root that several projects share: whose images a plate's stored rows were made of.

Plates are told apart by dataset and plate name. Two projects whose datasets have the same name would replace each other's rows
in turn, each of them finding its own out of date.
"""

from pathlib import Path

import pyarrow as pa

from bioimage_assets.core.errors import MissingTableError, WarehouseError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.storage.tables import ProjectTables
from bioimage_assets.core.stores.open import local_path


def find_other_project(tables: ProjectTables, source: PlateSource, images: pa.Table) -> list[Finding]:
    """A finding where the plate in the warehouse was made of images that lie elsewhere and are still there.

    Images that were moved are no other project's: where they lay is empty. Reads one column of one partition.
    """
    try:
        stored = tables.warehouse.read("image_assets", columns=["uri"], plate_keys=[source.plate_key])
    except (MissingTableError, WarehouseError):  # a damaged root is named where it is written or validated
        return []
    before = {str(uri) for uri in stored["uri"].to_pylist()}
    own = set(images["uri"].to_pylist())
    others = sorted(uri for uri in before if not _is_below(uri, source.dataset_uri) and _is_there(uri))
    if not others or before & own:
        return []
    text = (
        f"The rows of plate {source.plate_key} in {tables.settings.warehouse_uri} were made of {others[0]}, which is still there; "
        f"they are replaced by rows of {source.dataset_uri}. Where two projects share a warehouse root, each dataset needs a name "
        "of its own: rename the folder of one, or give one project a root of its own (BIOIMAGE_WAREHOUSE)."
    )
    return [Finding("plate-of-another-project", "error", source.plate_key, text, source.dataset_uri)]


def _is_below(uri: str, folder_uri: str) -> bool:
    return uri == folder_uri or uri.startswith(f"{folder_uri.rstrip('/')}/")


def _is_there(uri: str) -> bool:
    """Whether a local file or folder exists; what lies in a bucket is taken to be there."""
    path = local_path(uri)
    return path is None or Path(path).exists()
