"""A folder of an ImageXpress, `materialize`, `browse`: the plate is there, with the pixels of its files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import quote

import numpy as np
import orjson
import pytest
import tifffile

from bioimage_assets_tests.builders.processes import end_process
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, write_htd


@pytest.mark.slow
def test_a_new_user_with_an_imagexpress_folder_types_two_commands(tmp_path: Path) -> None:
    plate = tmp_path / "data" / "incoming" / "screen" / "Plate7"
    plate.mkdir(parents=True)
    draw = np.random.default_rng(2)
    for well in ("A01", "A02", "B03"):
        for site in (1, 2):
            for channel in (1, 2, 3):
                pixels = draw.integers(0, 3000, (64, 80), dtype=np.uint16)
                tifffile.imwrite(plate / imagexpress_name(well, site, channel), pixels, metadata=None)
    write_htd(plate / "Plate7.HTD", ("DAPI", "FITC", "Cy3"))
    command = [sys.executable, "-m", "bioimage_assets.cli.main"]
    environment = os.environ | {"BIOIMAGE_QUIET_SECONDS": "0", "BIOIMAGE_PICTURES": "off"}
    said = subprocess.run(
        [*command, "materialize"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "bioimage-assets browse" in said.stdout
    with subprocess.Popen(
        [*command, "browse", "--no-open", "--port", "0", "--plate", "screen/Plate7"],
        cwd=tmp_path, env=environment | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip().partition("#")[0]
            shown = orjson.loads(read(f"{url}api/plate?plate_key=screen/Plate7"))
            assert [(well["well_id"], len(well["fields"])) for well in shown["wells"]] == [
                ("A01", 2),
                ("A02", 2),
                ("B03", 2),
            ]
            assert [channel["name"] for channel in shown["channels"]] == ["DAPI", "FITC", "Cy3"]
            image = quote(shown["wells"][2]["fields"][1]["image_id"], safe="")
            found = read(f"{url}pixels?plate_key=screen/Plate7&image_id={image}&c=2&y0=0&y1=64&x0=0&x1=80")
            expected = tifffile.imread(plate / imagexpress_name("B03", 2, 3))
            assert np.array_equal(np.frombuffer(found, "<u2").reshape(64, 80), expected)
            assert read(f"{url}{shown['wells'][0]['fields'][0]['thumbnail']}")[:2] == b"\xff\xd8"
        finally:
            end_process(server, signal.SIGINT)


def read(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        body: bytes = answer.read()
    return body
