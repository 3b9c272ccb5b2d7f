"""The examples of ``docs/virtual-plates.md`` run as they stand there."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import tifffile

from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, write_named
from bioimage_assets_tests.core.room_picture import ROOT
from bioimage_assets_tests.core.virtual.virtual_oracle import scramble

PAGE = ROOT / "docs" / "virtual-plates.md"


def test_the_examples_run_and_give_the_pixels(tmp_path: Path):
    folder = write_named(tmp_path / "screen" / "BR1", imagexpress_name)
    scramble(folder)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.S)
    assert len(blocks) == 3
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that reference:// does not know
        for block in blocks:
            code = block.replace("data/incoming/screen-b/SB-P1", str(folder))
            code = code.replace("virtual/SB-P1.json", str(tmp_path / "SB-P1.json"))
            exec(compile(code, str(PAGE), "exec"), names)
    expected = tifffile.imread(folder / imagexpress_name("A01", 1, 1))
    code = (
        "ours = xarray.open_zarr(store, group='A/1/1', consolidated=False)['0'].values\n"
        "plain = zarr.open_group('reference://', mode='r', zarr_format=3, storage_options=fo)['A/1/1/0'][...]"
    )
    exec(code, names)
    for name in ("ours", "plain"):
        np.testing.assert_array_equal(np.asarray(names[name])[0], expected)
