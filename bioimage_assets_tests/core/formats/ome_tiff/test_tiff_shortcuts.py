"""What is remembered between files, and read ahead, changes the speed of a scan and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.ome_tiff.head_store import HeadStore
from bioimage_assets.core.formats.ome_tiff.ome_model import OmeDocument
from bioimage_assets.core.formats.ome_tiff.ome_xml import _parse, parse_ome_xml
from bioimage_assets.core.formats.ome_tiff.ome_xml_templates import OmeTemplates
from bioimage_assets.core.formats.ome_tiff.scan import scan_tiff
from bioimage_assets.core.formats.ome_tiff.tiff_file import LastPages, open_tiff
from bioimage_assets.core.stores.local import LocalStore
from bioimage_assets_tests.builders.tiff_files import write_pages
from bioimage_assets_tests.core.formats.ome_tiff.tiff_oracle import read_chunks

OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{uuid}" Creator="c">'
    '<Image ID="Image:0"><Pixels ID="P" DimensionOrder="XYCZT" Type="uint8" SizeX="4" SizeY="4" SizeC="1" SizeZ="1" SizeT="1">'
    '<TiffData IFD="0" PlaneCount="1">{block}</TiffData></Pixels></Image></OME>'
)


def test_equal_documents_keep_their_own_uuid():
    first, second = (f"0000000{number}-aaaa-bbbb-cccc-0123456789ab" for number in (1, 2))
    parsed = [parse_ome_xml(OME.format(uuid=uuid, block="").encode(), "a") for uuid in (first, second, first)]
    assert [document.uuid for document in parsed] == [f"urn:uuid:{uuid}" for uuid in (first, second, first)]
    assert parsed[0].images == parsed[1].images


def test_documents_that_name_their_uuid_in_a_block_keep_it_there():
    for number in range(3):
        uuid = f"0000000{number}-aaaa-bbbb-cccc-0123456789ab"
        block = f'<UUID FileName="f{number}.ome.tif">urn:uuid:{uuid}</UUID>'
        document = parse_ome_xml(OME.format(uuid=uuid, block=block).encode(), "a")
        assert document.images[0].tiff_data[0].uuid == document.uuid == f"urn:uuid:{uuid}"
        assert document.images[0].tiff_data[0].file_name == f"f{number}.ome.tif"


def test_each_broken_document_is_reported_with_its_own_name():
    for name in ("first.ome.tif", "second.ome.tif"):
        with pytest.raises(CorruptStoreError, match=name):
            parse_ome_xml(b'<OME UUID="urn:uuid:00000000-aaaa-bbbb-cccc-0123456789ab"><Image', name)


def test_a_remembered_geometry_is_still_checked_against_each_file(tmp_path: Path):
    good, cut = tmp_path / "good.tif", tmp_path / "cut.tif"
    tifffile.imwrite(good, np.zeros((2000, 2000), np.uint8), compression="zlib", metadata=None)
    tifffile.imwrite(cut, np.zeros((2000, 2000), np.uint8), metadata=None)
    assert scan_tiff(str(good)).images[0].scan_status == "ok"
    cut.write_bytes(cut.read_bytes()[:4000])
    assert scan_tiff(str(cut)).images[0].scan_status == "partial"
    assert read_chunks(scan_tiff(str(cut)))["is_present"].to_pylist() == [False]


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("rows", [None, 4])
def test_one_strip_and_many_strips_agree_with_tifffile_in_every_flavour(
    tmp_path: Path, bigtiff: bool, byteorder: str, rows: int | None
):
    path = tmp_path / "a.tif"
    stack = np.arange(4 * 16 * 8, dtype=np.uint16).reshape(4, 16, 8)
    tifffile.imwrite(
        path,
        stack,
        bigtiff=bigtiff,
        byteorder=byteorder,
        rowsperstrip=rows,
        photometric="minisblack",
        metadata=None,
    )
    rows_read = read_chunks(scan_tiff(str(path))).to_pylist()
    with tifffile.TiffFile(path) as tiff:
        expected = [(page.dataoffsets[0], sum(page.databytecounts)) for page in tiff.pages]
    assert [(row["stored_offset"], row["stored_bytes"]) for row in rows_read] == expected
    assert [row["strip_count"] for row in rows_read] == [1 if rows is None else 4] * 4


class _SlowStore(LocalStore):
    """A local folder that answers like a network share and notes how many reads ran at once."""

    delay_s = 0.002
    running = most = reads = 0
    lock = threading.Lock()

    def get_ranges(self, key, ranges):
        with self.lock:
            self.running += 1
            self.reads += 1
            self.most = max(self.most, self.running)
        time.sleep(self.delay_s)
        try:
            return super().get_ranges(key, ranges)
        finally:
            with self.lock:
                self.running -= 1


def test_files_of_a_slow_share_are_touched_side_by_side(tmp_path: Path):
    keys = [f"{number}.tif" for number in range(64)]
    for key in keys:
        (tmp_path / key).write_bytes(b"x")
    slow = _SlowStore(tmp_path)
    HeadStore(slow).fetch_heads([*keys, "missing.tif"], {})
    assert slow.reads == 65
    assert slow.most > 4


def test_files_of_a_quick_disk_are_not_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    keys = [f"{number}.tif" for number in range(64)]
    for key in keys:
        (tmp_path / key).write_bytes(b"x")
    ticks = iter(np.arange(0, 1, 1e-5))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    quick = _SlowStore(tmp_path)
    quick.delay_s = 0
    HeadStore(quick).fetch_heads(keys, {})
    assert quick.reads == 5


TEMPLATE_TEXTS = (
    '<OME UUID="{0}"><Image ID="I" Name="{1}"><Pixels SizeC="2"><Channel Name="{2}"/><Channel Name="{1}"/>'
    '<TiffData IFD="0"><UUID FileName="{1}">urn:uuid:{0}</UUID></TiffData></Pixels></Image></OME>',
    '<o:OME xmlns:o="u"><o:Image><o:AcquisitionDate>{0}</o:AcquisitionDate><o:Description>{1} {2}</o:Description><o:Pixels SizeY="{0}" SizeX="{2}" PhysicalSizeX="{1}" TimeIncrement="{2}" '
    'PhysicalSizeXUnit="nm" PhysicalSizeZ="{2}"><o:Plane DeltaT="{1}" PositionX="{0}" TheC="0" Any="{2}" AnyUnit="nm"/></o:Pixels></o:Image></o:OME>',
    '<OME UUID="{0}"><Image ID=\'I Name="{1}" x\'><Pixels ID="{2}"/></Image></OME>',
    '<OME UUID="{0}"><!-- Name="{1}" --><Image Name="{2}" ID=\'> Name="{1}"\'/></OME>',
    '<OME UUID="{0}"><Image Name="{1}"><![CDATA[ Name="{2}" ]]></Image><Plate Name="{2}"><Well/></Plate></OME>',
    '<OME UUID="{0}"><BinaryOnly UUID="{1}" MetadataFile="{2}"/><Image ID="a Name={1}" Name="{2}" Name="{1}"/></OME>',
    '<OME UUID="{0}"><Image Any="{1}" ID="{2}"><Pixels Type="{1}" SizeC="1"><Channel SamplesPerPixel="1" Color="{2}" Name=""/>'
    '<TiffData IFD="0" Other="{0}"/></Pixels></Image><Plate Any="{0}" Name="P"><Well Row="1" Any="{2}"/></Plate></OME>',
    '<OME UUID="{0}"><Instrument ID="I"><Microscope Model="{1}" Manufacturer="{2}"/><Objective ID="O" LensNA="{0}" Model="{2}"/></Instrument>'
    '<Image><AcquisitionDate>{1}</AcquisitionDate><ObjectiveSettings ID="O"/><StageLabel Name="{0}" X="{1}" Y="{2}" XUnit="mm"/><Pixels SizeC="1">'
    '<Channel EmissionWavelength="{0}" ContrastMethod="{2}"><DetectorSettings Binning="{1}"/></Channel>'
    '<Plane TheC="0" TheZ="0" TheT="0" ExposureTime="{2}" PositionY="{1}" PositionYUnit="mm"/></Pixels></Image></OME>',
    '<?xml version="1.0"?><OME><?note Name="{0}"?><Image><LogicalChannel Name="{1}"/><Pixels Name="{2}"/></Image></OME>',
)


def _outcome(parse: Callable[[str], OmeDocument], text: str) -> OmeDocument | type[CorruptStoreError]:
    try:
        return parse(text)
    except CorruptStoreError:
        return CorruptStoreError


@given(
    st.lists(
        st.tuples(
            *3
            * [
                st.sampled_from(["7", "0", "2000000003", "999999999", "-1", "0.5"])
                | st.text(st.sampled_from("ab µ日-:'&;lt#x\"<>\n\t\0\ue0000\ue001?!]]"), max_size=6)
                | st.text(max_size=4)
            ]
        ),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=60, deadline=None)
def test_a_document_filled_in_is_the_document_parsed(values: list[tuple[str, str, str]]):
    plain = ("11111111", "one.ome.tif", "3")
    for text in TEMPLATE_TEXTS:
        templates = OmeTemplates(_parse)
        for filled in [plain, plain, plain, *values]:
            document = text.format(*filled).removeprefix('<?xml version="1.0"?>')
            assert _outcome(templates.read, document) == _outcome(_parse, document)


def test_the_third_document_of_one_structure_is_not_parsed():
    parsed: list[str] = []

    def parse(text: str) -> OmeDocument:
        parsed.append(text)
        return _parse(text)

    templates = OmeTemplates(parse)
    names = [templates.read(TEMPLATE_TEXTS[0].format(name, name, "DNA")).images[0].name for name in "abcd"]
    assert names == list("abcd")
    assert len(parsed) == 3  # the first; the second as it is and with marks
    sizes = [
        (image.physical_size_x, image.size_x, image.size_y)
        for number, text in enumerate(("0.5", "650", "no number", "0.7"))
        for image in templates.read(TEMPLATE_TEXTS[1].format(100 + number, text, 7 - number)).images
    ]
    assert sizes == [
        (("0.5", "nm"), 7, 100), (("650", "nm"), 6, 101), (("no number", "nm"), 5, 102), (("0.7", "nm"), 4, 103),
    ]  # fmt: skip
    assert len(parsed) == 6
    facts = next(text for text in TEMPLATE_TEXTS if "StageLabel" in text)
    for number in range(4):
        document = templates.read(facts.format(number, number + 10, number + 20))
        acquired = document.images[0].acquisition
        assert acquired is not None
        assert acquired.planes[0].texts == (None, str(number + 20), None, str(number + 10), None)
        assert acquired.stage_label == (
            str(number + 10),
            str(number + 20),
            None,
            "mm",
            None,
            None,
            str(number),
        )
        assert document.instruments[0].objectives[0].aperture == str(number)
    assert len(parsed) == 9


def test_pages_whose_tags_change_within_a_stack_have_their_own_rows(tmp_path: Path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for number in range(40):
            rows = 4 if number % 13 == 12 else 16
            writer.write(
                np.full((16, 8), number, np.uint16), metadata=None, rowsperstrip=rows, contiguous=False
            )
    rows_read = read_chunks(scan_tiff(str(path))).to_pylist()
    with tifffile.TiffFile(path) as tiff:
        expected = [
            (page.dataoffsets[0], sum(page.databytecounts), len(page.dataoffsets)) for page in tiff.pages
        ]
    assert [(row["stored_offset"], row["stored_bytes"], row["strip_count"]) for row in rows_read] == expected
    assert [row["chunk_coords"][0] for row in rows_read] == list(range(40))


def test_an_offset_beyond_all_integers_is_a_strip_that_is_not_there(tmp_path: Path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for number in range(12):
            writer.write(np.full((16, 8), number, np.uint16), metadata=None, contiguous=False)
    with tifffile.TiffFile(path) as tiff:
        places = [page.tags[273].offset + 12 for page in tiff.pages]
    raw = bytearray(path.read_bytes())
    raw[places[9] : places[9] + 8] = b"\xff" * 8
    path.write_bytes(raw)
    rows = read_chunks(scan_tiff(str(path)))
    assert rows["is_present"].to_pylist() == [number != 9 for number in range(12)]


def test_directories_are_read_again_where_the_file_changed(tmp_path: Path):
    last = LastPages()
    store = LocalStore(str(tmp_path))
    for count in (3, 5, 5):
        write_pages(tmp_path / "a.tif", [np.zeros((16, 8), np.uint16)] * count)
        with open_tiff(store, "a.tif", last=last) as tiff:
            assert len(tiff.ifds) == count
            kept = tiff.ifds
    with open_tiff(store, "a.tif", last=last) as tiff:
        assert tiff.ifds is kept
    write_pages(tmp_path / "b.tif", [np.zeros((16, 8), np.uint16)] * 2)
    with open_tiff(store, "b.tif", last=last) as tiff:
        assert len(tiff.ifds) == 2


def test_documents_without_a_common_structure_are_parsed_and_later_ones_with_one_are_too():
    templates = OmeTemplates(_parse)
    texts = [
        TEMPLATE_TEXTS[0].format(n, n, "DNA").replace("<Image", f'<Image Extra{n}="1"', 1) for n in range(200)
    ]
    texts += [TEMPLATE_TEXTS[0].format(n, n, "DNA") for n in range(200)]
    assert [templates.read(text) for text in texts] == [_parse(text) for text in texts]
