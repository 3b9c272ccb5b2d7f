"""The client of one bucket, container or web server, for a URI and the project's storage options.

Source of truth for the options: the configuration keys of https://developmentseed.org/obstore/latest/api/store/aws/
(also ``gcs`` and ``azure``). One set of options serves all services of a project: an option that starts with
another service's name is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from obstore.exceptions import (
    BaseError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnknownConfigurationKeyError,
)
from obstore.store import AzureStore, GCSStore, HTTPStore, ObjectStore, S3Store

from bioimage_assets.core.errors import (
    CorruptStoreError,
    KeyMissingError,
    StoreAccessError,
    StoreError,
    StoreNotFoundError,
    UnsupportedStoreError,
    UsageError,
)
from bioimage_assets.core.storage_options import FOLLOW_SYMLINKS, read_storage_options
from bioimage_assets.core.stores.credentials import (
    check_azure_credentials,
    check_gcs_credentials,
    read_s3_credentials,
)

_SERVICES = {
    "s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "azure": "azure", "abfs": "azure",
    "abfss": "azure", "http": "web", "https": "web",
}  # fmt: skip
REMOTE_SCHEMES = frozenset(_SERVICES)
_SERVICE_PREFIXES = {"aws_": "s3", "google_": "gcs", "azure_": "azure"}

_RETRY: RetryConfig = {
    # Of one request; obstore's own default is ten within three minutes, longer than a sensor's tick.
    "max_retries": 5,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
}
_CLIENT_OPTIONS = frozenset(
    {
        "allow_http", "allow_invalid_certificates", "connect_timeout", "default_headers", "http1_only", "http2_only",
        "pool_idle_timeout", "pool_max_idle_per_host", "proxy_url", "proxy_ca_certificate", "proxy_excludes",
        "read_timeout", "root_certificate", "timeout", "user_agent",
    }
)  # fmt: skip
_OWN_OPTIONS = frozenset({"max_retries", "requests_in_flight", FOLLOW_SYMLINKS})
# HTTP/1.1 keeps one connection per request in flight; HTTP/2 would queue them behind one server limit.
_CLIENT_DEFAULTS: dict[str, object] = {"timeout": "60s", "connect_timeout": "10s"}
# Where an endpoint may be named, first wins; the client reads the environment too, but not the permission to use it.
_ENDPOINTS = {
    "s3": ("endpoint", "endpoint_url", "aws_endpoint", "aws_endpoint_url"),
    "gcs": ("base_url", "google_base_url"),
    "azure": ("endpoint", "azure_storage_endpoint", "azure_endpoint"),
}

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, RetryConfig, S3Config


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """What a client is made with: bucket and prefix of the address, and the options sorted by who reads them."""

    service: str
    bucket: str
    prefix: str | None
    config: dict[str, object]
    client_options: ClientConfig
    retry: RetryConfig


def plan_client(uri: str, options: Mapping[str, object]) -> ClientPlan:
    """Sort the options of an address; without any, those of the environment (``BIOIMAGE_STORAGE_*``) are taken.

    UsageError where the address carries a password, or an endpoint is no address; StoreAccessError where no credentials are to
    be had.
    """
    parts = urlsplit(uri)
    if parts.password is not None:
        shown = f"{parts.scheme}://{parts.hostname}{parts.path}"
        raise UsageError(
            f"{shown}: the address carries a password, which would be stored in tables; expected an address without "
            "one. Give credentials in the environment (AWS_*, BIOIMAGE_STORAGE_*)."
        )
    service = _SERVICES.get(parts.scheme.lower(), "azure")
    client_options, config, retry = _sort_options(service, options or read_storage_options())
    if service == "web":
        if uri.lower().startswith("http://"):
            client_options.setdefault("allow_http", True)
        return ClientPlan(service, "", None, config, client_options, retry)
    # Not urlsplit's path: "#" and "?" are ordinary characters of object keys.
    bucket, _, path = uri.split("://", 1)[1].partition("/")
    _take_endpoint(uri, service, config, client_options)
    if service == "s3":
        config = {**read_s3_credentials(uri, config), **config}
    elif service == "gcs":
        check_gcs_credentials(uri, config)
    else:
        container, at, account = bucket.rpartition("@")
        if at:  # abfss://container@account.dfs.core.windows.net/path
            if not any(name in config for name in ("account_name", "azure_storage_account_name")):
                config["account_name"] = account.split(".")[0]
            # The service's name stands behind the container in addresses of Hadoop's driver only.
            bucket = container
        check_azure_credentials(uri, config)
    return ClientPlan(service, bucket, path.strip("/") or None, config, client_options, retry)


def open_client(uri: str, options: Mapping[str, object]) -> ObjectStore:
    """Client of a prefix, from the storage options that hold for the whole project; nothing is requested.

    Raises
    ------
    UsageError
        An option is not known to the client, an endpoint is no address, or the address carries a password, which tables
        and logs would show.
    StoreAccessError
        No credentials are to be had.
    """
    plan = plan_client(uri, options)
    client, retry, config = plan.client_options, plan.retry, plan.config
    try:
        if plan.service == "web":
            return HTTPStore.from_url(uri, client_options=client, retry_config=retry)
        if plan.service == "s3":
            return S3Store(
                plan.bucket,
                prefix=plan.prefix,
                config=cast("S3Config", config),
                client_options=client,
                retry_config=retry,
            )
        if plan.service == "gcs":
            return GCSStore(
                plan.bucket,
                prefix=plan.prefix,
                config=cast("GCSConfig", config),
                client_options=client,
                retry_config=retry,
            )
        return AzureStore(
            plan.bucket,
            prefix=plan.prefix,
            config=cast("AzureConfig", config),
            client_options=client,
            retry_config=retry,
        )
    except UnknownConfigurationKeyError as error:
        raise UsageError(f"{uri}: unknown storage option ({first_line(error)}).") from error
    except (BaseError, ValueError, TypeError) as error:
        raise StoreAccessError(f"{uri}: the store cannot be opened ({first_line(error)}).") from error


def _sort_options(
    service: str, options: Mapping[str, object]
) -> tuple[ClientConfig, dict[str, object], RetryConfig]:
    """Split options into those of the HTTP client, those of the service, and what is tried again how often."""
    named = {name.lower(): value for name, value in options.items()}
    chosen = {name: value for name, value in named.items() if name in _CLIENT_OPTIONS}
    client_options = cast("ClientConfig", {**_CLIENT_DEFAULTS, **chosen})
    config = {
        name: value
        for name, value in named.items()
        if name not in _CLIENT_OPTIONS | _OWN_OPTIONS and _service_of(name) in (None, service)
    }
    retry: RetryConfig = {**_RETRY, "max_retries": int(str(named.get("max_retries", _RETRY["max_retries"])))}
    return client_options, config, retry


def _service_of(option: str) -> str | None:
    return next((_SERVICE_PREFIXES[start] for start in _SERVICE_PREFIXES if option.startswith(start)), None)


def _take_endpoint(
    uri: str, service: str, config: Mapping[str, object], client_options: ClientConfig
) -> None:
    """Allow an endpoint that is given as ``http://`` (MinIO, Azurite, tests): it was meant that way.

    UsageError where it is no address: the client would end the process with it, at the first request.
    """
    given = {name: config[name] for name in _ENDPOINTS[service] if name in config}
    for name in (name.upper() for name in _ENDPOINTS[service] if _service_of(name) == service):
        if name in os.environ:
            given[name] = os.environ[name]
    for name, endpoint in given.items():
        if isinstance(endpoint, str) and not endpoint.lower().startswith(("http://", "https://")):
            raise UsageError(
                f"{uri}: the storage option {name} is {endpoint!r}; expected an address that begins with https:// or "
                "http://. Write it in full, or unset the variable where the service's own address is meant."
            )
    endpoint = next(filter(None, given.values()), None)
    if isinstance(endpoint, str) and endpoint.lower().startswith("http://"):
        client_options.setdefault("allow_http", True)


def first_line(error: Exception) -> str:
    """The client's message on one line, without its debugging output."""
    # obstore appends Rust's debug output, which repeats the request with its headers.
    return " ".join(str(error).split("\n\nDebug source")[0].split())[:400]


