"""Starts the server on a free port of this machine, says where it is, and ends it with Ctrl-C."""

from __future__ import annotations

import errno
import ipaddress
import socket
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import uvicorn

from bioimage_assets.browse.access import LOOPBACK_NAMES, Access, is_loopback, make_token
from bioimage_assets.browse.app import build_app
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.settings.project import ProjectSettings

TRIED_PORTS = 20
_STOP_AFTER_S = 2  # answers that are under way when Ctrl-C comes


@dataclass(frozen=True, slots=True)
class Start:
    """Where and on what the server starts; ``plate``, ``well``, ``image`` and ``cell`` are what the page opens with."""

    host: str = "127.0.0.1"
    port: int | None = None
    plate: str | None = None
    well: str | None = None
    cell: str | None = None
    image: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A server that listens: its address with token, and its port where another one was taken."""

    url: str
    port: int
    wanted_port: int

    @property
    def has_moved(self) -> bool:
        """Whether the port that was wanted is taken."""
        return self.wanted_port not in (0, self.port)


def serve(settings: ProjectSettings, start: Start, tell: Callable[[Started], None]) -> None:
    """Listen until Ctrl-C; ``tell`` is called once the server answers.

    Raises
    ------
    UsageError
        No port is free, or the host is none of this machine.
    """
    # Of codecs by which chunks are decoded here, before anybody else sees them.
    warnings.filterwarnings("ignore", "Numcodecs codecs are not in the Zarr version 3 specification")
    wanted = find_port(settings) if start.port is None else start.port
    listener = bind(start.host, wanted)
    with listener:
        port = int(listener.getsockname()[1])
        access = build_access(settings, start.host, port)
        config = uvicorn.Config(
            build_app(settings, access),
            log_level="warning",
            access_log=False,  # addresses hold the token
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_STOP_AFTER_S,
            lifespan="on",
            ws="none",  # no page asks for one, and old releases warn of the library that they would load
        )
        url = f"http://{_name(_reach(start.host))}:{port}/t/{access.token}/{build_route(start)}"
        with suppress(KeyboardInterrupt):  # raised again once the answers under way are given
            _Server(config, lambda: tell(Started(url, port, wanted))).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Says that it is there once it answers."""

    def __init__(self, config: uvicorn.Config, tell: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = tell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell()


def find_port(settings: ProjectSettings) -> int:
    """Port of the address that links name (``BIOIMAGE_BROWSE_URL``)."""
    return urlsplit(settings.browse_url).port or 8765


def build_access(settings: ProjectSettings, host: str, port: int) -> Access:
    """A new token, and the names under which requests may come: loopback's, and that of ``BIOIMAGE_BROWSE_URL``."""
    address = urlsplit(settings.browse_url)
    names = {*LOOPBACK_NAMES, _name(host).lower()}
    if address.hostname and not is_loopback(address.hostname):
        names |= {address.hostname.lower(), address.netloc.lower()}
    return Access(
        make_token(), port, frozenset(names), address.path.rstrip("/"), any_host=not is_loopback(host)
    )


def build_route(start: Start) -> str:
    """The part of the address that opens the page at a plate, well or cell."""
    if not start.plate:
        return ""
    base = f"#/plate/{quote(start.plate, safe='')}"
    if start.image and start.cell:
        return f"{base}/image/{quote(start.image, safe='')}?cell={quote(start.cell, safe='')}"
    if start.well:
        return f"{base}/well/{quote(start.well, safe='')}"
    return base


def bind(host: str, port: int) -> socket.socket:
    """A listening socket at this port or one of the next; UsageError where none of them is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in range(port, port + TRIED_PORTS) if port else [0]:
        if number > 65535:
            break
        listener = socket.socket(family)
        # As servers do: a port that was closed a moment ago is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
            listener.listen()
        except OSError as error:
            listener.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise UsageError(
                    f"{host} cannot be listened on ({error.strerror}); it is no address of this machine."
                ) from error
            continue
        return listener
    raise UsageError(
        f"Ports {port} to {port + TRIED_PORTS - 1} of {host} are in use; name another one with --port."
    )


def _reach(host: str) -> str:
    """A name under which others reach this machine, for the address that means all of its own."""
    return socket.gethostname() if host in ("0.0.0.0", "::") else host


def _name(host: str) -> str:
    """A host as it stands in an address."""
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host
