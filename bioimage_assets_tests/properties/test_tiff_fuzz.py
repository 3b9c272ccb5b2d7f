"""Mutated bytes of every TIFF fixture: always a scan or one of our errors, in bounded time, memory and rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.core.formats.ome_tiff.chunks import build_tiff_chunks
from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets.core.formats.plate_folders.patterns import parse_name
from bioimage_assets.core.formats.plate_folders.scan import scan_plate_folder
from bioimage_assets.core.model.scan import StoreScan
from bioimage_assets.core.tables.schemas import CHUNK_INDEX
from bioimage_assets_tests.builders import tiff_plates
from bioimage_assets_tests.builders.tiff_files import (
    build_ome_image,
    build_ome_xml,
    build_plate_xml,
    write_ome_tiff,
    write_pages,
    write_pyramid,
)

MAX_SECONDS = 5.0
DATA = np.arange(3 * 32 * 48, dtype=np.uint16).reshape(3, 32, 48)


def _imagej(path: Path) -> None:
    tifffile.imwrite(path, DATA, imagej=True, metadata={"axes": "ZYX", "unit": "um", "spacing": 2.0})


def _plate(path: Path) -> None:
    xml = build_ome_xml([build_ome_image(0, x=48, y=32, z=3)], plates=build_plate_xml([(0, 0, [(0, 0)])]))
    write_pages(path, list(DATA), xml)


FIXTURES: dict[str, Callable[[Path], object]] = {
    "ome": lambda path: write_ome_tiff(path, DATA, "CYX"),
    "ome-bigtiff": lambda path: write_ome_tiff(path, DATA, "CYX", bigtiff=True, byteorder=">"),
    "ome-tiled": lambda path: write_ome_tiff(path, DATA, "CYX", tile=(16, 16), compression="zlib"),
    "ome-strips": lambda path: write_ome_tiff(path, DATA, "CYX", rowsperstrip=3),
    "pyramid": lambda path: write_pyramid(path, DATA, "CYX"),
    "plate": _plate,
    "imagej": _imagej,
    "plain": lambda path: write_pages(path, list(DATA)),
}


@cache
def fixture_bytes(name: str) -> bytes:
    """Bytes of one fixture, made once."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "f.ome.tif"
        FIXTURES[name](path)
        return path.read_bytes()


def check_scan(scan: StoreScan) -> None:
    """Whatever was scanned is consistent, and its chunk rows are bounded and lie in the file."""
    for image in scan.images:
        assert len(image.axes or "") == len(image.shape)
        assert all(size > 0 for size in image.shape)
        assert image.levels[0].shape == image.shape
    rows = 0
    for batch in build_tiff_chunks(scan):
        assert batch.schema.equals(CHUNK_INDEX)
        rows += batch.num_rows
        assert rows < 2_000_000


def run_mutated(payload: bytes, name: str, scan: Callable[[str], StoreScan] = scan_tiff) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(payload)
        started = time.process_time()  # the machine may stand still for a while
        message = "scanned"
        try:
            check_scan(scan(str(path if scan is scan_tiff else path.parent)))
        except BioimageError as error:
            message = str(error)
        assert message
        assert time.process_time() - started < MAX_SECONDS


mutations = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True), st.one_of(st.integers(0, 255), st.sampled_from([0, 255, 127, 128]))
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("name", FIXTURES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=mutations, keep=st.floats(0, 1), near_start=st.booleans())
def test_mutated_tiffs_give_a_scan_or_our_error(name, changes, keep, near_start):
    payload = bytearray(fixture_bytes(name))
    span = min(len(payload), 1024) if near_start else len(payload)
    for place, value in changes:
        payload[int(place * span)] = value
    cut = len(payload) if keep > 0.5 else int(len(payload) * keep * 2)
    run_mutated(bytes(payload[:cut]), "m.ome.tif")


@settings(max_examples=60, deadline=None)
@given(changes=mutations)
def test_mutated_files_of_a_plate_folder_never_cost_the_scan(changes):
    payload = bytearray(fixture_bytes("plate"))
    for place, value in changes:
        payload[int(place * min(len(payload), 1024))] = value
    with TemporaryDirectory() as folder:
        (Path(folder) / "P_B07_s1.ome.tif").write_bytes(fixture_bytes("ome"))
        (Path(folder) / "P_A01_s2.ome.tif").write_bytes(bytes(payload))
        scan = scan_plate_folder(folder)
        assert "P_B07_s1.ome.tif" in {image.uri.rpartition("/")[2] for image in scan.images}
        check_scan(scan)


