"""The controlled vocabulary of table roles and the namespace each role belongs to.

Source: Cytomining warehouse specification 1.0.0, sections on namespaces (C1-C4) and roles (R1-R5).
The role ``reports`` covers this project's scan findings, completeness and join reports (R3).
"""

from __future__ import annotations

import re

from bioimage_assets.core.errors import WarehouseRoleError

SPEC_VERSION = "1.0.0"
SUPPORTED_MAJOR = 1

# role -> namespaces that may hold it, the first one being the default
ROLE_NAMESPACES: dict[str, tuple[str, ...]] = {
    "profiles": ("profiles",),
    "joined_profiles": ("profiles",),
    "profile_with_images": ("profiles",),
    "image_assets": ("images",),
    "chunk_index": ("images",),
    "image_crops": ("images",),
    "source_images": ("images",),
    "quality_control": ("quality_control",),
    "embeddings": ("embeddings", "profiles"),
    "annotations": ("annotations",),
    "reports": ("reports",),
}

# names whose table the specification fixes (I3, I4, T1-T4)
FIXED_IDENTIFIERS: dict[str, str] = {
    "image_assets": "images.image_assets",
    "chunk_index": "images.chunk_index",
    "image_crops": "images.image_crops",
    "source_images": "images.source_images",
    "joined_profiles": "profiles.joined_profiles",
    "profile_with_images": "profiles.profile_with_images",
}

PROFILE_ROLES = frozenset({"profiles", "joined_profiles", "profile_with_images"})

_SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")


def check_role(role: str) -> None:
    """Raise WarehouseRoleError unless the role is in the vocabulary."""
    if role not in ROLE_NAMESPACES:
        raise WarehouseRoleError(
            f"Role {role!r} is not in the warehouse vocabulary; expected one of {', '.join(sorted(ROLE_NAMESPACES))}."
        )


def default_namespace(role: str) -> str:
    """Namespace a table of this role lives in unless its name says otherwise."""
    check_role(role)
    return ROLE_NAMESPACES[role][0]


def check_role_namespace(role: str, namespace: str) -> None:
    """Raise WarehouseRoleError when the specification keeps this role out of the namespace, or demands another."""
    check_role(role)
    if role == "quality_control" and namespace != "quality_control":
        raise WarehouseRoleError("quality_control role must use the quality_control namespace.")
    if namespace not in ROLE_NAMESPACES[role]:
        allowed = " or ".join(ROLE_NAMESPACES[role])
        raise WarehouseRoleError(
            f"A table with role {role!r} belongs in namespace {allowed}, found {namespace!r}."
        )


def parse_semver(text: object) -> tuple[int, int, int] | None:
    """Read a semantic version, None where the text is none."""
    match = _SEMVER.fullmatch(text) if isinstance(text, str) else None
    return (int(match[1]), int(match[2]), int(match[3])) if match else None
