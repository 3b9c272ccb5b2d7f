"""An AnnData file in, an AnnData object out whose matrices stay in the file until they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import zarr

from bioimage_assets.core.anndata.library import require_anndata
from bioimage_assets.core.errors import StoreNotFoundError, UnsupportedStoreError

if TYPE_CHECKING:
    from anndata import AnnData


def open_anndata(path: str | Path) -> AnnData:
    """Open an ``.h5ad`` file or a Zarr store of AnnData, its matrices unread.

    ``X`` and all layers are arrays of h5py or zarr, which give the rows and columns that they are asked for; ``obs``, ``var``, ``obsm`` and
    ``uns`` are in memory. (``anndata.read_h5ad(backed="r")`` reads layers whole.) ``to_memory()`` of a part makes an ordinary object of it.

    Raises
    ------
    StoreNotFoundError, UnsupportedStoreError
        Nothing is there, or no AnnData object.
    MissingExtraError
        anndata is not installed.

    Examples
    --------
    >>> import anndata, numpy, tempfile
    >>> file = f"{tempfile.mkdtemp()}/wells.h5ad"
    >>> anndata.AnnData(numpy.eye(3)).write_h5ad(file)
    >>> open_anndata(file)[1].to_memory().X.tolist()
    [[0.0, 1.0, 0.0]]
    """
    library = require_anndata()
    place = Path(path)
    if not place.exists():
        raise StoreNotFoundError(f"There is no AnnData file at {place}.")
    root = _open(place)
    if root.attrs.get("encoding-type") != "anndata":
        raise UnsupportedStoreError(
            f"{place} is no AnnData object: its attribute encoding-type is {root.attrs.get('encoding-type')!r}."
        )
    read: dict[str, Any] = {
        name: library.io.read_elem(root[name])
        for name in ("obs", "var", "obsm", "varm", "obsp", "varp", "uns")
        if name in root
    }
    layers = {name: _as_array(element, library) for name, element in _items(root, "layers")}
    return library.AnnData(X=_as_array(root["X"], library) if "X" in root else None, layers=layers, **read)


def _open(place: Path) -> Any:
    try:
        return zarr.open_group(place, mode="r") if place.is_dir() else h5py.File(place, "r")
    except (OSError, ValueError) as error:
        raise UnsupportedStoreError(f"{place} is neither an HDF5 file nor a Zarr store: {error}") from error


def _items(root: Any, name: str) -> list[tuple[str, Any]]:
    return [(key, root[name][key]) for key in root[name]] if name in root else []


def _as_array(element: Any, library: Any) -> Any:
    """A dense matrix as it lies there; a sparse one in memory."""
    return element if hasattr(element, "shape") else library.io.read_elem(element)
