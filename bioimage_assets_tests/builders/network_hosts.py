"""Hosts on one machine: processes with a host name, an address and a loopback of their own, joined by a bridge."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """A network namespace; commands started through ``prefix`` have its address and name."""

    name: str
    namespace: str
    address: str

    @property
    def prefix(self) -> list[str]:
        """Words before a command that is to run on the host."""
        enter = ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "--"]
        return [*enter, "sh", "-c", 'hostname "$0"; exec "$@"', self.name]


@dataclass(frozen=True)
class Network:
    """The hosts, and the address under which they reach servers of this machine."""

    gateway: str
    hosts: tuple[Host, ...]


@contextmanager
def run_network(count: int) -> Iterator[Network]:
    """Make hosts that see each other and this machine, and nothing else; RuntimeError says why it is not possible."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        raise RuntimeError("network namespaces need root, ip (apt-get install iproute2) and unshare")
    mark = f"{os.getpid() % 100_000:x}"
    bridge, subnet = f"br{mark}", f"10.83.{os.getpid() % 250}"
    hosts = tuple(
        Host(f"worker-{number}", f"bioimage-{mark}-{number}", f"{subnet}.{10 + number}")
        for number in range(1, count + 1)
    )
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("address", "add", f"{subnet}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for number, host in enumerate(hosts):
            outside = f"v{mark}{number}"
            _ip("netns", "add", host.namespace)
            _ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
            _ip("link", "set", outside, "master", bridge, "up")
            _ip("-netns", host.namespace, "link", "set", "lo", "up")
            _ip("-netns", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
            _ip("-netns", host.namespace, "link", "set", "eth0", "up")
        yield Network(f"{subnet}.1", hosts)
    finally:
        for host in hosts:  # takes its end of the cable with it, and with that the other
            subprocess.run(["ip", "netns", "delete", host.namespace], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", bridge], capture_output=True, check=False)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"this machine does not permit networks of its own: {done.stderr.strip()}")
