"""Says in one line that the port of the UI is in use, before a second daemon starts: ``python -m bioimage_assets.free_port HOST PORT``.

Dagster finds out after its daemon runs; two daemons of one instance would both launch what sensors ask for.
"""

import socket
import sys
from collections.abc import Sequence


def find_use(host: str, port: int) -> str | None:
    """What is in the way of a server at this address, in a sentence; None where nothing is."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do: a port that was closed a moment ago is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return (
                f"Port {port} of {host} cannot be used ({error.strerror}): is the UI running already, at "
                f"http://{host}:{port}? Stop that one, or take another port with: make ui PORT={port + 1}"
            )
    return None


def main(argv: Sequence[str]) -> int:
    """Exit code 1 where the port is in use."""
    found = find_use(argv[0], int(argv[1]))
    if found is not None:
        sys.stderr.write(f"Error: {found}\n")
    return 0 if found is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
