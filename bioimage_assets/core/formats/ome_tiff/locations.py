"""Folder and key of a file's URI, and back; only ``file://`` URIs quote their keys."""

from __future__ import annotations

from urllib.parse import quote, unquote

from bioimage_assets.core.stores.open import split_file_uri


def _is_quoted(uri: str) -> bool:
    return uri.lower().startswith("file://")


def split_location(uri: str) -> tuple[str, str]:
    """Folder of a file for ``open_store``, and the file's key in it."""
    folder, name = split_file_uri(uri)
    return folder, unquote(name) if _is_quoted(folder) else name


def build_file_uri(folder_uri: str, key: str) -> str:
    """URI of a file from its folder and key."""
    return f"{folder_uri.rstrip('/')}/{quote(key) if _is_quoted(folder_uri) else key}"


def key_below(folder_uri: str, uri: str) -> str:
    """Key of a file below a folder; empty where the URI is the folder itself."""
    folder = folder_uri.rstrip("/")
    if uri.rstrip("/") == folder:
        return ""
    path = uri.removeprefix(folder + "/")
    return unquote(path) if _is_quoted(folder_uri) else path
