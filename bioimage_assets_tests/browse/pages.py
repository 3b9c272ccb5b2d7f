"""A page of the browser that is open in a tab: where it goes, and what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np

from bioimage_assets_tests.builders.browser import Tab

HAS_FAILED = "!document.getElementById('trouble').hidden"


@dataclass(frozen=True)
class BrowsePage:
    """The page at ``url`` in a tab."""

    tab: Tab
    url: str

    def open(self, *parts: str, cell: str | None = None, until: str = "true") -> None:
        """Open the view of a route anew and wait until it is there and an expression is true."""
        route = "/".join(quote(part, safe="") for part in parts)
        asked = "" if cell is None else f"?cell={quote(cell, safe='')}"
        self.tab.call("Page.navigate", url="about:blank")
        self.tab.call("Page.navigate", url=f"{self.url}#/{route}{asked}")
        self.tab.wait("document.querySelector('#view h1') !== null")
        self.tab.wait(until)

    def open_field(self, plate_key: str, image_id: str, cell: str | None = None) -> None:
        """Open a field of view and wait for its pixels, and for those of a cell."""
        shown = "document.querySelector('.viewer canvas')?.dataset.state === 'complete'"
        if cell is not None:
            shown += " && document.querySelector('.details')?.crop"
        self.open("plate", plate_key, "image", image_id, cell=cell, until=f"Boolean({shown})")

    def texts(self, selector: str) -> list[str]:
        """Text of the elements that a selector finds."""
        found = self.tab.ask(f"[...document.querySelectorAll({selector!r})].map((one) => one.textContent)")
        assert isinstance(found, list)
        return found

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a list as a person does."""
        self.tab.ask(
            f"(() => {{ const one = document.querySelector({selector!r}); one.value = {value!r};"
            " one.dispatchEvent(new Event('change')); return 1; })()"
        )

    def click_on(self, selector: str) -> None:
        """Click on the middle of an element, brought into view."""
        y, x = self.tab.ask(
            f"(() => {{ const one = document.querySelector({selector!r}); one.scrollIntoView({{ block: 'center' }});"
            " const { top, left, height, width } = one.getBoundingClientRect(); return [top + height / 2, left + width / 2]; })()"
        )
        self.tab.click(x, y)

    def read_canvas(self, selector: str) -> np.ndarray:
        """What a canvas shows: (y, x, 3) of 0 to 255; all of it is opaque."""
        height, width, values = self.tab.ask(
            f"(() => {{ const one = document.querySelector({selector!r}), copy = new OffscreenCanvas(one.width, one.height);"
            " const context = copy.getContext('2d', { willReadFrequently: true }); context.drawImage(one, 0, 0);"
            " return [one.height, one.width, Array.from(context.getImageData(0, 0, one.width, one.height).data)]; })()"
        )
        pixels = np.array(values, np.uint8).reshape(height, width, 4)
        assert (pixels[..., 3] == 255).all()
        return pixels[..., :3]

    def read_crop(self) -> np.ndarray:
        """Samples of the chosen cell as the page has them: (channel, y, x)."""
        shape, planes = self.tab.ask(
            "(({ height, width, planes }) => [[height, width], planes.map((samples) => Array.from(samples))])(document.querySelector('.details').crop)"
        )
        return np.array(planes).reshape(len(planes), *shape)


def mix(pixels: np.ndarray, channels: Sequence[dict], shown: Sequence[int]) -> np.ndarray:
    """Colours that some channels of (channel, y, x) have together, written from docs/browse.md: (y, x, 3) of 0 to 255."""
    total = np.zeros((*pixels.shape[1:], 3))
    for number in shown:
        channel = channels[number]
        colour = np.array([int(channel["color"][at : at + 2], 16) / 255 for at in (0, 2, 4)])
        share = (pixels[number].astype(np.float64) - channel["min"]) / (channel["max"] - channel["min"])
        total += np.clip(share, 0, 1)[..., None] * colour
    divisor = max(1.0, 0.75 * np.sqrt(len(channels))) if len(shown) > 1 else 1.0
    return np.round(np.clip(total / divisor * 255, 0, 255)).astype(np.uint8)
