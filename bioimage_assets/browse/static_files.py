"""Files of the page and of the reports: nothing outside of their folders, whatever an address says."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from starlette.responses import Response

from bioimage_assets.browse.answers import NotThereError
from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.stores.files_in_folder import ContainedFolder

PAGE_FOLDER = Path(__file__).parent / "page"
MAX_BYTES = 64 * 2**20
_INDEX = "index.html"
# Some systems' registries say otherwise, and a browser runs no script that is called text.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".md": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}


def answer_file(folder: Path, path: str, policy: str) -> Response:
    """A file below a folder with the policy of its pages; NotThereError for anything else, links out of the folder included."""
    name = path or _INDEX
    try:
        payload = ContainedFolder(folder).get(name, max_bytes=MAX_BYTES)
    except StoreError as error:
        raise NotThereError("There is no such file.") from error
    kind = (
        _TYPES.get(Path(name).suffix.lower()) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    )
    return Response(
        payload,
        headers={"Content-Type": kind, "Content-Security-Policy": policy, "Cache-Control": "no-cache"},
    )
