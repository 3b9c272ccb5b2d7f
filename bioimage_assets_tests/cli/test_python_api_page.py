"""The examples of ``docs/python-api.md`` run as they stand and give what the page says; it misses no public name."""

from __future__ import annotations

import doctest
import inspect
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from bioimage_assets import api
from bioimage_assets_tests.builders.tiff_files import write_taken
from bioimage_assets_tests.builders.zarr_plates import write_pixel_plate
from bioimage_assets_tests.core.catalog.stores import write_tiff

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python-api.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_example_gives_what_the_page_says(stores):
    write_pixel_plate(stores / "plate.ome.zarr")
    write_tiff(stores / "image.ome.tiff")
    write_taken(stores / "taken.ome.tiff")
    blocks = BLOCK.findall(PAGE.read_text())
    if find_spec("ome_arrow") is None:
        blocks = [block for block in blocks if "needs: ome-arrow" not in block]
    examples = [example for block in blocks for example in doctest.DocTestParser().get_examples(block)]
    assert len(examples) > 50
    test = doctest.DocTest(examples, {}, "python-api.md", str(PAGE), 0, None)
    log: list[str] = []
    failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=log.append).failed
    assert not failed, "".join(log)


def test_every_public_function_has_an_example():
    code = "\n".join(BLOCK.findall(PAGE.read_text()))
    functions = [name for name in api.__all__ if inspect.isfunction(getattr(api, name))]
    assert len(functions) > 40
    assert [name for name in functions if f"bia.{name}(" not in code] == []
