"""Black and white points of channels: from pixels of a few fields, the same for all, never at the price of the plate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_image_assets
from bioimage_assets.core.virtual.open import open_virtual_plate
from bioimage_assets.core.virtual.write import VirtualPlateForm, write_virtual_plate
from bioimage_assets_tests.builders.tiff_plates import imagexpress_name, write_plane

WELLS = ("A01", "A02", "B03")


def make_plate(folder: Path, dtype: str, side: int = 400) -> Path:
    """Three wells of two channels with noise around 1000 times the channel; zeros are where nothing was imaged."""
    for number, well in enumerate(WELLS):
        for channel in (1, 2):
            noise = np.random.default_rng(10 * number + channel).normal(1000 * channel, 50, (side, side))
            noise[:10] = 0
            path = write_plane(folder / imagexpress_name(well, 1, channel))
            tifffile.imwrite(path, noise.astype(dtype), metadata=None, rowsperstrip=16)
    return folder


def read_windows(source: Path, target: Path, **options) -> list[list[dict[str, float]]]:
    write_virtual_plate(
        scan_image_assets(str(source)),
        scan_chunk_index(str(source)),
        str(target),
        VirtualPlateForm(**options),
    )
    root = zarr.open_group(open_virtual_plate(str(target)), mode="r")
    found = []
    for path in ("A/1/1", "A/2/1", "B/3/1"):
        omero = root[path].attrs["ome"].get("omero", {"channels": []})
        found.append([channel["window"] for channel in omero["channels"]])
    return found


def test_channels_begin_and_end_where_their_pixels_do_alike_in_all_fields(tmp_path):
    windows = read_windows(make_plate(tmp_path / "Plate7", "uint16"), tmp_path / "p.json")
    assert windows[0] == windows[1] == windows[2]
    for channel, window in enumerate(windows[0], 1):
        middles = []
        for well in WELLS:
            pixels = tifffile.imread(tmp_path / "Plate7" / imagexpress_name(well, 1, channel))
            middles.append(pixels[72:328, 72:328])
        low, high = np.percentile(np.concatenate(middles), [2.0, 99.8])
        assert (window["start"], window["end"]) == (int(low), int(np.ceil(high)))
        assert (window["min"], window["max"]) == (0, 65535)


def test_floating_point_channels_have_windows_once_they_are_measured(tmp_path):
    source = make_plate(tmp_path / "Plate7", "float32")
    first = read_windows(source, tmp_path / "p.json")[0]
    assert [round(window["start"], -2) for window in first] == [900, 1900]
    assert read_windows(source, tmp_path / "q.json", measures_contrast=False)[0] == []


@pytest.mark.parametrize("how", ["8-bit", "not asked for"])
def test_else_channels_are_shown_over_all_that_their_type_holds(tmp_path, how):
    source = make_plate(tmp_path / "Plate7", "uint8" if how == "8-bit" else "uint16", 32)
    limit = 255 if how == "8-bit" else 65535
    found = read_windows(source, tmp_path / "p.json", measures_contrast=how == "8-bit")
    assert found[0][0] == {"min": 0, "max": limit, "start": 0, "end": limit}


def test_empty_planes_have_no_points(tmp_path):
    for channel in (1, 2):
        write_plane(tmp_path / "Plate7" / imagexpress_name("A01", 1, channel), 7)
    write_virtual_plate(
        scan_image_assets(str(tmp_path / "Plate7")),
        scan_chunk_index(str(tmp_path / "Plate7")),
        str(tmp_path / "p.json"),
    )
    root = zarr.open_group(open_virtual_plate(str(tmp_path / "p.json")), mode="r")
    channels = root["A/1/1"].attrs["ome"]["omero"]["channels"]
    assert [channel["window"]["end"] for channel in channels] == [65535, 65535]
