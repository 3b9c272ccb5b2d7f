"""What an object-store client needs to sign requests, or a clear error where nothing is to be had.

Sources of truth: https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html,
https://cloud.google.com/docs/authentication/application-default-credentials and the variables that obstore documents
for Azure. Without these checks a laptop would wait for the metadata service of a cloud machine that it is not.
"""

from __future__ import annotations

import configparser
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from bioimage_assets.core.errors import StoreAccessError

_METADATA_SERVICE = ("169.254.169.254", 80)
# The service answers within milliseconds where there is one; elsewhere nothing ever does.
_METADATA_WAIT_S = 0.5
_OPTION_NAMES = {"access_key_id", "aws_access_key_id", "skip_signature", "aws_skip_signature"}
_ENVIRONMENT = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SKIP_SIGNATURE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)

_GCS_OPTIONS = (
    "service_account", "service_account_key", "service_account_path", "application_credentials", "bearer_token",
    "skip_signature",
)  # fmt: skip
_GCS_ENVIRONMENT = (
    "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_BEARER_TOKEN", "GOOGLE_SKIP_SIGNATURE",
)  # fmt: skip
_GCS_LOGIN_FILE = "~/.config/gcloud/application_default_credentials.json"
_AZURE_OPTIONS = (
    "account_key", "access_key", "master_key", "sas_key", "sas_token", "token", "bearer_token", "client_id", "client_secret",
    "federated_token_file", "msi_endpoint", "identity_endpoint", "use_azure_cli", "use_emulator", "skip_signature",
    "fabric_token_service_url", "fabric_session_token",
)  # fmt: skip


def read_s3_credentials(uri: str, options: Mapping[str, object]) -> dict[str, str]:
    """Give keys of the shared credentials file where neither options nor environment name any.

    Raises
    ------
    StoreAccessError
        There are no credentials, and no cloud machine's metadata service to ask.
    """
    if _OPTION_NAMES & {name.lower() for name in options} or any(
        os.environ.get(name) for name in _ENVIRONMENT
    ):
        return {}
    shared = _read_shared_file()
    if shared or _has_metadata_service():
        return shared
    raise StoreAccessError(
        f"{uri}: no credentials for S3. For a public bucket set the storage option skip_signature "
        "(BIOIMAGE_STORAGE_SKIP_SIGNATURE=true); else set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    )


def check_gcs_credentials(uri: str, options: Mapping[str, object]) -> None:
    """Raise StoreAccessError where neither options nor environment nor a login say who asks, and no cloud machine is here."""
    if (
        any(name in options or f"google_{name}" in options for name in _GCS_OPTIONS)
        or any(os.environ.get(name) for name in _GCS_ENVIRONMENT)
        or Path(_GCS_LOGIN_FILE).expanduser().exists()
        or _has_metadata_service()
    ):
        return
    raise StoreAccessError(
        f"{uri}: no credentials for Google Cloud Storage. For a public bucket set the storage option skip_signature "
        "(BIOIMAGE_STORAGE_SKIP_SIGNATURE=true); else set GOOGLE_APPLICATION_CREDENTIALS to a key file."
    )


def check_azure_credentials(uri: str, options: Mapping[str, object]) -> None:
    """Raise StoreAccessError where neither options nor environment say who asks, and no cloud machine is here."""
    starts = ("", "azure_storage_", "azure_")
    if (
        any(start + name in options for name in _AZURE_OPTIONS for start in starts)
        or any(os.environ.get((start + name).upper()) for name in _AZURE_OPTIONS for start in starts[1:])
        or _has_metadata_service()
    ):
        return
    raise StoreAccessError(
        f"{uri}: no credentials for Azure. For a public container set the storage option skip_signature "
        "(BIOIMAGE_STORAGE_SKIP_SIGNATURE=true); else set AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN."
    )


def _read_shared_file() -> dict[str, str]:
    path = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path)
    except (configparser.Error, OSError, UnicodeDecodeError):
        return {}
    profile = os.environ.get("AWS_PROFILE") or "default"
    if not parser.has_section(profile):
        return {}
    names = {
        "aws_access_key_id": "access_key_id",
        "aws_secret_access_key": "secret_access_key",
        "aws_session_token": "token",
    }
    section = parser[profile]
    return {option: section[name] for name, option in names.items() if section.get(name)}


def _has_metadata_service() -> bool:
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    try:
        socket.create_connection(_METADATA_SERVICE, timeout=_METADATA_WAIT_S).close()
    except OSError:
        return False
    return True
