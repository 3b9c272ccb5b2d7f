"""What Dagster, a page and `browse` know of a cell lead to the same place."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest

from bioimage_assets.core.settings.project import DEFAULT_BROWSE_URL
from bioimage_assets_tests.core.pictures.page_reader import read_page

pytestmark = pytest.mark.slow

PLATE = "screen-a/SA-P1"


def metadata_of(instance: dg.DagsterInstance, table: str) -> dict[str, dg.MetadataValue]:
    """What the newest materialisation of a plate's table says."""
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(table), asset_partitions=[PLATE]), limit=1
    ).records
    materialization = found[0].asset_materialization
    assert materialization is not None
    return dict(materialization.metadata)


@pytest.mark.parametrize("table", ["joined_profiles", "cosmicqc_profiles", "plate_report"])
def test_a_materialisation_links_to_the_pixels_of_its_plate(built, table: str) -> None:
    link = urlsplit(metadata_of(built.instance, table)["pixels"].value)
    assert f"{link.scheme}://{link.netloc}{link.path}" == f"{DEFAULT_BROWSE_URL}/go"
    assert parse_qs(link.query) == {"dataset": ["screen-a"], "plate": ["SA-P1"]}


def test_the_worst_cells_of_a_materialisation_stand_on_the_page_and_failed(built) -> None:
    text = metadata_of(built.instance, "cosmicqc_profiles")["worst_cells"].value
    cells = [parse_qs(urlsplit(link).query)["cell"][0] for link in re.findall(r"\]\(<([^>]+)>\)", text)]
    qc = built.project.tables().read("cosmicqc_profiles", PLATE).to_pandas()
    failed = set(qc.loc[qc["Metadata_cqc_failed"], "Metadata_ObjectID"])
    assert cells
    assert set(cells) <= failed
    assert "bioimage-assets browse" in text
    page = read_page((built.project.settings.reports_dir / "plates" / f"{PLATE}.html").read_text())
    linked = {parse_qs(urlsplit(link).query).get("cell", [""])[0] for link in page.links}
    assert set(cells) <= linked
    wells = {parse_qs(urlsplit(link).query).get("well", [""])[0] for link in page.links} - {""}
    profiled = built.project.tables().read("pycytominer_profiles", PLATE)["well_id"].to_pylist()
    assert set(profiled) <= wells
