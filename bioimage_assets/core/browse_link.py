"""The address at which `bioimage-assets browse` shows a plate, a well, an image or a cell.

``/go`` needs no token: it leads a browser that has opened the page before to the place in it, and tells others what to type.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

PATH = "go"
# What somebody who follows such a link has to know.
NEEDS = "Links to pixels open while 'bioimage-assets browse' runs."


def build_browse_url(
    base_url: str,
    plate_key: str | None,
    *,
    well_id: str | None = None,
    image_id: str | None = None,
    object_id: str | None = None,
) -> str:
    """Address of what is named most narrowly; every part is percent-encoded, whatever characters an id holds.

    ``base_url`` is that of the server, without a slash at its end (the setting ``BIOIMAGE_BROWSE_URL``). Without a plate the
    cell's id says which.

    >>> build_browse_url("http://127.0.0.1:8765", "screen/P1", well_id="B03")
    'http://127.0.0.1:8765/go?dataset=screen&plate=P1&well=B03'
    >>> build_browse_url("http://127.0.0.1:8765", "screen/P1", object_id="screen/P1/1/7 & 8")
    'http://127.0.0.1:8765/go?dataset=screen&plate=P1&cell=screen%2FP1%2F1%2F7%20%26%208'
    """
    dataset, found, plate = (plate_key or "").partition("/")
    parts = {
        "dataset": dataset if found else None,
        "plate": plate if found else plate_key,
        "well": well_id,
        "image": image_id,
        "cell": object_id,
    }
    asked = {name: value for name, value in parts.items() if value}
    query = urlencode(asked, quote_via=quote, safe="", errors="surrogatepass")
    return f"{base_url}/{PATH}" + (f"?{query}" if query else "")