def as_access_error(error: BaseError | OSError, where: str) -> StoreError:
    """Give one of the project's errors, without the client's own debugging output."""
    if isinstance(error, StoreError):
        return error
    text = first_line(error)
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError, PermissionError)) or any(
        sign in text for sign in ("SignatureDoesNot", "403 Forbidden", "401 Unauthorized")
    ):
        return StoreAccessError(
            f"{where}: access denied ({text}). Check the credentials, or set skip_signature for a public bucket."
        )
    # Before "not found" in general: an absent key is an answer, an absent bucket a mistake.
    if "NoSuchBucket" in text or "ContainerNotFound" in text:
        return StoreNotFoundError(f"{where}: no such bucket ({text}).")
    if isinstance(error, (NotFoundError, FileNotFoundError)):
        return KeyMissingError(f"{where}: no such object.")
    if isinstance(error, (NotSupportedError, NotImplementedError)):
        return UnsupportedStoreError(f"{where}: the server cannot do this ({text}).")
    if "credential" in text.lower() or "169.254.169.254" in text or "metadata.google" in text:
        return StoreAccessError(
            f"{where}: no usable credentials ({text}). Set them in the environment, or skip_signature for a "
            "public bucket (BIOIMAGE_STORAGE_SKIP_SIGNATURE=true)."
        )
    return CorruptStoreError(f"{where}: the request failed after retries ({text}).")
