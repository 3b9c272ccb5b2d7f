"""Local servers for remote tests: one that answers S3 requests from a folder, counting and delaying them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE_KEYS = 1_000


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


class StandInS3:
    """A bucket that is a folder: GET with ranges and ListObjectsV2; no signature is checked.

    Google Cloud Storage speaks the same XML to its clients; with ``token`` set only they are let in who bring it.
    """

    def __init__(self, root: Path, *, delay_s: float = 0.0) -> None:
        self.root = root
        self.delay_s = delay_s
        self.counts: Counter[str] = Counter()
        self.fail_next = 0
        self.token: str | None = None
        self.status_of_absent = 404  # a bucket that may not be listed says 403
        self._lock = threading.Lock()
        self._http = _Server(("127.0.0.1", 0), self._handler())

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def options(self, **extra: object) -> dict[str, object]:
        """Storage options that reach this server."""
        return {"endpoint": self.endpoint, "skip_signature": "true", "region": "us-east-1", **extra}

    def gcs_options(self, **extra: object) -> dict[str, object]:
        """Storage options with which a Google Cloud Storage client reaches this server."""
        return {"base_url": self.endpoint, "skip_signature": "true", **extra}

    def count(self, kind: str) -> bool:
        """Count one request; True where it should fail."""
        with self._lock:
            self.counts[kind] += 1
            fails = self.fail_next > 0
            self.fail_next -= fails
        if self.delay_s:
            time.sleep(self.delay_s)
        return fails

    @contextmanager
    def running(self) -> Iterator[StandInS3]:
        thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()

    def list_page(self, query: dict[str, list[str]]) -> bytes:
        """One ListObjectsV2 page."""
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        after = query.get("continuation-token", [""])[0]
        keys = sorted(
            path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()
        )
        keys = [key for key in keys if key.startswith(prefix)]
        folders: list[str] = []
        if delimiter:
            tails = {key: key[len(prefix) :] for key in keys}
            folders = sorted({prefix + tail.split("/", 1)[0] + "/" for tail in tails.values() if "/" in tail})
            keys = [key for key, tail in tails.items() if "/" not in tail]
        page = [key for key in keys if key > after][:PAGE_KEYS]
        more = bool(page) and page[-1] != keys[-1]
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{(self.root / key).stat().st_mtime_ns}&quot;</ETag>"
            f"<Size>{(self.root / key).stat().st_size}</Size></Contents>"
            for key in page
        )
        items += "".join(
            f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in folders
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        flag = "true" if more else "false"
        return (
            f"<ListBucketResult><IsTruncated>{flag}</IsTruncated>{token}{items}</ListBucketResult>".encode()
        )

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args: object) -> None:
                """Stay quiet."""

            def answer(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                query = parse_qs(url.query)
                if server.count("list" if "list-type" in query else self.command.lower()):
                    self.answer(503, b"<Error><Code>SlowDown</Code></Error>")
                    return
                if server.token and self.headers.get("Authorization") != f"Bearer {server.token}":
                    self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
                    return
                if "list-type" in query and server.status_of_absent == 403:
                    self.answer(403, b"<Error><Code>AccessDenied</Code></Error>")
                    return
                if "list-type" in query:
                    self.answer(200, server.list_page(query))
                    return
                path = server.root / unquote(url.path).lstrip("/").partition("/")[2]
                if not path.is_file():
                    self.answer(server.status_of_absent, b"<Error><Code>NoSuchKey</Code></Error>")
                    return
                body = path.read_bytes()
                headers = {
                    "ETag": f'"{path.stat().st_mtime_ns}"',
                    "Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT",
                }
                asked = self.headers.get("Range")
                if asked is None:
                    self.answer(200, body, **headers)
                    return
                first, _, last = asked.removeprefix("bytes=").partition("-")
                start = int(first) if first else max(0, len(body) - int(last))
                stop = min(len(body), int(last) + 1) if first and last else len(body)
                if start >= len(body):
                    self.answer(416, b"<Error><Code>InvalidRange</Code></Error>")
                    return
                self.answer(
                    206, body[start:stop], Content_Range=f"bytes {start}-{stop - 1}/{len(body)}", **headers
                )

            do_HEAD = do_GET

        return Handler
