"""What is stored of each plate, in numbers counted in the stored tables: the table that ends every headless run."""

from dataclasses import dataclass
from typing import Any

from bioimage_assets.core.errors import BioimageError
from bioimage_assets.resources.project import ProjectResource


@dataclass(frozen=True)
class PlateSummary:
    """Row counts of one plate; None where the plate has no such table."""

    plate: str
    images: int
    labels: int
    chunks: int
    cells: int | None
    matched: int | None
    qc_failed: int | None
    wells: int | None


def summarize_plates(project: ProjectResource, plate_keys: list[str]) -> list[PlateSummary]:
    """Count the stored rows of plates, in catalog and warehouse."""
    import pyarrow.compute as pc

    tables = project.tables()

    def column_of(name: str, column: str, key: str) -> Any:
        rows = tables.find(name, key, [column])
        return None if rows is None else rows[column]

    rows = []
    for key in plate_keys:
        try:
            kinds = tables.read("image_assets", key, ["image_kind"])["image_kind"]
            chunks = tables.read("chunk_index", key, ["plate_key"]).num_rows
        except BioimageError:  # nothing of this plate is stored
            rows.append(PlateSummary(key, 0, 0, 0, None, None, None, None))
            continue
        labels = pc.sum(pc.equal(kinds, "label")).as_py() or 0
        rules = column_of("joined_profiles", "join_rule", key)
        failed = column_of("cosmicqc_profiles", "Metadata_cqc_failed", key)
        wells = column_of("pycytominer_profiles", "well_id", key)
        rows.append(
            PlateSummary(
                plate=key,
                images=len(kinds) - labels,
                labels=labels,
                chunks=chunks,
                cells=None if rules is None else len(rules),
                matched=None if rules is None else len(rules) - rules.null_count,
                qc_failed=None if failed is None else pc.sum(failed).as_py() or 0,
                wells=None if wells is None else len(wells.unique()),
            )
        )
    return rows
