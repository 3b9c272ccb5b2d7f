"""The fsspec file system and path of a URI; two colons in a name chain no further file system to it."""

from __future__ import annotations

import fsspec

from bioimage_assets.core.storage_options import without_local_options


def url_to_filesystem(uri: str, options: dict[str, object]) -> tuple[fsspec.AbstractFileSystem, str]:
    """Like ``fsspec.core.url_to_fs``, which takes ``::`` for a chain even within a name (``memory://lab/a::file``).

    A chain that is meant has a scheme in each of its links (``zip://a.zarr::https://lab.org/a.zip``), which no name has:
    names have no slash. Raises what fsspec raises: ValueError, ImportError, TypeError.
    """
    options = without_local_options(options)
    if "::" not in uri or all("://" in link for link in uri.split("::")):
        filesystem, path = fsspec.core.url_to_fs(uri, **options)
        return filesystem, path
    kind = fsspec.get_filesystem_class(uri.partition("://")[0])
    filesystem = kind(**{**kind._get_kwargs_from_urls(uri), **options})
    return filesystem, kind._strip_protocol(uri)
