"""`browse`: the plates of the project in a web browser, with the pixels of every field and cell."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING, Annotated

import click

from bioimage_assets.cli.command import command, flag, option
from bioimage_assets.cli.options import FollowSymlinks, Json
from bioimage_assets.cli.output import print_json, print_progress
from bioimage_assets.core.errors import UsageError

if TYPE_CHECKING:
    from bioimage_assets.browse.serve import Started

_SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
_SHARED = (
    "Everybody who can reach port {port} of this machine and knows the address sees all images and measurements of this "
    "project, without encryption. The token in the address is all that protects them."
)


@command
def browse(
    plate: Annotated[str | None, option("PLATE", "open this plate: DATASET/PLATE")] = None,
    well: Annotated[str | None, option("WELL", "open this well of the plate")] = None,
    cell: Annotated[str | None, option("OBJECT", "open this cell: its Metadata_ObjectID")] = None,
    port: Annotated[
        int | None,
        option("N", "port (default: that of BIOIMAGE_BROWSE_URL, else 8765)", type=click.IntRange(0, 65535)),
    ] = None,
    host: Annotated[
        str, option("HOST", "listen here; another one than this machine's own lets others in")
    ] = "127.0.0.1",
    follow_symlinks: FollowSymlinks = False,
    no_open: Annotated[bool, flag("do not open a web browser")] = False,
    as_json: Json = False,
) -> None:
    """Look at the plates: a web page on this machine with every well, field and cell.

    Reads what is stored and changes nothing. Ends with Ctrl-C.

    Examples:
        bioimage-assets browse
        bioimage-assets browse --plate screen-a/SA-P1 --well B03
    """
    from bioimage_assets.browse.access import is_loopback
    from bioimage_assets.browse.find_start import check_start
    from bioimage_assets.browse.serve import Start, serve
    from bioimage_assets.core.settings.project import read_project_settings

    if well and not plate:
        raise UsageError("--well needs --plate.")
    settings = read_project_settings()
    start = check_start(settings, Start(host, port, plate, well, cell))

    def tell(started: Started) -> None:
        if started.has_moved:
            print_progress(
                f"Port {started.wanted_port} is in use, this is port {started.port}. Links in reports and tables lead to port "
                f"{started.wanted_port}."
            )
        if not is_loopback(host):
            print_progress(f"Warning: {_SHARED.format(port=started.port)}")
        if as_json:
            print_json({"url": started.url, "port": started.port})
        else:
            print(started.url)
        print_progress("Ctrl-C ends it.")
        if not no_open:
            _open(started)

    serve(settings, start, tell)
    print_progress("Ended.")


def _open(started: Started) -> None:
    """Open the address where there is a screen: a browser of the terminal would take the terminal."""
    if sys.platform not in ("darwin", "win32") and not any(map(os.environ.get, _SCREENS)):
        port = started.port
        print_progress(
            f"There is no screen here. From another machine: ssh -L {port}:127.0.0.1:{port} <this machine>, and open the address there."
        )
        return
    # Starting a browser may take seconds, in which the page is asked for already.
    threading.Thread(target=webbrowser.open, args=(started.url,), daemon=True).start()
