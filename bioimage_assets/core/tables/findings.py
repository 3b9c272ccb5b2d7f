"""The ``scan_findings`` table of a plate.

Columns and types: ``bioimage_assets.core.tables.schemas.SCAN_FINDINGS``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import pyarrow as pa

from bioimage_assets.core.findings import Finding
from bioimage_assets.core.tables.schemas import SCAN_FINDINGS

_KEY = ("store_uri", "location", "code", "message")


def build_scan_findings(
    findings: Iterable[Finding],
    *,
    plate_key: str,
    dataset_id: str,
    seen: datetime | None = None,
    earlier: pa.Table | None = None,
) -> pa.Table:
    """Build one row per distinct finding.

    Parameters
    ----------
    seen
        Time of the scan; default now, UTC.
    earlier
        The plate's rows of the scan before: a finding that is still there keeps its ``first_seen``.
    """
    now = seen or datetime.now(UTC)
    rows = list(dict.fromkeys(findings))
    first_seen = _first_seen(earlier)
    keys = [(row.store_uri, row.location, row.code, row.message) for row in rows]
    columns = {
        "plate_key": [plate_key] * len(rows),
        "dataset_id": [dataset_id] * len(rows),
        "store_uri": [row.store_uri for row in rows],
        "location": [row.location for row in rows],
        "code": [row.code for row in rows],
        "severity": [row.severity for row in rows],
        "message": [row.message for row in rows],
        "first_seen": [first_seen.get(key, now) for key in keys],
        "last_seen": [now] * len(rows),
    }
    return pa.table(columns, schema=SCAN_FINDINGS)


def _first_seen(earlier: pa.Table | None) -> dict[tuple[object, ...], datetime]:
    if earlier is None or earlier.num_rows == 0:
        return {}
    keys = zip(*(earlier[name].to_pylist() for name in _KEY), strict=True)
    return dict(zip(keys, earlier["first_seen"].to_pylist(), strict=True))
