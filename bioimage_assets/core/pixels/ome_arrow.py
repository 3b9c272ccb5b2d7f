"""Images as OME-Arrow values, through the optional ome-arrow package.

https://github.com/WayScience/ome-arrow. The package is imported on the first call: it is an extra, and slow to load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bioimage_assets.core.extras import build_missing

if TYPE_CHECKING:
    from ome_arrow import OMEArrow

# As iceberg-bioimage words it.
_WORDS = "OME-Arrow helpers require the optional ome-arrow extra. This call"


def create_ome_arrow(data: object, **options: object) -> OMEArrow:
    """Read an image into an OME-Arrow value, all of it in memory.

    Parameters
    ----------
    data
        Path of a TIFF, OME-Zarr or OME-Parquet, an array, a struct scalar or a nested dict.
    options
        Passed to ``ome_arrow.OMEArrow``.

    Raises
    ------
    MissingExtraError
        The extra ``ome-arrow`` is not installed.

    Examples
    --------
    >>> create_ome_arrow("image.ome.tiff").info()["shape"]
    (1, 5, 1, 64, 64)
    """
    return _load_class()(data, **options)


def scan_ome_arrow(data: str, **options: object) -> OMEArrow:
    """Plan an OME-Arrow value over a path or URL; pixels are read when they are asked for.

    Raises
    ------
    MissingExtraError
        The extra ``ome-arrow`` is not installed.

    Examples
    --------
    >>> from bioimage_assets import create_ome_arrow
    >>> path = create_ome_arrow("image.ome.tiff").export(how="parquet", out="image.ome.parquet")
    >>> lazy = scan_ome_arrow("image.ome.parquet")
    """
    return _load_class().scan(data, **options)


def _load_class() -> type[OMEArrow]:
    try:
        from ome_arrow import OMEArrow
    except ImportError as error:
        raise build_missing(_WORDS, "ome-arrow", error) from error
    found: type[OMEArrow] = OMEArrow
    return found
