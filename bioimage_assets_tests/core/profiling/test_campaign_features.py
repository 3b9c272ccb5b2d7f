"""What is said about each feature of a campaign counts plates that have a row."""

from pathlib import Path

from bioimage_assets.core.engines.open_source import warehouse_source
from bioimage_assets.core.profiling.campaign_features import build_campaign_features
from bioimage_assets.core.profiling.selection import DatasetFeatures, SelectionReport
from bioimage_assets.core.settings.campaign import CampaignSettings
from bioimage_assets_tests.core.engines.wells import WELLS, make_root

CAMPAIGN = CampaignSettings(name="c", datasets=("screen",))


def test_a_plate_without_a_row_has_no_feature(tmp_path: Path) -> None:
    wells = warehouse_source(make_root(tmp_path, plates=3), WELLS)
    odd = "Nuclei `odd`.[0]"  # of the second plate, and of the one without a row
    report = SelectionReport(3, 180, 0, 2, ("Cells_F0",), (odd,), ())
    rows = build_campaign_features(CAMPAIGN, wells, DatasetFeatures(("Cells_F0",), (odd,), 180), report)
    assert "screen/none" in wells.partitions
    counts = {row["feature"]: (row["plate_count"], row["dataset_count"]) for row in rows.to_pylist()}
    assert counts == {"Cells_F0": (3, 1), odd: (1, 1)}