@settings(max_examples=200, deadline=None)
@given(xml=st.text(alphabet="<>/=\"' OMEImagePixelsSizeXYZCT0123456789&;![]-", max_size=300))
def test_any_text_in_the_description_leaves_a_row(xml):
    text = f"<OME {xml}"
    payload = fixture_bytes("ome")
    start = payload.index(b"<?xml")
    end = payload.index(b"</OME>") + 6
    body = text.encode()[: end - start]
    run_mutated(payload[:start] + body + b" " * (end - start - len(body)) + payload[end:], "t.ome.tif")


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    name=st.text(max_size=80)
    | st.from_regex(r"[A-Za-z0-9_]{0,20}_[A-Z]{1,2}[0-9]{1,2}(_s[0-9]+)?(_w[0-9]+)?\.tif", fullmatch=True)
)
def test_any_file_name_is_parsed_or_not_but_never_fails(name):
    parts = parse_name(name)
    assert parts is None or parts.well_id


SIDECARS = (
    "Plate7.HTD",
    "Images/Index.idx.xml",
    "MeasurementData.mlf",
    "MeasurementDetail.mrf",
    "load_data.csv",
    "S.mes",
    "run.xdce",
)
sidecar_text = st.text(
    alphabet="<>/=\"' ,\n\r\0\u00b2\u0663ImageRowColFieldIDChannelXWells_0123456789&;!", max_size=300
)


@cache
def sidecar_seeds() -> dict[str, bytes]:
    """Valid sidecars, made once."""
    with TemporaryDirectory() as folder:
        htd = tiff_plates.write_htd(Path(folder) / "a.HTD", ["DAPI", "FITC"]).read_bytes()
        index = tiff_plates.write_phenix_index(Path(folder) / "i.xml", ["DAPI", "FITC"]).read_bytes()
        tiff_plates.write_bts(Path(folder), ["DAPI", "FITC"], tiff_plates.cellvoyager_name)
        settings_file = (Path(folder) / "S.mes").read_bytes()
        xdce = tiff_plates.write_xdce(Path(folder) / "run.xdce", ["DAPI", "FITC"]).read_bytes()
    record = b'<M xmlns:b="x"><b:MeasurementRecord b:Type="IMG" b:Row="1" b:Column="1" b:FieldIndex="1"/></M>'
    channel = b'<M xmlns:b="x"><b:MeasurementChannel b:HorizontalPixelDimension="0.3"/></M>'
    table = b"FileName_DNA,Metadata_Well,Metadata_Site\nPlate7_A01_s1_w1.tif,A01,1\n"
    return dict(zip(SIDECARS, (htd, index, record, channel, table, settings_file, xdce), strict=True))


@pytest.mark.parametrize("name", SIDECARS)
@settings(max_examples=40, deadline=None)
@given(changes=mutations, text=sidecar_text, whole=st.booleans())
def test_mutated_sidecars_never_cost_the_images(name, changes, text, whole):
    payload = bytearray(sidecar_seeds()[name])
    for place, value in changes:
        payload[int(place * len(payload))] = value
    with TemporaryDirectory() as folder:
        tiff_plates.write_plane(Path(folder) / "Plate7_A01_s1_w1.tif")
        path = Path(folder) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode() if whole else bytes(payload))
        assert len(scan_plate_folder(folder).images) == 1


@settings(max_examples=60, deadline=None)
@given(changes=mutations, text=sidecar_text, whole=st.booleans())
def test_a_mutated_load_data_table_gives_a_scan_or_our_error(changes, text, whole):
    payload = bytearray(sidecar_seeds()["load_data.csv"])
    for place, value in changes:
        payload[int(place * len(payload))] = value
    with TemporaryDirectory() as folder:
        tiff_plates.write_plane(Path(folder) / "Plate7_A01_s1_w1.tif")
        table = Path(folder) / "plate.csv"
        table.write_bytes(text.encode() if whole else bytes(payload))
        with suppress(BioimageError):
            assert len(scan_plate_folder(str(table)).images) <= 1
