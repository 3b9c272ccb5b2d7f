"""The plates of several watched roots in one list; a root that fails never hides the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from bioimage_assets.core.discovery.listing import Discovery, discover_plates
from bioimage_assets.core.discovery.plate_in_two_roots import build_root_clash
from bioimage_assets.core.errors import StoreError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.identity import build_key_part
from bioimage_assets.core.model.plate_source import PlateSource


def discover_roots(
    root_uris: Iterable[str],
    *,
    storage_options: Mapping[str, object] | None = None,
    datasets: Iterable[str] | None = None,
    plate_keys: Collection[str] | None = None,
) -> Discovery:
    """List the plates of all roots, sorted by key.

    ``datasets`` keeps only plates whose key's dataset part is named. The same key in two roots is an
    error finding that names both stores; the first root keeps the plate. ``plate_keys`` lists the files
    of these plates only.
    """
    wanted = None if datasets is None else {build_key_part(name) for name in datasets}
    taken: dict[str, PlateSource] = {}
    findings: list[Finding] = []
    for root_uri in root_uris:
        try:
            found = discover_plates(
                root_uri, storage_options=storage_options, datasets=datasets, plate_keys=plate_keys
            )
        except StoreError as error:
            findings.append(Finding("unreadable-root", "error", "", str(error), root_uri))
            continue
        findings.extend(found.findings)
        for source in found.sources:
            if wanted is not None and source.plate_key.partition("/")[0] not in wanted:
                continue
            other = taken.setdefault(source.plate_key, source)
            if other is not source:
                if source.store_uris and not other.store_uris:  # images say more than measurements alone
                    taken[source.plate_key], other, source = source, source, other
                findings.append(_clash(other, source))
    return Discovery(tuple(taken[key] for key in sorted(taken)), tuple(findings))


def _clash(kept: PlateSource, refused: PlateSource) -> Finding:
    first, second = ((*source.store_uris, *source.measurement_uris)[0] for source in (kept, refused))
    return build_root_clash(
        kept.plate_key, first, second, is_split=bool(kept.store_uris) > bool(refused.store_uris)
    )
