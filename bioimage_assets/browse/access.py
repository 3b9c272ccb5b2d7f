"""Who may ask the server: whoever knows the token in its address, through a name that is this machine's own.

A page of another site can neither guess the token nor pretend that its name is this machine's (DNS rebinding):
https://owasp.org/www-community/attacks/DNS_Rebinding
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass

TOKEN_BYTES = 24
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Access:
    """What lets a request in.

    Parameters
    ----------
    token
        Random text in the path of every address, new with each start.
    port
        Port that the server listens on.
    names
        Hosts that a request may name, with an IPv6 address in brackets; loopback's own are always among them.
    path_prefix
        What a proxy in front of the server takes away from paths, without a slash at its end.
    any_host
        Whether every name is let in: only where the server listens beyond this machine on request.
    """

    token: str
    port: int
    names: frozenset[str] = frozenset(LOOPBACK_NAMES)
    path_prefix: str = ""
    any_host: bool = False

    def is_token(self, given: str) -> bool:
        """Compare in a time that says nothing about the token."""
        return _is_same(given, self.token)

    def is_plate_token(self, given: str, plate_key: str) -> bool:
        """Whether a token opens the pixels of this plate, and nothing else."""
        return _is_same(given, self.plate_token(plate_key))

    def plate_token(self, plate_key: str) -> str:
        """A token for one plate's pixels, which viewers on other sites may know; the token itself cannot be told from it."""
        return self._derive(f"plate {plate_key}")

    @property
    def cookie_name(self) -> str:
        """Cookies of one machine are shared by all its ports, so the port is in the name."""
        return f"bioimage_browse_{self.port}"

    @property
    def cookie_value(self) -> str:
        """What the browser that opened the first page is known by."""
        return self._derive("cookie")

    def is_cookie(self, given: str) -> bool:
        """Whether the browser has opened the first page of this server."""
        return _is_same(given, self.cookie_value)

    def is_host(self, header: str | None) -> bool:
        """Whether a Host header names this machine."""
        if self.any_host:
            return True
        if not header:
            return False
        name, port = split_host(header.lower())
        return (name in self.names and port in ("", str(self.port))) or header.lower() in self.names

    def _derive(self, purpose: str) -> str:
        return hmac.new(self.token.encode(), purpose.encode(), hashlib.sha256).hexdigest()[:32]


def make_token() -> str:
    """A new token that nobody can guess."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def split_host(text: str) -> tuple[str, str]:
    """Host and port of a Host header; the port is empty where none is given.

    >>> split_host("127.0.0.1:8765"), split_host("[::1]"), split_host("localhost")
    (('127.0.0.1', '8765'), ('[::1]', ''), ('localhost', ''))
    """
    head, colon, tail = text.rpartition(":")
    if not colon or tail.endswith("]"):
        return text, ""
    return head, tail


def is_loopback(host: str) -> bool:
    """Whether a host to listen on is reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
