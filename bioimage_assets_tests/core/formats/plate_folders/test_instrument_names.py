"""Every example name of every instrument is read by its own layout, whole, and by no other."""

from __future__ import annotations

import pytest

from bioimage_assets.core.formats.plate_folders.patterns import PATTERNS, NameParts, parse_name
from bioimage_assets_tests.builders.tiff_plates import GUID

# name: layout, well, site, plate, channel, z, t
EXAMPLES: dict[str, tuple[str, str, str | None, str | None, str | None, int | None, int | None]] = {
    "r01c02f03p04-ch1sk5fk1fl1.tiff": ("opera-phenix", "A02", "3", None, "ch1", 4, 5),
    "110000106828_D08_T0001F002L01A03Z04C05.tif": ("cellvoyager", "D08", "2", "110000106828", "C05", 4, 1),
    "P_A01.a1_T0001F001L01A01Z01C01.tif": ("cellvoyager", "A01", "1", "P", "C01", 1, 1),
    "P_B03.c2_T0001F001L01A01Z01C01.tif": ("cellvoyager", "G10", "1", "P", "C01", 1, 1),
    "P_H12.d4_T0002F003L01A01Z04C05.png": ("cellvoyager", "AF48", "3", "P", "C05", 4, 2),
    "AS_09125_050116030001_D03f00d0.tif": ("cellomics", "D03", "0", "AS_09125_050116030001", "d0", None, None),
    "MFGTMP_AA48f01d2.tif": ("cellomics", "AA48", "1", "MFGTMP", "d2", None, None),
    "A - 01(fld 02 wv DAPI - DAPI).tif": ("incell", "A01", "2", None, "DAPI - DAPI", None, None),
    "A_01_f2_c1_xUV_mDAPI_z3_t2.tif": ("incell", "A01", "2", None, "c1", 3, 2),
    "AB_48_f2_c3_xBlue_mFITC_z1_t1.tif": ("incell", "AB48", "2", None, "c3", 1, 1),
    "B2_-1_1_3_DAPI_001.tif": ("cytation", "B02", "3", None, "DAPI", None, 1),
    "AB12_02_1_3_GFP 469,525_004.tif": ("cytation", "AB12", "3", None, "GFP 469,525", None, 4),
    f"MIP-2P-2sub_C05_s1_w1{GUID}.tif": ("imagexpress", "C05", "1", "MIP-2P-2sub", "w1", None, None),
    "P7_AF48_s12_w2.TIF": ("imagexpress", "AF48", "12", "P7", "w2", None, None),
    f"240124d3_B05_s15{GUID}.tif": ("imagexpress", "B05", "15", "240124d3", None, None, None),
    "A01_s1_w2_z10.tif": ("imagexpress", "A01", "1", None, "w2", 10, None),
    "Exp_7_t0_C05_s0_w0_z0.tif": ("metaxpress-acquire", "C05", "0", "Exp_7", "w0", 0, 0),
    "t12_AA05_s3_w4_z10.tif": ("metaxpress-acquire", "AA05", "3", None, "w4", 10, 12),
    "B2--W00014--P00001--Z00000--T00000--405 nm #1.tif": ("scanr", "B02", "1", None, "405 nm #1", 0, 0),
    "B2--W00026--P00002--Z00003--T00004--dapi.tif": ("scanr", "B02", "2", None, "dapi", 3, 4),
    "001001-1-001001001.tif": ("columbus", "A01", "1", None, "ch1", 1, 1),
    "016024-12-001001003.tiff": ("columbus", "P24", "12", None, "ch3", 1, 1),
    "Well A01/DAPI - n000000.tif": ("bd-pathway", "A01", "1", None, "DAPI", None, 0),
    "run/Well D11/DsRed - Confocal - n000002.tif": ("bd-pathway", "D11", "1", None, "DsRed - Confocal", None, 2),
    "MiaPaCa2-PhaseOriginal_A2_1_03d06h40m.tif": (
        "incucyte", "A02", "1", "MiaPaCa2", "PhaseOriginal", None, 3 * 1440 + 400,
    ),
    "VID123_A1_1_2024y01m02d_03h04m.tif": ("incucyte", "A01", "1", "VID123", None, None, 12904024),
    "2207/19/1110/262/B3-1-C2.tif": ("incucyte", "B03", "1", "262", "C2", None, 12125470),
    "WellA01_Point0000_ChannelDAPI_Seq0000.tif": ("nikon-jobs", "A01", "0", None, "DAPI", None, None),
    "20260728_143951_318__WellA01_PointA01_0003_ChannelWF_GFP_Seq0000.tiff": (
        "nikon-jobs", "A01", "3", None, "WF_GFP", None, None,
    ),
    "WellH06_PointH06_0007_ChannelDAPI,WF_GFP,TRITC,WF_Cy5,DIA_Seq0502.tiff": (
        "nikon-jobs", "H06", "7", None, None, None, None,
    ),
    "WellB02_Channel405,561,488,640_Seq0000-MaxIP_XY1_405.tif": ("nikon-jobs", "B02", "1", None, "405", None, None),
    "JOBS_Platename_WellA02_ChannelWidefield_Green_Seq0001.tif": (
        "nikon-jobs", "A02", "1", "JOBS_Platename", "Widefield_Green", None, None,
    ),
    "WellA01_Seq0000.tif": ("nikon-jobs", "A01", "1", None, None, None, None),
    "Channel1-13-B-01.tif": ("well-row-column", "B01", "1", None, "Channel1", None, None),
    "P9_A01_s1.ome.tif": ("imagexpress", "A01", "1", "P9", None, None, None),
    "B4_site_7.tif": ("well-site", "B04", "7", None, None, None, None),
    "P1_b04_f2_c1.tif": ("well-site", "B04", "2", "P1", "c1", None, None),
    "A01_DAPI.tif": ("well-channel", "A01", "1", None, "DAPI", None, None),
    "P1_H12_2_Hoechst 33342.tif": ("well-channel", "H12", "2", "P1", "Hoechst 33342", None, None),
    "plate-3_C7_488nm.tif": ("well-channel", "C07", "1", "plate-3", "488nm", None, None),
    "Exp7_A1_488.tif": ("well-number", "A01", "488", "Exp7", None, None, None),
    "Exp7_A1_A488.tif": ("well-channel", "A01", "1", "Exp7", "A488", None, None),
    "Exp7_A1_12.tif": ("well-number", "A01", "12", "Exp7", None, None, None),
}  # fmt: skip
NO_PLACES = (
    "img_c1_DAPI.tif", "A01_mask.tif", "A01_overlay.png", "A01_cells.tif", "img_c1_001.tif", "P_A13.a1_T0001F001L01A01Z01C01.tif",
    "P_A01.e1_T0001F001L01A01Z01C01.tif", "123456-1-001001001.tif", "001001-1.tif", "--W00088--P00001--Z00000--T00000--dapi.tif",
    "Slide1--W00001--P00001--Z00000--T00000--dapi.tif", "DAPI - n000000.tif", "Well Z99/DAPI - n000000.tif", "Seq0000.tif",
    "Channel1-01-A-49.tif", "A01_DAPI.csv", "overview.tif", "R_01_f2_c1_xUV_mDAPI_z3.tif",
)  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_name_is_read_by_the_layout_of_its_instrument(name: str):
    parts = parse_name(name)
    assert parts is not None
    found = (parts.layout, parts.well_id, parts.site_id, parts.plate, parts.channel, parts.z, parts.t)
    assert found == EXAMPLES[name]


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_two_layouts_compete_for_a_name(name: str):
    parts = name.split("/")
    fitting = [p for p in PATTERNS if p.regex.fullmatch("/".join(parts[-p.folders - 1 :]))]
    assert fitting[0].layout == EXAMPLES[name][0]
    for other in fitting[1:]:
        # What people write, and a well alone at the end (which "z10" looks like): never another instrument's site or channel.
        groups = other.regex.fullmatch(parts[-1])
        is_weak = groups is not None and groups["site"] is groups["channel"] is None
        assert other.layout in (fitting[0].layout, "well-site", "well-channel", "well-number") or is_weak


@pytest.mark.parametrize("name", NO_PLACES)
def test_what_looks_like_a_place_and_is_none_is_not_read(name: str):
    assert parse_name(name) is None


def test_the_name_of_incell_spells_out_the_filters_of_its_numbered_channel():
    parts = parse_name("A_01_f2_c1_xUV_mDAPI_z3_t2.tif")
    assert isinstance(parts, NameParts)
    assert parts.channel_name == "UV - DAPI"


def test_scans_of_an_incucyte_are_in_the_order_of_their_times():
    stamps = ("2023y12m31d_23h59m", "2024y01m01d_00h00m", "2024y01m01d_04h00m", "2024y02m01d_00h00m")
    found = [parse_name(f"VID1_A1_1_{stamp}.tif") for stamp in stamps]
    times = [parts.t for parts in found if parts is not None and parts.t is not None]
    assert times == sorted(set(times))
    assert len(times) == 4
