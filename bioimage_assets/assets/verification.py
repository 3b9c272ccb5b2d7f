"""Every night a share of the stored files is read to the last byte, and all of them are looked for."""

from datetime import date
from typing import Any

import dagster as dg

from bioimage_assets.assets.sources import OWNERS
from bioimage_assets.resources.project import ProjectResource

NIGHTS = 30
MAX_BYTES = 100 << 30


class VerificationConfig(dg.Config):
    """How the files are spread over nights. ``day`` (ISO date): whose share is read; today's where it is empty."""

    nights: int = NIGHTS
    max_bytes: int = MAX_BYTES
    day: str = ""


@dg.asset(group_name="maintenance", kinds={"parquet", "iceberg"}, owners=OWNERS)
def stored_files_verified(
    context: dg.AssetExecutionContext, config: VerificationConfig, project: ProjectResource
) -> dg.MaterializeResult[None]:
    """All stored files are there, and tonight's share of them is whole to the last bit.

    Fails with the names of the files that are lost or damaged. Changes nothing.
    """
    from bioimage_assets.core.errors import WarehouseError
    from bioimage_assets.retrying import raise_failures

    day = date.fromisoformat(config.day) if config.day else date.today()
    found = verify_share(project, day, nights=config.nights, max_bytes=config.max_bytes)
    for problem in found["problems"]:
        context.log.error(problem)
    if found["files_left_out"]:
        context.log.warning(
            f"{found['files_left_out']} file(s) of tonight's share were not read: the limit of {config.max_bytes} bytes "
            "is reached. Give this job more nights or more bytes."
        )
    if found["problems"]:
        count, listed = len(found["problems"]), "; ".join(found["problems"][:20])
        text = f"{count} stored file(s) are lost or damaged: {listed}"
        raise_failures(context, {"stored files": WarehouseError(text)}, 1)
    return dg.MaterializeResult(metadata={**found, "nights": config.nights, "day": day.isoformat()})


def verify_share(project: ProjectResource, day: date, *, nights: int, max_bytes: int) -> dict[str, Any]:
    """Look for all stored files and read the share of a day; counts, and a sentence per file that is not as it was written."""
    from bioimage_assets.core.files_of_the_day import choose_share
    from bioimage_assets.core.storage.state import look_at_stored

    stored = look_at_stored(project.tables())
    problems = [
        f"{key}: {lost}; `bioimage-assets materialize` builds it again"
        for key in stored.partitions_with_losses
        for lost in stored.lost(key)
    ]
    problems += [f"{name}: {one.unreadable}" for name, one in stored.catalog.items() if one.unreadable]
    checks = [*_list_warehouse(project), *_list_catalog(project, stored)]
    share = choose_share(
        checks, lambda one: one[0], lambda one: one[1], day, nights=nights, max_bytes=max_bytes
    )
    found = [check() for _, _, check in share.chosen]
    problems += [problem for problem in found if problem is not None]
    return {
        "problems": problems,
        "files_stored": len(checks),
        "files_read": len(share.chosen),
        "bytes_read": dg.MetadataValue.int(share.size_bytes),
        "files_left_out": len(share.left_out),
    }


def _list_warehouse(project: ProjectResource) -> list[tuple[str, int, Any]]:
    """Name, size and check of every file of the warehouse that is there."""
    from functools import partial

    from bioimage_assets.core.warehouse.validation.contents import check_file, list_all_files

    files = project.warehouse().files_at
    return [
        (file.path, file.found_bytes, partial(check_file, files, file))
        for file in list_all_files(files)
        if file.found_bytes is not None and file.size_bytes in (0, file.found_bytes)
    ]


def _list_catalog(project: ProjectResource, stored: Any) -> list[tuple[str, int, Any]]:
    """The same of the catalog's tables; files that are known to be lost are named already."""
    from functools import partial

    from bioimage_assets.core.catalog.session import resolve_identifier
    from bioimage_assets.core.catalog.verify import check_data_file, list_data_files

    found: list[tuple[str, int, Any]] = []
    for name, present in stored.catalog.items():
        if present.unreadable or present.is_missing:
            continue
        catalog = project.catalog()
        identifier = resolve_identifier(catalog, project.settings.catalog_namespace, name)
        lost = " ".join(present.lost.values())
        found += [
            (file.location, file.size_bytes, partial(check_data_file, file))
            for file in list_data_files(catalog, identifier)
            if file.location not in lost
        ]
    return found
