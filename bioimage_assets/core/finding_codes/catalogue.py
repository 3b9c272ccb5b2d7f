"""The catalogue of finding codes: all families, and one code by its name."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from bioimage_assets.core.finding_codes.acquisition import ACQUISITION
from bioimage_assets.core.finding_codes.batch_effects import BATCH_EFFECTS
from bioimage_assets.core.finding_codes.campaigns import CAMPAIGNS
from bioimage_assets.core.finding_codes.cell_quality import CELL_QUALITY
from bioimage_assets.core.finding_codes.discovery import DISCOVERY
from bioimage_assets.core.finding_codes.error_classes import ERRORS
from bioimage_assets.core.finding_codes.exports import EXPORTS
from bioimage_assets.core.finding_codes.file_names import FILE_NAMES
from bioimage_assets.core.finding_codes.gallery import GALLERY
from bioimage_assets.core.finding_codes.hits import HITS
from bioimage_assets.core.finding_codes.image_quality import IMAGE_QUALITY
from bioimage_assets.core.finding_codes.joins import JOINS
from bioimage_assets.core.finding_codes.measured_objects import MEASURED_OBJECTS
from bioimage_assets.core.finding_codes.measurement_files import MEASUREMENT_FILES
from bioimage_assets.core.finding_codes.ome_zarr import OME_ZARR
from bioimage_assets.core.finding_codes.ome_zarr_images import OME_ZARR_IMAGES
from bioimage_assets.core.finding_codes.plate_folders import PLATE_FOLDERS
from bioimage_assets.core.finding_codes.platemaps import PLATEMAPS
from bioimage_assets.core.finding_codes.profiles import PROFILES
from bioimage_assets.core.finding_codes.record import CodeFamily, FindingCode
from bioimage_assets.core.finding_codes.releases import RELEASES
from bioimage_assets.core.finding_codes.runs import RUNS
from bioimage_assets.core.finding_codes.stores import STORES
from bioimage_assets.core.finding_codes.tiff import TIFF
from bioimage_assets.core.finding_codes.zarr_arrays import ZARR_ARRAYS
from bioimage_assets.core.finding_codes.zarr_plates import ZARR_PLATES

FAMILIES: tuple[CodeFamily, ...] = (
    DISCOVERY,
    STORES,
    OME_ZARR,
    OME_ZARR_IMAGES,
    ZARR_PLATES,
    ZARR_ARRAYS,
    TIFF,
    FILE_NAMES,
    PLATE_FOLDERS,
    ACQUISITION,
    MEASUREMENT_FILES,
    MEASURED_OBJECTS,
    JOINS,
    IMAGE_QUALITY,
    CELL_QUALITY,
    PLATEMAPS,
    PROFILES,
    BATCH_EFFECTS,
    HITS,
    CAMPAIGNS,
    GALLERY,
    EXPORTS,
    RELEASES,
    RUNS,
)
"""In the order in which a plate meets them."""

ALL_FAMILIES = (*FAMILIES, ERRORS)
"""With the codes of errors, which are no findings."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A code in its family."""

    family: CodeFamily
    code: FindingCode

    @property
    def page(self) -> str:
        """Page below ``docs/`` that says more, with its section."""
        return self.family.page_of(self.code)

    @property
    def anchor(self) -> str:
        """Its place on the page of all codes."""
        return self.code.code


_BY_CODE = {code.code: Explained(family, code) for family in ALL_FAMILIES for code in family.codes}
_BY_CLASS = {one.code.error_class.lower(): one for one in _BY_CODE.values() if one.code.error_class}
_BY_NAME = _BY_CODE | _BY_CLASS
_MAX_NEAR = 3


def find_code(name: str) -> Explained | None:
    """A code, by itself or by its class of errors; None where this project has none, as assets of users may make their own."""
    return _BY_NAME.get(name.strip().lower())


def list_codes() -> list[str]:
    """All codes of findings and errors in alphabetical order."""
    return sorted(_BY_CODE)


def find_near_codes(name: str) -> list[str]:
    """Codes that may be meant by a name: spelt alike, else those that hold it."""
    wanted = name.strip().lower()
    near = get_close_matches(wanted, _BY_NAME, n=_MAX_NEAR, cutoff=0.6)
    near = near or [known for known in sorted(_BY_NAME) if wanted and wanted in known][:_MAX_NEAR]
    return list(dict.fromkeys(_BY_NAME[known].code.code for known in near))
