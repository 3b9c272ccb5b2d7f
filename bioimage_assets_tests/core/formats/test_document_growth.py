"""Documents that name very many of anything: work grows with the document, and lists are read to a stated limit.

Work is counted in lines that run and built-in functions that are called, never in seconds.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

from bioimage_assets.core.errors import BioimageError, CorruptStoreError, LimitExceededError
from bioimage_assets.core.formats.finding_log import FindingLog
from bioimage_assets.core.formats.ome_tiff import ome_xml, tiff_file
from bioimage_assets.core.formats.ome_tiff.ome_xml import parse_ome_xml, read_root_uuid
from bioimage_assets.core.formats.ome_zarr import images, limits
from bioimage_assets.core.formats.ome_zarr.unlisted_folders import note_unlisted_folders
from bioimage_assets.core.formats.plate_folders.fields import build_fields, count_missing
from bioimage_assets.core.formats.plate_folders.patterns import parse_name
from bioimage_assets.core.formats.plate_folders.sidecar_facts import SidecarFacts
from bioimage_assets.core.formats.plate_folders.sidecar_xml import iterate_xml, read_harmony_index
from bioimage_assets.core.formats.plate_folders.whole_field_files import merge_plates
from bioimage_assets.core.model.scan import DeclaredPlate, DeclaredWell, ScanOptions, StoreScan
from bioimage_assets.core.scan.scanner import scan_chunk_index, scan_store_records
from bioimage_assets.core.stores.open import open_store
from bioimage_assets.core.tables.plate_layout import build_plate_layout
from bioimage_assets_tests.builders.tiff_files import (
    build_block,
    build_ome_image,
    build_ome_xml,
    build_plate_xml,
    plain_tags,
    write_pages,
)
from bioimage_assets_tests.builders.zarr_documents import write_array, write_group, write_image, write_plate

Builder = Callable[[Path, int], Path]
TraceFunction = Callable[[FrameType, str, object], object]
ENTRY = {
    "version": "0.4",
    "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
    "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1]}]}],
}


def count_steps(work: Callable[[], object]) -> int:
    """Count the lines of Python that some work runs and the built-in functions that it calls."""
    steps = 0

    def count_line(frame: FrameType, event: str, argument: object) -> TraceFunction:
        nonlocal steps
        steps += event == "line"
        return count_line

    def count_call(frame: FrameType, event: str, argument: object) -> None:
        nonlocal steps
        steps += event == "c_call"

    before = sys.gettrace()
    sys.setprofile(count_call)
    sys.settrace(count_line)
    try:
        work()
    finally:
        sys.settrace(before)
        sys.setprofile(None)
    return steps


def scan_all(path: Path) -> StoreScan | None:
    try:
        scan = scan_store_records(str(path))
        scan_chunk_index(str(path)).read_all()
    except BioimageError:
        return None
    return scan


def image(root: Path, **attributes: object) -> Path:
    write_array(root / "x.zarr", "0", (4, 4), (2, 2))
    return write_group(root / "x.zarr", "", attributes)


def plate(root: Path, *, fields: object = None, **changes: object) -> Path:
    path = write_plate(root / "p.zarr")
    for document, key, values in (
        (path / ".zattrs", "plate", changes),
        (path / "A/1/.zattrs", "well", {"images": fields}),
    ):
        if values != {"images": None}:
            content = json.loads(document.read_text())
            content[key].update(values)
            document.write_text(json.dumps(content))
    return path


def labelled(root: Path, n: int) -> Path:
    path = image(root, multiscales=[ENTRY])
    write_group(path, "labels", {"labels": [f"l{i}" for i in range(n)]})
    return path


def series(root: Path, n: int) -> Path:
    path = write_group(root / "s.zarr", "", {"bioformats2raw.layout": 3})
    write_group(path, "OME", {"series": [str(i) for i in range(n)]})
    write_image(path, "0")
    (path / "OME/METADATA.ome.xml").write_text("<OME>" + "<Image><Channel Name='x'/></Image>" * n + "</OME>")
    return path


def tiff(root: Path, pictures: list[str], plates: str = "") -> Path:
    return write_pages(
        root / "x.ome.tif", [np.zeros((8, 8), np.uint16)] * 2, build_ome_xml(pictures, plates=plates)
    )


def picture(number: int, **options: object) -> str:
    return build_ome_image(number, x=8, y=8, **options)  # type: ignore[arg-type]


DOCUMENTS: dict[str, Builder] = {
    "multiscales": lambda root, n: image(root, multiscales=[{**ENTRY, "name": str(i), "version": str(i)} for i in range(n)]),
    "datasets": lambda root, n: image(root, multiscales=[{**ENTRY, "datasets": [*ENTRY["datasets"], *({"path": f"a{i}"} for i in range(n))]}]),
    "axes": lambda root, n: image(root, multiscales=[{**ENTRY, "axes": [{"name": f"a{i}"} for i in range(n)]}]),
    "transformations": lambda root, n: image(root, multiscales=[{**ENTRY, "coordinateTransformations": [{"type": "scale", "scale": [1, 1]}] * n}]),
    "coordinate systems": lambda root, n: image(root, multiscales=[{**ENTRY, "coordinateSystems": [{"name": str(i)} for i in range(n)]}]),
    "channels": lambda root, n: image(root, multiscales=[ENTRY], omero={"channels": [{"label": str(i)} for i in range(n)]}),
    "labels": labelled,
    "wells": lambda root, n: plate(root, wells=[{"path": f"X{i}/{i}", "rowIndex": 0, "columnIndex": 0} for i in range(n)]),
    "acquisitions and wells": lambda root, n: write_plate(root / "p.zarr", wells={f"X{i}/{i}": () for i in range(n)}, plate={"acquisitions": [{"id": i} for i in range(n)]}),
    "fields": lambda root, n: plate(root, fields=[{"path": f"f{i}"} for i in range(n)]),
    "series": series,
    "TiffData": lambda root, n: tiff(root, [picture(0, z=n, blocks="".join(build_block(i, z=i) for i in range(n)))]),
    "TiffData of files": lambda root, n: tiff(root, [picture(0, z=n, blocks="".join(build_block(0, z=i, file=f"f{i}.tif", uuid=f"u{i}") for i in range(n)))]),
    "Image elements": lambda root, n: tiff(root, [picture(i) for i in range(n)]),
    "Channel elements": lambda root, n: tiff(root, [picture(0, c=n, channels=[str(i) for i in range(n)])]),
    "Plane elements": lambda root, n: tiff(root, [picture(0, t=n, blocks=build_block(0, count=2) + "".join(f'<Plane TheC="0" TheZ="0" TheT="{i}" DeltaT="{i}" PositionX="{i}" PositionXUnit="mm"/>' for i in range(n)))]),
    "Instruments and images": lambda root, n: tiff(root, [picture(i).replace("<Pixels ", f'<ObjectiveSettings ID="O:{i}"/><Pixels ') for i in range(n)], "".join(f'<Instrument ID="I:{i}"><Objective ID="O:{i}"/></Instrument>' for i in range(n))),
    "WellSamples": lambda root, n: tiff(root, [picture(0)], build_plate_xml([(0, 0, [(i, 0) for i in range(n)])])),
    "Wells": lambda root, n: tiff(root, [picture(0)], build_plate_xml([(i % 30, i % 40, [(i, 0)]) for i in range(n)])),
    "PlateAcquisitions": lambda root, n: tiff(root, [picture(0)], build_plate_xml([(0, 0, [(0, 0)])], runs=[["WellSample:0"]] * n)),
}  # fmt: skip


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_work_grows_with_the_document_and_not_with_its_square(tmp_path: Path, kind: str) -> None:
    steps = []
    for n in (60, 240):
        (tmp_path / str(n)).mkdir()
        path = DOCUMENTS[kind](tmp_path / str(n), n)
        scan_all(path)  # what is read once and remembered
        steps.append(count_steps(lambda path=path: scan_all(path)))
    assert steps[1] < 4.4 * steps[0]


class CountedDigest:
    """SHA-256 that counts the bytes it is given."""

    total = 0

    def __init__(self, data: bytes = b"") -> None:
        CountedDigest.total += len(data)
        self._digest = hashlib.sha256(data)

    def copy(self) -> CountedDigest:
        twin = CountedDigest()
        twin._digest = self._digest.copy()
        return twin

    def update(self, data: bytes) -> None:
        CountedDigest.total += len(data)
        self._digest.update(data)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def test_a_document_of_many_images_is_digested_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = DOCUMENTS["multiscales"](tmp_path, 500)
    before = scan_store_records(str(path))
    monkeypatch.setattr(images, "sha256", CountedDigest)
    after = scan_store_records(str(path))
    assert [image.fingerprint for image in after.images] == [image.fingerprint for image in before.images]
    document = (path / ".zattrs").read_bytes()
    assert len(document) <= CountedDigest.total < 2 * len(document)
    array = hashlib.blake2b((path / "0/.zarray").read_bytes(), digest_size=16).digest()
    assert after.images[7].fingerprint == hashlib.sha256(document + array).hexdigest()[:32]


LISTS = {
    "multiscales": (limits.MAX_MULTISCALES, "images of one group", limits.MAX_MULTISCALES),
    "datasets": (limits.MAX_LEVELS, "datasets of an image", 1),
    "channels": (limits.MAX_CHANNELS, "channels", 1),
    "labels": (limits.MAX_LABELS, "labels of one image", 1),
    "wells": (limits.MAX_WELLS, "wells", 0),
    "acquisitions and wells": (limits.MAX_WELLS, "acquisitions", 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", LISTS)
def test_lists_are_read_to_their_limit_and_more_is_an_error_finding(tmp_path: Path, kind: str) -> None:
    limit, what, rows = LISTS[kind]
    scan = scan_store_records(str(DOCUMENTS[kind](tmp_path, limit + 7)))
    assert len(scan.images) == rows
    (finding,) = [item for item in scan.findings if item.code == "list-too-long" and what in item.message]
    assert finding.severity == "error"
    assert f"{limit:,}" in finding.message


def test_fields_that_a_plate_claims_by_the_billion_are_not_believed(tmp_path: Path) -> None:
    scan = scan_store_records(str(plate(tmp_path, field_count=10**30)))
    assert {well.field_count for well in scan.plates[0].wells} == {None}
    assert build_plate_layout(scan.plates, plate_key="d/p", dataset_id="d").num_rows == 2


class CountedNames(tuple[str, ...]):
    """Names that count how often they are gone through."""

    reads = 0

    def __iter__(self) -> Iterator[str]:
        CountedNames.reads += 1
        return super().__iter__()


def test_unlisted_folders_are_compared_with_one_set_for_all_wells(tmp_path: Path) -> None:
    path = write_plate(tmp_path / "p.zarr")
    log = FindingLog("")
    note_unlisted_folders(open_store(str(path)), ["A/1", "B/12"], CountedNames(("A/1/0", "A/1/1")), log)
    assert CountedNames.reads == 1
    assert [finding.location for finding in log.findings()] == ["B/12/0"]


def test_plates_that_many_files_declare_are_united_well_by_well() -> None:
    def declare(n: int) -> list[DeclaredPlate]:
        return [
            DeclaredPlate("P", (DeclaredWell(f"W{i}", "", (str(i),)), DeclaredWell("A01", "", (str(i),))))
            for i in range(n)
        ]

    small, large = (count_steps(lambda n=n: merge_plates(declare(n))) for n in (100, 400))
    assert large < 4.4 * small
    plate_ = merge_plates(declare(3))["P"]
    assert {well.well_id: well.sites for well in plate_.wells} == {
        "W0": ("0",), "A01": ("0", "1", "2"), "W1": ("1",), "W2": ("2",),
    }  # fmt: skip


def test_names_that_span_more_planes_than_files_could_hold_are_not_counted_out() -> None:
    names = {}
    for number in range(2_000):
        name = f"r01c01f{number}p{number}-ch1sk1fk1fl1.tiff"
        names[name] = parse_name(name)
    grid = build_fields(names)
    assert (len(grid.fields), grid.place_count, grid.is_plausible) == (2_000, 2_000, False)
    assert count_missing(next(iter(grid.fields.values())), grid) == []


def test_names_of_a_plate_that_lacks_some_planes_are_counted_out() -> None:
    names = {
        name: parse_name(name)
        for f in (1, 2)
        for c in (1, 2)
        if (name := f"r01c01f{f}p01-ch{c}sk1fk1fl1.tiff")
    }
    names.pop("r01c01f2p01-ch2sk1fk1fl1.tiff")
    grid = build_fields(names)
    assert [count_missing(planes, grid) for planes in grid.fields.values()] == [[], [(1, 0, 0)]]


def test_planes_of_ome_xml_that_are_not_read_are_not_kept_and_the_rest_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ome_xml, "MAX_ELEMENTS", 20_000)
    plane = '<Plane TheC="0" TheZ="0" TheT="0"><StageLabel Name="x"/></Plane>'
    blocks = build_block(0) + plane * 15_000 + build_block(1, z=1) + plane * 15_000
    document = parse_ome_xml(build_ome_xml([picture(0, z=2, blocks=blocks), picture(1)]).encode(), "x")
    assert [len(image.tiff_data) for image in document.images] == [2, 1]
    with pytest.raises(CorruptStoreError, match="more than 20,000 elements"):
        parse_ome_xml(
            build_ome_xml([picture(0, z=2, blocks="<TiffData/>" + build_block(0) * 20_000)]).encode(), "x"
        )
    deep = "<a>" * 200_000 + "</a>" * 200_000
    with pytest.raises(CorruptStoreError, match="deep"):
        parse_ome_xml(build_ome_xml([picture(0)], extra=deep).encode(), "x")


def test_the_uuid_of_a_neighbour_is_read_without_the_rest_of_its_xml() -> None:
    payload = build_ome_xml([picture(0)], uuid="urn:uuid:1").encode() + b"<broken" * 1_000_000
    assert read_root_uuid(payload, "x") == "urn:uuid:1"
    assert count_steps(lambda: read_root_uuid(payload, "x")) < 200
    with pytest.raises(CorruptStoreError, match="DOCTYPE"):
        read_root_uuid(b"<!DOCTYPE a><OME UUID='u'/>", "x")
    with pytest.raises(CorruptStoreError, match="well-formed"):
        read_root_uuid(b"no xml", "x")


def test_a_sidecar_of_very_many_elements_keeps_few_of_them(tmp_path: Path) -> None:
    text = "<Plate><Images>" + "<Other><b/></Other>" * 30_000 + "<PlateID>P9</PlateID></Images></Plate>"
    facts = SidecarFacts()
    most = 0
    for element in iterate_xml(text.encode(), "Index.idx.xml"):
        most = max(most, len(element))
    assert most < 30_000
    read_harmony_index(text.encode(), "Index.idx.xml", facts)
    assert facts.plate_id == "P9"


def test_sizes_that_no_file_could_hold_cost_the_image_and_no_memory(tmp_path: Path) -> None:
    blocks = build_block(0) + build_block(0, c=1, file="gone.ome.tif", uuid="u")
    path = tiff(tmp_path, [picture(0, c=10**9, t=10**9, blocks=blocks), picture(1, blocks=build_block(1))])
    scan = scan_store_records(str(path))
    assert [image.shape for image in scan.images] == [(8, 8)]
    (finding,) = [item for item in scan.findings if item.code == "image-unreadable"]
    assert "declares 1,000,000,000,000,000,000 planes" in finding.message


def test_pages_that_share_one_list_of_strips_are_counted_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff_file, "MAX_CHUNKS_PER_FILE", 10_000)
    path = write_shared_strips(tmp_path / "x.tif", pages=30, strips=1_000)
    with pytest.raises(LimitExceededError, match="more than 10,000 tiles or strips"):
        scan_store_records(str(path))
    monkeypatch.undo()
    assert scan_store_records(str(path)).images[0].shape == (30, 1_000, 8)
    with pytest.raises(LimitExceededError, match="strips that do not follow one another"):
        scan_chunk_index(str(path), options=ScanOptions(max_chunk_rows=20_000)).read_all()


def write_shared_strips(path: Path, *, pages: int, strips: int) -> Path:
    """Write pages of one row per strip that all name the same two lists, whose strips do not follow one another."""
    lists = 8 + pages * (2 + 12 * 9 + 4)
    payload = b"II*\0" + struct.pack("<I", 8)
    for number in range(pages):
        tags = [*plain_tags(8, strips, offset=0, count=0)]
        tags = [tag for tag in tags if tag[0] not in (273, 278, 279)]
        tags += [(273, 4, strips, lists), (278, 4, 1, 1), (279, 4, strips, lists + 4 * strips)]
        after = len(payload) + 2 + 12 * len(tags) + 4
        payload += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
        payload += struct.pack("<I", after if number + 1 < pages else 0)
    offsets = [8 + 16 * (i % 2) for i in range(strips)]
    path.write_bytes(
        payload + struct.pack(f"<{strips}I", *offsets) + struct.pack(f"<{strips}I", *[8] * strips)
    )
    return path
