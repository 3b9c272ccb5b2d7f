"""The server of `browse` in a thread of this process, so that what it reads can be counted; and requests as they are written."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

import uvicorn

from bioimage_assets.browse.access import Access
from bioimage_assets.browse.app import build_app
from bioimage_assets.browse.serve import bind, build_access
from bioimage_assets.core.settings.project import ProjectSettings


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers in small letters, and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """The body of an answer of JSON."""
        found: dict[str, object] = json.loads(self.body)
        return found


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens."""

    port: int
    access: Access

    @property
    def base(self) -> str:
        """Path of the first page."""
        return f"/t/{self.access.token}/"

    @property
    def url(self) -> str:
        """Address of the first page."""
        return f"http://127.0.0.1:{self.port}{self.base}"

    def ask(self, path: str, headers: Mapping[str, str] | None = None, *, method: str = "GET") -> Answer:
        """Send a path exactly as it is written."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(
                method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True
            )
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **parameters: object) -> Answer:
        """Ask for something behind the token."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        return self.ask(f"{self.base}{path}{query}")


@contextmanager
def run_in_thread(settings: ProjectSettings, host: str = "127.0.0.1") -> Iterator[Server]:
    """Serve a project for a block."""
    with bind(host, 0) as listener:
        port = int(listener.getsockname()[1])
        access = build_access(settings, host, port)
        app = build_app(settings, access)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield Server(port, access)
        finally:
            server.should_exit = True
            thread.join(10)
