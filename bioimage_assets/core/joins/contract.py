"""Whether the columns of a profile table satisfy the microscopy join contract.

The contract of the seeds asks for ``dataset_id`` and ``image_id`` (aliases resolved) and recommends plate, well
and site. ``linking_rules`` says besides which of the project's own join rules the columns allow.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from bioimage_assets.core.errors import BioimageError, ContractError
from bioimage_assets.core.joins.aliases import ResolvedColumns, resolve_profile_columns
from bioimage_assets.core.joins.join_rules import JoinRule
from bioimage_assets.core.joins.keys import file_column_kind
from bioimage_assets.core.joins.sources import open_profiles
from bioimage_assets.core.model.well_columns import find_well_columns

REQUIRED_KEYS = ("dataset_id", "image_id")
RECOMMENDED_KEYS = ("plate_id", "well_id", "site_id")


@dataclass(frozen=True, slots=True)
class ContractValidationResult:
    """Verdict on one table; ``is_valid`` is the contract of the seeds, ``is_linkable`` what joins here need.

    Lists where the seeds have lists, so that comparisons written for them hold.
    """

    target: str
    present_columns: list[str]
    required_columns: list[str]
    recommended_columns: list[str]
    missing_required_columns: list[str]
    missing_recommended_columns: list[str]
    warnings: list[str]
    linking_rules: tuple[JoinRule, ...] = ()

    @property
    def is_valid(self) -> bool:
        """All required keys are present under their own name or an alias."""
        return not self.missing_required_columns

    @property
    def is_linkable(self) -> bool:
        """At least one linking rule has its columns."""
        return bool(self.linking_rules)

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return plain | {"is_valid": self.is_valid, "is_linkable": self.is_linkable}

    def to_json(self, **options: object) -> str:
        """JSON text of ``to_dict``; options go to ``json.dumps``."""
        return json.dumps(self.to_dict(), **options)  # type: ignore[arg-type]


def validate_microscopy_profile_columns(
    columns: Iterable[str],
    *,
    target: str = "profile_table",
    alias_map: Mapping[str, object] | None = None,
    profile_dataset_id: str | None = None,
) -> ContractValidationResult:
    """Check column names against the contract; ``profile_dataset_id`` stands in for a dataset column.

    Examples
    --------
    >>> validate_microscopy_profile_columns(["Metadata_dataset_id", "Metadata_ImageID"]).is_valid
    True
    """
    names = tuple(columns)
    resolved = resolve_profile_columns(names, alias_map, profile_dataset_id)
    given = set(resolved.columns) | ({"dataset_id"} if profile_dataset_id is not None else set())
    missing = tuple(key for key in REQUIRED_KEYS if key not in given)
    wished = tuple(key for key in RECOMMENDED_KEYS if key not in given)
    rules = find_linking_rules(names, resolved)
    return ContractValidationResult(
        target=target,
        present_columns=list(names),
        required_columns=list(REQUIRED_KEYS),
        recommended_columns=list(RECOMMENDED_KEYS),
        missing_required_columns=list(missing),
        missing_recommended_columns=list(wished),
        warnings=_warnings(resolved, missing, wished, rules),
        linking_rules=rules,
    )


def validate_microscopy_profile_table(
    path: object,
    *,
    alias_map: Mapping[str, object] | None = None,
    profile_dataset_id: str | None = None,
    storage_options: Mapping[str, object] | None = None,
) -> ContractValidationResult:
    """Check a table of any kind that joins accept; one that cannot be read is invalid, with the reason.

    ``storage_options`` open a table in a bucket; by default the project's (``BIOIMAGE_STORAGE_*``) do.

    Examples
    --------
    >>> validate_microscopy_profile_table("data/profiles.parquet").is_linkable
    True
    """
    target = str(path) if isinstance(path, str) or hasattr(path, "__fspath__") else type(path).__name__
    try:
        names = open_profiles(path, storage_options).schema.names
    except BioimageError as error:
        result = validate_microscopy_profile_columns([], target=target, alias_map=alias_map)
        return ContractValidationResult(
            target, [], list(REQUIRED_KEYS), list(RECOMMENDED_KEYS), list(REQUIRED_KEYS), list(RECOMMENDED_KEYS),
            [f"Invalid dataset path: {error}", *result.warnings],
        )  # fmt: skip
    return validate_microscopy_profile_columns(
        names, target=target, alias_map=alias_map, profile_dataset_id=profile_dataset_id
    )


def find_linking_rules(columns: Iterable[str], resolved: ResolvedColumns) -> tuple[JoinRule, ...]:
    """Join rules whose columns are there."""
    columns = tuple(columns)
    kinds = {file_column_kind(name) for name in columns}
    found: list[JoinRule] = []
    if resolved.get("image_id"):
        found.append("image_id")
    if resolved.get("well_id") or find_well_columns(columns):
        found.append("plate_well_site" if resolved.get("site_id") else "plate_well")
    if "md5" in kinds:
        found.append("md5")
    if "url" in kinds or {"file_name", "path_name"} <= kinds:
        found.append("path")
    if "file_name" in kinds:
        found.append("file_name")
    return tuple(found)


def require_linkable(columns: Iterable[str], resolved: ResolvedColumns) -> None:
    """Raise ContractError when no join rule has its columns."""
    names = tuple(columns)
    if find_linking_rules(names, resolved):
        return
    missing = ", ".join(key for key in REQUIRED_KEYS if not resolved.get(key))
    raise ContractError(
        f"Profiles do not satisfy the microscopy join contract: {missing}. Expected an image id, a well (with plate "
        "and site), or CellProfiler file name columns; declare other names in alias_map or [microscopy.aliases]. "
        f"Found: {', '.join(names[:12])}{' …' if len(names) > 12 else ''}"
    )


def _warnings(
    resolved: ResolvedColumns, missing: tuple[str, ...], wished: tuple[str, ...], rules: tuple[JoinRule, ...]
) -> list[str]:
    renamed = [f"{key}<-{name}" for key, name in resolved.columns.items() if key != name]
    texts = []
    if renamed:
        texts.append("Microscopy join keys will require alias normalization: " + ", ".join(renamed))
    if wished:
        texts.append("Recommended microscopy join keys are missing: " + ", ".join(wished))
    if missing and rules:
        texts.append("Rows can still be linked by: " + ", ".join(rules))
    return [*texts, *(finding.message for finding in resolved.findings)]
