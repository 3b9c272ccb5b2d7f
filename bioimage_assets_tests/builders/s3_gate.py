"""A door before an S3 server that counts every request, sees those that change something, and may refuse them."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>403 Forbidden by the door</Message></Error>"
_HOP = {"connection", "transfer-encoding", "keep-alive"}


class Gate:
    """Where the door is, and what it has seen; ``decide`` tells by number and name whether a change is refused.

    ``counts`` are all requests by their method, listings as LIST.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.address = ""
        self.seen: list[str] = []
        self.counts: Counter[str] = Counter()
        self.decide: Callable[[int, str], bool] = lambda number, name: False
        self._lock = threading.Lock()

    def is_refused(self, name: str) -> bool:
        """Count one change."""
        with self._lock:
            self.seen.append(name)
            return self.decide(len(self.seen), name)

    def count(self, method: str, path: str) -> None:
        """Count one request of any kind."""
        with self._lock:
            self.counts["LIST" if "list-type=" in path else method] += 1

    def watch(self, decide: Callable[[int, str], bool]) -> None:
        """Begin to count anew."""
        with self._lock:
            self.seen, self.counts, self.decide = [], Counter(), decide


@contextmanager
def run_gate(upstream: str) -> Iterator[Gate]:
    """Open a door on a loopback port."""
    gate = Gate(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _build_handler(gate))
    gate.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield gate
    finally:
        server.shutdown()
        server.server_close()


def _build_handler(gate: Gate) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Or head and body of an answer wait for each other's acknowledgement, 40 ms each time.
        wbufsize = 1 << 16
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            gate.count(self.command, self.path)
            is_change = self.command in ("PUT", "POST", "DELETE")
            if is_change and gate.is_refused(f"{self.command} {urlsplit(self.path).path}"):
                self._answer(403, {"Content-Type": "application/xml"}, _DENIED)
                return
            upstream = HTTPConnection(gate.upstream, timeout=60)
            # With the address that the client knows, since it is part of what the client signed.
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body or None)
            answer = upstream.getresponse()
            content = answer.read()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            self._answer(answer.status, headers, content)
            upstream.close()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() != "content-length" or self.command == "HEAD":
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler
