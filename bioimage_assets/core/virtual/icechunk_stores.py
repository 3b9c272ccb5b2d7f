"""Places of original files in, what Icechunk must know to read them out: containers of virtual chunks, storage of the repository, credentials.

https://icechunk.io/en/stable/virtual/. A repository names the folders and buckets that its references lead into, and whoever opens it says
which of them may be read. Containers are chosen as narrow as the files allow.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.extras import build_missing
from bioimage_assets.core.stores.clients import plan_client
from bioimage_assets.core.stores.open import absolute_uri, local_path

if TYPE_CHECKING:
    import icechunk

_WEB = ("http", "https")
_REFUSED = "expected a local file, s3://, http:// or https://; write JSON or Parquet instead"


def require_icechunk() -> Any:
    """The library; MissingExtraError where it is not installed."""
    try:
        import icechunk
    except ImportError as error:
        raise build_missing("A virtual plate as an Icechunk repository", "virtual", error) from error
    # It logs to standard output, which belongs to the command; that commits to a local disk race is said in the documentation.
    icechunk.set_logs_filter("error")
    return icechunk


def name_location(uri: str) -> str:
    """How Icechunk names a file: a URL, in which signs of a local path and of an object's key are quoted."""
    path = local_path(uri)
    if path is not None:
        return Path(path).as_uri()
    scheme, _, rest = absolute_uri(uri).partition("://")
    return f"s3://{quote(rest)}" if scheme == "s3" else absolute_uri(uri)


def list_containers(uris: Iterable[str]) -> dict[str, str]:
    """Prefix of each container, as a URL with a slash at its end, and a URI of ours that lies in it.

    Local files of one top folder share the deepest folder that holds them all; objects share their bucket, web addresses their host.
    """
    local: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    for uri in uris:
        path = local_path(uri)
        if path is not None:
            local.setdefault(path.split("/")[1], []).append(os.path.dirname(path))
            continue
        scheme, _, rest = uri.partition("://")
        if scheme.lower() not in ("s3", *_WEB):
            raise UsageError(f"{uri}: Icechunk has no container for such files; {_REFUSED}.")
        if scheme.lower() in _WEB and (urlsplit(uri).port is not None or urlsplit(uri).query):
            raise UsageError(
                f"{uri}: Icechunk forgets the port and the query of a web address (1.1); write JSON or Parquet instead."
            )
        found[f"{scheme}://{rest.split('/')[0]}/"] = uri
    for folders in local.values():
        folder = _find_plain_folder(os.path.commonpath(folders))
        found[f"file://{folder.rstrip('/')}/"] = folder
    return dict(sorted(found.items()))


def _find_plain_folder(folder: str) -> str:
    """The deepest folder above whose path needs no quoting: Icechunk 1.1 compares prefixes quoted with addresses that are not, and back."""
    while quote(folder) != folder:
        folder = os.path.dirname(folder)
    return folder


def add_containers(
    config: icechunk.RepositoryConfig | None, uris: Iterable[str], options: Mapping[str, object]
) -> tuple[icechunk.RepositoryConfig, bool]:
    """The configuration of a repository whose references lead into these files, too, and whether that is new to it."""
    library = require_icechunk()
    known = set(config.virtual_chunk_containers or {}) if config is not None else set()
    config = library.RepositoryConfig.default() if config is None else config
    wanted = list_containers(uris)
    for prefix, uri in wanted.items():
        store = _open_container(library, prefix, uri, options)
        config.set_virtual_chunk_container(library.VirtualChunkContainer(prefix, store))
    return config, not known.issuperset(wanted)


def build_credentials(config: icechunk.RepositoryConfig, options: Mapping[str, object]) -> dict[str, Any]:
    """What each container of a repository is read with; local files and web servers need nothing."""
    library = require_icechunk()
    found: dict[str, Any] = {}
    for prefix in config.virtual_chunk_containers or {}:
        is_bucket = prefix.startswith("s3://")
        found[prefix] = (
            library.s3_credentials(**_name_keys(prefix, options)) if is_bucket else _no_credentials(prefix)
        )
    return dict(library.containers_credentials(found))


def _no_credentials(prefix: str) -> Any:
    """What Icechunk calls a container that is read without credentials: None before 2, and no longer after it."""
    name = "LocalFileSystemAccess" if prefix.startswith("file://") else "HttpAccess"
    return getattr(require_icechunk().credentials, name, None)


def open_storage(target_uri: str, options: Mapping[str, object]) -> icechunk.Storage:
    """Where a repository lies: a local folder or a prefix of an S3 bucket; UsageError for any other place."""
    library = require_icechunk()
    path = local_path(target_uri)
    if path is not None:
        return library.local_filesystem_storage(path)
    if not target_uri.startswith("s3://"):
        raise UsageError(
            f"{target_uri}: an Icechunk repository is written to a local folder or to s3:// here."
        )
    plan = plan_client(target_uri, options)
    return library.s3_storage(
        bucket=plan.bucket,
        prefix=plan.prefix,
        **_place_of_service(target_uri, options),
        **_name_keys(target_uri, options),
    )


def _open_container(library: Any, prefix: str, uri: str, options: Mapping[str, object]) -> Any:
    if prefix.startswith("file://"):
        return library.local_filesystem_store(f"{uri.rstrip('/')}/")
    if prefix.startswith("s3://"):
        return library.s3_store(s3_compatible=True, **_place_of_service(prefix, options))
    return library.http_store({"allow_http": "true"} if urlsplit(prefix).scheme == "http" else {})


def _place_of_service(uri: str, options: Mapping[str, object]) -> dict[str, Any]:
    """Region and endpoint, as the project's options and the environment name them."""
    config = _read_config(uri, options)
    endpoint = config.get("endpoint") or config.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL")
    region = (
        config.get("region") or config.get("default_region") or os.environ.get("AWS_REGION") or "us-east-1"
    )
    return {
        "region": region,
        "endpoint_url": endpoint,
        "allow_http": str(endpoint or "").startswith("http://"),
        "force_path_style": endpoint is not None,
    }


def _name_keys(uri: str, options: Mapping[str, object]) -> dict[str, Any]:
    config = _read_config(uri, options)
    if str(config.get("skip_signature", "")).lower() in ("1", "true", "on", "yes"):
        return {"anonymous": True}
    if not config.get("access_key_id"):
        return {"from_env": True}
    return {
        "access_key_id": config["access_key_id"],
        "secret_access_key": config.get("secret_access_key"),
        "session_token": config.get("session_token"),
    }


def _read_config(uri: str, options: Mapping[str, object]) -> dict[str, str]:
    """Options of the service without the prefix that some of them have."""
    plan = plan_client(uri, options)
    return {name.removeprefix("aws_"): str(value) for name, value in plan.config.items()}
