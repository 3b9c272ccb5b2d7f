"""What an object-store client needs to sign requests, or a clear error where nothing is to be had.

Source of truth: https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html. Without
this check a laptop would wait for the metadata service of a cloud machine that it is not.
"""

from __future__ import annotations

import configparser
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from bioimage_assets.core.errors import StoreAccessError

_METADATA_SERVICE = ("169.254.169.254", 80)
_METADATA_WAIT_S = 0.5
_OPTION_NAMES = {"access_key_id", "aws_access_key_id", "skip_signature", "aws_skip_signature"}
_ENVIRONMENT = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SKIP_SIGNATURE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


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
