"""Turns away what is not meant for the server before any page, table or pixel is looked at, and marks every answer.

Headers: https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bioimage_assets.browse.access import Access

# The page is files of this package: nothing of it is inline, nothing comes from elsewhere.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; worker-src 'self' blob:; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Reports have their styles and pictures inside, and no scripts.
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
NOT_FOUND = "Not found."
PIXELS = "/zarr/"
"""Begins the paths that viewers on other sites may read."""
_READ_METHODS = ("GET", "HEAD")
_ALWAYS = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """ASGI middleware: the Host header, the token and the method, in this order; ``scope['path']`` loses the token's part."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refusal = self._refuse(scope)
        is_pixels = scope["path"].startswith(PIXELS)

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                _mark(MutableHeaders(scope=message), is_shared=is_pixels and refusal is None)
            await send(message)

        await (refusal or self._app)(scope, receive, send_marked)

    def _refuse(self, scope: Scope) -> Response | None:
        """The answer to a request that goes no further; else the path as the routes know it is put in its place."""
        if not self._access.is_host(Headers(scope=scope).get("host")):
            return PlainTextResponse("This server answers to the names of its own machine only.", 403)
        path: str = scope["path"]
        if path != "/go":
            inside = self._find_path_inside(path)
            if inside is None and self._access.is_token(path.removeprefix("/t/")):
                return RedirectResponse(f"{self._access.token}/", 308)  # an address that lost its last slash
            if inside is None:
                return PlainTextResponse(NOT_FOUND, 404)
            scope["path"], scope["raw_path"] = inside, quote(inside).encode()
        is_preflight = scope["method"] == "OPTIONS" and scope["path"].startswith(PIXELS)
        if scope["method"] not in _READ_METHODS and not is_preflight:
            return PlainTextResponse("Only GET and HEAD.", 405, {"Allow": "GET, HEAD"})
        return None

    def _find_path_inside(self, path: str) -> str | None:
        """The path behind the token; None where the token is wrong, or none is there."""
        first, _, rest = path.removeprefix("/").partition("/")
        token, slash, inside = rest.partition("/")
        if first == "t" and slash and self._access.is_token(token):
            return f"/{inside}"
        if first == "z" and self._is_plate_path(token, inside):
            return f"{PIXELS}{inside}"
        return None

    def _is_plate_path(self, token: str, inside: str) -> bool:
        dataset, _, rest = inside.partition("/")
        plate = rest.partition("/")[0].removesuffix(".zarr")
        return self._access.is_plate_token(token, f"{dataset}/{plate}")


def _mark(headers: MutableHeaders, *, is_shared: bool) -> None:
    for name, value in _ALWAYS.items():
        headers[name] = value
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    headers.setdefault("Cache-Control", "no-store")
    if is_shared:
        headers["Access-Control-Allow-Origin"] = "*"
        headers["Access-Control-Expose-Headers"] = "Content-Length, Content-Range, Accept-Ranges, ETag"
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    else:
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
