"""Lists of channels that are remembered between OME documents change the speed of a scan and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bioimage_assets.core.errors import CorruptStoreError
from bioimage_assets.core.formats.ome_tiff import ome_channels
from bioimage_assets.core.formats.ome_tiff.ome_channels import PLACE, cut_known_channels
from bioimage_assets.core.formats.ome_tiff.ome_model import OmeDocument
from bioimage_assets.core.formats.ome_tiff.ome_xml import _collect, _Collector, _parse, parse_ome_xml

DYES = ("DNA", "ER", "RNA")
CHANNELS = "".join(
    f'<Channel ID="Channel:0:{number}" Name="{name}" SamplesPerPixel="1" EmissionWavelength="{500 + number}"><LightPath/></Channel>'
    for number, name in enumerate(DYES)
)


def _document(number: int, channels: str = CHANNELS) -> str:
    extra = "".join(f' Extra{bit}="1"' for bit in range(8) if number >> bit & 1)
    return (
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0" Name="{number}"{extra}>'
        f'<Pixels ID="P" DimensionOrder="XYCZT" Type="uint8" SizeX="{4 + number}" SizeY="4" SizeC="3" SizeZ="1" SizeT="1">'
        f'{channels}<TiffData IFD="0" PlaneCount="3"/></Pixels></Image></OME>'
    )


def test_documents_with_equal_channels_keep_what_is_their_own():
    for number in range(200):
        text = _document(number)
        image = parse_ome_xml(text.encode(), "a").images[0]
        root = ElementTree.fromstring(text)
        assert image.channel_names == tuple(
            element.get("Name") for element in root.iter() if element.tag.endswith("}Channel")
        )
        assert (image.name, image.size_x) == (str(number), 4 + number)
        assert image.acquisition is not None
        assert [channel.emission for channel in image.acquisition.channels] == ["500", "501", "502"]


def test_channels_are_parsed_once_where_documents_have_the_same():
    run = CHANNELS.replace("DNA", "dye of this test alone")
    ome_channels._seen.clear()
    ome_channels._read_list.cache_clear()
    assert cut_known_channels(_document(0, run)) is None  # seen for the first time
    for number in range(5):
        cut = cut_known_channels(_document(number, run))
        assert cut is not None
        assert cut[0] == _document(number, f"<{PLACE}/>")
    assert ome_channels._read_list.cache_info()[:2] == (4, 1)


def test_very_long_lists_of_channels_are_not_kept():
    run = "".join(f'<Channel ID="Channel:0:{number}" Name="n"/>' for number in range(1000))
    assert [cut_known_channels(_document(number, run)) for number in range(3)] == [None] * 3
    assert _parse(_document(3, run)).images[0].channel_names == ("n",) * 1000


PIECES = (
    '<Channel Name="a" SamplesPerPixel="3"/>', "<Channel Name='b'><DetectorSettings Binning=\"2x2\"/></Channel>", "<Channel ", 'Name="c"',
    "/>", ">", "</Channel>", "<Channel>", '<o:Channel xmlns:o="u" Name="d"/>', '<o:Channel Name="e"/>', '<LogicalChannel Name="f"/>',
    '<Channel SamplesPerPixel="-1"/>', '<Channel Name="g/>h"/>', '<Plane TheC="0" TheZ="0" TheT="0" DeltaT="', '"/>', "<!--", "-->", "<![CDATA[", "]]>",
    "<?note ", "?>", '<TiffData IFD="0"/>', "</Pixels></Image><Image><Pixels>", f"<{PLACE}/>", "&amp;", "&x;", "text", "</OME><OME>",
    "</Pixels>", "<Pixels>", "<AcquisitionDate>", "</AcquisitionDate>", "<Channel xmlns='v' Name='i'/>",
)  # fmt: skip
WHOLE, HALF = PIECES[0], PIECES[2]


def _outcome(parse: Callable[[str], OmeDocument], text: str) -> OmeDocument | str:
    try:
        return parse(text)
    except CorruptStoreError as error:
        return str(error)


def _parse_whole(text: str) -> OmeDocument:
    return _collect(text, _Collector("", None))


@given(st.lists(st.sampled_from(PIECES), max_size=6), st.sampled_from(["image", "plane", "root", "bare"]))
@settings(max_examples=300, deadline=None)
@example([WHOLE, WHOLE], "image")
@example(['<Plane TheC="0" TheZ="0" TheT="0" DeltaT="', WHOLE, '"/>'], "image")
@example(["<!--", WHOLE, "-->", WHOLE], "image")
@example(["<![CDATA[", WHOLE, "]]>"], "image")
@example([WHOLE, "</Pixels></Image><Image><Pixels>", WHOLE], "image")
@example([WHOLE, '<TiffData IFD="0"/>', WHOLE], "image")
@example(["<Channel>", WHOLE, "</Channel>", WHOLE], "image")
@example([WHOLE], "bare")
@example([HALF, 'Name="g/>h"', "/>"], "image")
def test_a_document_without_its_channels_is_the_whole_document(pieces: list[str], place: str):
    middle = "".join(pieces)
    text = {
        "image": f'<OME UUID="u"><Image ID="I"><Pixels SizeC="2">{middle}</Pixels></Image></OME>',
        "plane": f'<OME><Image><AcquisitionDate>{middle}2020</AcquisitionDate><Pixels><Plane TheC="0" TheZ="0" TheT="0" DeltaT="1">{middle}</Plane></Pixels></Image></OME>',
        "root": f"<OME>{middle}<Instrument><Objective ID='O'>{middle}</Objective></Instrument><Plate>{middle}</Plate></OME>",
        "bare": middle,
    }[place]
    expected = _outcome(_parse_whole, text)
    for _ in range(3):
        assert _outcome(_parse, text) == expected


@pytest.mark.parametrize("channels", ['<Channel Name="a" SamplesPerPixel="many"/>', '<Channel Name="a">'])
def test_what_is_wrong_with_channels_is_said_of_each_document(channels: str):
    for name in ("first", "second", "third"):
        with pytest.raises(CorruptStoreError, match=name):
            parse_ome_xml(_document(0, channels).encode(), name)
