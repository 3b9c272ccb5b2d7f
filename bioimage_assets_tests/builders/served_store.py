"""A Zarr store served over HTTP, as any web server serves files: what readers that know addresses alone are given."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync


@contextmanager
def serve_store(store: Store, name: str = "plate.zarr") -> Iterator[str]:
    """Serve every key of a store below ``/<name>/`` on loopback; gives the address of its root."""
    handler = type("Handler", (_Handler,), {"store": store, "prefix": f"/{name}/"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{name}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    store: Store
    prefix: str

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, with_body: bool) -> None:
        path = unquote(self.path)
        found = None
        if path.startswith(self.prefix):
            key = path.removeprefix(self.prefix)
            found = sync(self.store.get(key, default_buffer_prototype())) if key else None
        body = b"" if found is None else found.to_bytes()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)
