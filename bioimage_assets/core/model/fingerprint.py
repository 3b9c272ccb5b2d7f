"""Fingerprints: digests that change exactly when what was read or listed changes."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

FINGERPRINT_BYTES = 16  # 128 bits: no two states of millions of plates share one by chance


def digest_documents(documents: Iterable[tuple[str, bytes]]) -> str:
    """Digest (path, bytes) pairs, order-independent; 32 hexadecimal digits."""
    total = blake2b(digest_size=FINGERPRINT_BYTES)
    for path, payload in sorted(documents):
        name = path.encode()
        total.update(
            b"".join((len(name).to_bytes(8, "little"), name, len(payload).to_bytes(8, "little"), payload))
        )
    return total.hexdigest()


def combine_fingerprints(parts: Iterable[str]) -> str:
    """Digest several fingerprints into one, order-independent."""
    total = blake2b(digest_size=FINGERPRINT_BYTES)
    for part in sorted(parts):
        total.update(part.encode() + b"\0")
    return total.hexdigest()
