"""Codes about one OME-Zarr image: its levels, axes, scales and channels."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import ERROR, INFO, WARNING, CodeFamily, FindingCode

OME_ZARR_IMAGES = CodeFamily(
    "ome-zarr-images",
    "OME-Zarr images: levels, axes and scales",
    seen_in=(
        "scan",
        "scan_findings",
    ),
    page="stores.md#what-a-row-holds",
    codes=(
        FindingCode(
            "no-multiscales",
            WARNING,
            means="A group that should be an image has an empty list `multiscales`; it gives no row.",
            cause="The writer stopped before it wrote the image, or the metadata were emptied.",
            remedy="Write the image again, or add `multiscales` with its levels.",
            page="stores.md#layouts",
        ),
        FindingCode(
            "empty-multiscales",
            WARNING,
            means="An image lists no level that can be used.",
            cause="`datasets` is empty, or all its paths were refused (see `unsafe-path`).",
            remedy="Correct `datasets` in the metadata of the image: one entry per level, the largest first.",
            page="broken-stores.md",
        ),
        FindingCode(
            "missing-level",
            ERROR,
            means="A resolution level is listed and cannot be found; the image has its other levels.",
            cause="In OME-Zarr the array's folder or its metadata are not there: the copy is not complete, or the pyramid was not finished. In a TIFF a "
            "sub-resolution points at another page, at nothing, or cannot be read.",
            remedy="Copy the store or file again. If the level never existed, remove it from `datasets` (OME-Zarr) or write the pyramid again.",
            page="broken-stores.md",
        ),
        FindingCode(
            "missing-full-resolution",
            ERROR,
            means="The largest level of an image is missing or cannot be read, so the image has no row.",
            cause="The folder of the first level (mostly `0`) is not there or damaged. Interrupted copies leave the large files out first.",
            remedy="Copy the image again. Smaller levels alone are never taken for the image.",
            page="broken-stores.md",
        ),
        FindingCode(
            "unreadable-level",
            ERROR,
            means="The metadata of a level cannot be used; the image has its other levels.",
            cause="`.zarray` or `zarr.json` of the array is damaged, its shape is impossible, or it may not be read.",
            remedy="Correct the document that the message names, or write the level again.",
            page="broken-stores.md",
        ),
        FindingCode(
            "level-dimensions",
            ERROR,
            means="A level has another number of dimensions than the full resolution and is left out.",
            cause="A level was written without an axis of length one, mostly by hand-made pyramids.",
            remedy="Write the level with the same axes as the full resolution.",
            page="broken-stores.md",
        ),
        FindingCode(
            "level-dtype",
            WARNING,
            means="A level has another data type than the full resolution.",
            cause="The pyramid was computed as floats, or in 8 bits for display.",
            remedy="Do not measure on that level, or write the pyramid in the image's own type.",
            page="broken-stores.md",
        ),
        FindingCode(
            "level-order",
            WARNING,
            means="Levels are not listed from the largest to the smallest; the first counts as full resolution.",
            cause="`datasets` (OME-Zarr) or the SubIFDs (TIFF) are in the wrong order.",
            remedy="Sort the levels in the metadata from the largest to the smallest. If the first is not the largest, shapes and pixel sizes in the tables "
            "are those of a reduced image.",
            page="broken-stores.md",
        ),
        FindingCode(
            "duplicate-level",
            WARNING,
            means="A level is listed twice and is read once.",
            cause="`datasets` names the same path more than once.",
            remedy="Remove the repeated entry.",
            page="broken-stores.md",
        ),
        FindingCode(
            "unusable-axes",
            WARNING,
            means="The axes of an image cannot be used; its axes are empty in the tables.",
            cause="An axis has no name, a name twice, or a comma in it; in OME-Zarr 0.6 no coordinate system can be found.",
            remedy="Correct `axes` in `multiscales`: names such as `t c z y x`, each once.",
            page="broken-stores.md",
        ),
        FindingCode(
            "unclear-axis",
            WARNING + INFO,
            means="It is not certain what an axis is. It keeps its name, or one of two readings was taken.",
            cause="The name of an axis contradicts its type, two axes would both be `x`, a space axis has no known name, or the sizes fit two orders of "
            "axes. An info where the axis is none of time, channel, z, y and x (for example `wavelength`).",
            remedy="Look at `axes` of the image in the tables. If it is wrong, correct the axes in the store's metadata.",
            page="broken-stores.md",
        ),
        FindingCode(
            "axes-dimensions",
            WARNING,
            means="The axes do not fit the number of dimensions of the array; they are left empty.",
            cause="The metadata name more or fewer axes than the array has, mostly after an axis of length one was dropped.",
            remedy="Correct `axes` in `multiscales` to one entry per dimension.",
            page="broken-stores.md",
        ),
        FindingCode(
            "stored-axis-order",
            INFO,
            means="The axes of an image are taken from its XML, since the sizes fit only in that order.",
            cause="Early bioformats2raw stores keep the order of the file in place of `tczyx`.",
            remedy="Nothing. Readers that assume `tczyx` show such an image wrong.",
            page="stores.md#layouts",
        ),
        FindingCode(
            "unusable-scale",
            WARNING,
            means="A level has no scale with one positive number per axis, so its pixel size is unknown.",
            cause="`coordinateTransformations` has no scale, or one with the wrong number of values, or a rotation or affine transformation.",
            remedy="Write a scale with one positive number per axis for every level. Sizes in µm are empty until the first level has one.",
            page="broken-stores.md",
        ),
        FindingCode(
            "unknown-unit",
            INFO,
            means="The pixel size in µm is unknown, since an axis has no unit of length.",
            cause="`axes` has no `unit` for x or y, or a word that is no length.",
            remedy='Add `"unit": "micrometer"` to the axes x and y, if the scale is in µm. A missing unit is not taken for µm.',
        ),
        FindingCode(
            "channel-count",
            WARNING,
            means="The number of named channels differs from the number of channels of the array.",
            cause="`omero.channels` was copied from another image, or channels were added or removed later.",
            remedy="Correct `omero.channels`: one entry per channel, in the order of the array.",
            page="broken-stores.md",
        ),
    ),
)
