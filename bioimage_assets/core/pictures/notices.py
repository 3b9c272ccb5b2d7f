"""The head of a plate's page: what nobody may miss about its links and measurements, before any number."""

from __future__ import annotations

from bioimage_assets.core.phrases import count_words
from bioimage_assets.core.pictures.page_parts import Notice, Tone
from bioimage_assets.core.pictures.plate_tables import PlateTables

# The verdict of the pixels on the links, as its findings are called.
_VERDICTS: dict[str, Tone] = {
    "links-contradicted-by-pixels": "error",
    "links-not-proven-by-pixels": "warning",
    "links-confirmed-by-pixels": "good",
}


def build_notices(tables: PlateTables) -> tuple[Notice, ...]:
    """What stands in the head of the page: missing measurements, cells without image, the verdict of the pixels."""
    linked = _describe_links(tables)
    verdicts = _describe_verdict(tables)
    if any(notice.tone == "error" for notice in (*linked, *verdicts)):  # nothing good beside it
        verdicts = [notice for notice in verdicts if notice.tone != "good"]
    return (*_describe_measurements(tables), *linked, *verdicts)


def _describe_measurements(tables: PlateTables) -> list[Notice]:
    if not tables.is_unmeasured:
        return []
    text = (
        "No measurements: no file with cells of this plate was found, so that nothing is joined, judged or profiled. "
        "What lies beside the plate or in the folder measurements of its dataset is read by the next run."
    )
    return [Notice("warning", text)]


def _describe_links(tables: PlateTables) -> list[Notice]:
    measured = tables.measured_count
    if tables.is_imageless or tables.join_report is None or not measured:
        return []
    matched = tables.count_outcome("matched")
    if matched >= measured:
        return []
    cells = (
        f"{matched:,} of {count_words(measured, 'cell')} {'is' if matched == 1 else 'are'} linked to an image"
    )
    if not matched:
        return [Notice("error", f"{cells}: no number of this page belongs to an image of this plate.")]
    return [Notice("warning", f"{cells}.")]


def _describe_verdict(tables: PlateTables) -> list[Notice]:
    found = {finding.code: finding for finding in reversed(tables.findings)}
    return [
        Notice(
            "info" if tone == "warning" and found[code].severity == "info" else tone,
            found[code].message,
        )
        for code, tone in _VERDICTS.items()
        if code in found
    ]
