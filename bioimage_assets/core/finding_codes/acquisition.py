"""Codes about stage positions and acquisition times that cannot all be true."""

from __future__ import annotations

from bioimage_assets.core.finding_codes.record import INFO, WARNING, CodeFamily, FindingCode

PLANES_EXAMPLE = (
    "[images]\nfile_pattern = "
    "'(?P<well>[A-P]\\d{2})_s(?P<site>\\d+)_t(?P<t>\\d+)_z(?P<z>\\d+)_(?P<channel>[A-Za-z0-9]+)\\.tif'"
)

ACQUISITION = CodeFamily(
    "acquisition",
    "Stage positions and times",
    seen_in=(
        "scan",
        "scan_findings",
        "acquisition_planes",
    ),
    page="stores.md#acquisition-facts",
    codes=(
        FindingCode(
            "fields-at-one-position",
            WARNING,
            means="Several fields of a well are at the same stage position.",
            cause="They are z steps or time points that were read as sites, or a field was imaged again.",
            remedy="In a folder of image files write a `file_pattern` with groups `z` or `t` into dataset.toml, where they are planes of one field; give a "
            "repeated acquisition a group `acquisition`. Other stores have to be written again, with these planes as z or time.",
            setting=PLANES_EXAMPLE,
        ),
        FindingCode(
            "positions-all-equal",
            INFO,
            means="All fields of the plate have the same stage position: the writer did not know them.",
            cause="The program wrote zeros or the last position to every image.",
            remedy="Do not lay fields out by these positions.",
        ),
        FindingCode(
            "fields-apart",
            WARNING,
            means="Neighbouring fields overlap by less than the sidecar states, or lie apart.",
            cause="The stage lost steps, or the stated overlap is that of another setting.",
            remedy="Stitch by the positions in `image_assets.acquisition` in place of the stated overlap, and look at the wells in the message.",
        ),
        FindingCode(
            "times-run-backwards",
            WARNING,
            means="A later time point was taken before an earlier one.",
            cause="Time points are numbered wrong by the names or the pattern, or the clock was set during the run.",
            remedy="Compare the file names with the times. Correct `file_pattern` in dataset.toml where the number is not the time point.",
            setting=PLANES_EXAMPLE,
        ),
    ),
)
