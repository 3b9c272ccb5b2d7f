"""Makes XML from untrusted files safe to parse: size capped, DOCTYPE refused, encoding settled.

Billion laughs, external entities and odd encodings all need a DOCTYPE or an XML declaration; the first is
refused here and the second removed, whatever the version of expat below would do.
"""

from __future__ import annotations

import re
from typing import Literal

from bioimage_assets.core.errors import CorruptStoreError

MAX_XML_BYTES = 256 * 1024 * 1024  # the XML of a set of half a million planes; see MAX_ELEMENTS in ome_xml
_FORBIDDEN = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)

Repair = Literal["latin-1"]


def read_xml_text(payload: bytes, name: str, *, max_bytes: int = MAX_XML_BYTES) -> tuple[str, Repair | None]:
    """Decode XML and say whether its encoding had to be repaired; CorruptStoreError where it is refused.

    UTF-8 and UTF-16 (with byte order mark) are read; bytes that are not UTF-8 are taken as Latin-1, which
    is what writers with a bare ``µ`` meant. Parse the result as text: its declaration is gone.
    """
    if len(payload) > max_bytes:
        raise CorruptStoreError(f"{name}: {len(payload)} bytes of XML, at most {max_bytes} are read.")
    repair: Repair | None = None
    try:
        encoding = "utf-16" if payload[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        text = payload.decode(encoding)
    except UnicodeDecodeError:
        text, repair = payload.decode("latin-1"), "latin-1"
    text = text.strip("\0 \t\r\n")
    if text.startswith("<?xml"):
        text = text[text.find("?>") + 2 :]
    if "!" in text and _FORBIDDEN.search(text):
        raise CorruptStoreError(f"{name}: the XML carries a DOCTYPE or ENTITY, which is refused unread.")
    return text, repair
