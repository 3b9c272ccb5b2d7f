"""Every OME-XML that a test of this folder scans is read by ome-types too."""

from __future__ import annotations

import ome_types
import pytest

from bioimage_assets.core.formats.ome_tiff import file_scan
from bioimage_assets.core.formats.ome_tiff.ome_model import OmeDocument
from bioimage_assets_tests.core.formats.ome_tiff.ome_types_witness import check_document

_LARGEST_BYTES = 64 * 1024


@pytest.fixture(autouse=True)
def witnessed_xml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare each document that a scan parses; a document that ome-types does not take as valid fails the test."""
    parse = file_scan.parse_ome_xml

    def parse_with_witness(payload: bytes, name: str) -> OmeDocument:
        document = parse(payload, name)
        if len(payload) <= _LARGEST_BYTES and document.repair is None:
            check_document(document, ome_types.from_xml(payload))
        return document

    monkeypatch.setattr(file_scan, "parse_ome_xml", parse_with_witness)
