"""campaign.toml: every key is read, every mistake names file, campaign and key, and hides no other campaign."""

from __future__ import annotations

from pathlib import Path

import pytest

from bioimage_assets.core.discovery.campaigns import (
    FoundCampaigns,
    gather_campaign,
    read_campaigns,
    require_campaign_named,
)
from bioimage_assets.core.discovery.listing import discover_plates
from bioimage_assets.core.errors import SettingsError
from bioimage_assets.core.findings import Finding
from bioimage_assets.core.model.identity import dimension_of
from bioimage_assets.core.model.plate_source import PlateSource
from bioimage_assets.core.settings.campaign_keys import CAMPAIGN_KEYS
from bioimage_assets.core.settings.dataset import DatasetSettings

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "campaigns.md"
PILOT = '[campaigns.pilot]\ndatasets = ["day 1", "day-2"]\n'


def read(folder: Path, text: str) -> FoundCampaigns:
    (folder / "campaign.toml").write_text(text)
    return read_campaigns([str(folder)])


def refuse(folder: Path, text: str) -> Finding:
    found = read(folder, text)
    (finding,) = found.findings
    assert finding.severity == "error"
    assert f"{folder}/campaign.toml" in finding.message
    return finding


def test_a_campaign_is_a_partition_named_by_its_table(tmp_path):
    campaigns = read(tmp_path, PILOT).campaigns
    assert list(campaigns) == ["campaign:pilot"]
    assert dimension_of("campaign:pilot") == "campaign"
    pilot = campaigns["campaign:pilot"]
    assert (pilot.name, pilot.datasets, pilot.file_uri) == (
        "pilot", ("day%201", "day-2"), f"{tmp_path}/campaign.toml",
    )  # fmt: skip


def test_every_key_is_read(tmp_path):
    text = PILOT + (
        'batch = { "day 1" = "b1" }\nsource = { day-2 = "lab" }\n'
        '[campaigns.pilot.controls]\ncolumn = "Metadata_type"\nvalues = "DMSO"\nmin_count = 2\n'
        '[campaigns.pilot.treatments]\ncolumns = ["Metadata_gene"]\n'
        "[campaigns.pilot.consensus]\nmix_references = true\n"
        '[campaigns.pilot.profiles]\ngroup_by = ["Metadata_Time"]\n'
        "[campaigns.pilot.selection]\ncorrelation_limit = 0.8\noutlier_limit = 100\n"
        '[campaigns.pilot.cells]\naggregate = "mean"\n[campaigns.pilot.pages]\npictures = false\n'
        '[campaigns.pilot.hits]\nsignificance = 0.01\nnull_size = 500\naverage_precision = "built_in"\nexplained_variance = 0.9\n'
    )
    pilot = read(tmp_path, text).campaigns["campaign:pilot"]
    assert [pilot.batch_of("day%201/P1"), pilot.batch_of("day-2/P1")] == ["b1", "day-2"]
    assert [pilot.source_of("day%201"), pilot.source_of("day-2")] == ["", "lab"]
    assert (pilot.control_column, pilot.control_values, pilot.min_controls) == (
        "Metadata_type",
        ("DMSO",),
        2,
    )
    assert (pilot.treatment_columns, pilot.mix_references) == (("Metadata_gene",), True)
    assert (pilot.correlation_limit, pilot.outlier_limit, pilot.cell_aggregate) == (0.8, 100.0, "mean")
    assert (pilot.hits_significance, pilot.hits_null_size) == (0.01, 500)
    assert (pilot.hits_average_precision, pilot.hits_explained_variance) == ("built_in", 0.9)
    assert pilot.stated == {key.field for key in CAMPAIGN_KEYS}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PILOT + 'bacth = { "day 1" = "b" }\n', "unknown key 'bacth'. Did you mean 'batch'?"),
        (PILOT + '[campaigns.pilot.controls]\nvalue = ["x"]\n', "Did you mean 'controls.values'?"),
        (PILOT + '[campaigns.pilot.qc]\nmax_fail_fraction = 1\n', "unknown key 'qc"),
        (PILOT + 'batch = { "day 3" = "b" }\n', "batch: 'day%203' is none of the campaign's datasets. Did you mean"),
        ('[campaigns.pilot]\nbatch = { a = "b" }\n', "datasets is missing"),
        ("[campaigns.pilot]\ndatasets = []\n", "expected at least one text"),
        ('[campaigns.pilot]\ndatasets = ["a", "b", "a"]\n', "found a several times"),
        ('[campaigns."a/b"]\ndatasets = ["a"]\n', "cannot be part of a partition key"),
        ('[campaigns."a...b"]\ndatasets = ["a"]\n', "cannot be part of a partition key"),
        ('[campaigns]\npilot = ["a"]\n', "[campaigns.pilot]: expected a table with the key datasets"),
        (PILOT + "[campaigns.pilot.selection]\ncorrelation_limit = 90\n", "expected a number from 0 to 1, found 90"),
        (PILOT + "[campaigns.pilot.selection]\noutlier_limit = 1" + 400 * "0" + "\n", "expected a number above 0, found 10"),
        ('[campaign.pilot]\ndatasets = ["a"]\n', "unknown key 'campaign'. Did you mean 'campaigns'?"),
        ("datasets = [", "not valid TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_finding_that_names_the_file_and_what_may_be_meant(tmp_path, text, words):
    assert words in refuse(tmp_path, text).message


def test_a_file_that_is_no_text_is_a_finding(tmp_path):
    (tmp_path / "campaign.toml").write_bytes(b"\xff\xfe[")
    (finding,) = read_campaigns([str(tmp_path)]).findings
    assert "not UTF-8 text" in finding.message


def test_one_wrong_campaign_hides_no_other(tmp_path):
    found = read(tmp_path, PILOT + '[campaigns.wrong]\ndataset = ["a"]\n')
    assert list(found.campaigns) == ["campaign:pilot"]
    (finding,) = found.findings
    assert (finding.code, finding.location) == ("campaign-refused", "wrong")
    assert "Did you mean 'datasets'?" in finding.message


def test_a_campaign_that_two_files_define_is_that_of_the_first_root(tmp_path):
    roots = [tmp_path / "one", tmp_path / "two"]
    for number, root in enumerate(roots):
        root.mkdir()
        (root / "campaign.toml").write_text(f'[campaigns.pilot]\ndatasets = ["d{number}"]\n')
    found = read_campaigns(map(str, roots))
    assert found.campaigns["campaign:pilot"].datasets == ("d0",)
    (finding,) = found.findings
    assert finding.code == "campaign-defined-twice"
    assert all(f"{root}/campaign.toml" in finding.message for root in roots)


def test_roots_without_the_file_or_that_are_not_there_have_no_campaigns(tmp_path):
    assert read_campaigns([str(tmp_path), str(tmp_path / "gone")]) == FoundCampaigns({})


def test_a_root_in_a_bucket_has_campaigns_too(tmp_path, s3_root):
    uri, options = s3_root({"campaign.toml": PILOT.encode()})
    found = read_campaigns([uri], storage_options=options)
    assert found.campaigns["campaign:pilot"].file_uri == f"{uri}/campaign.toml"


@pytest.fixture
def s3_root():
    """Fills a prefix of a bucket; the server is that of the test alone."""
    from bioimage_assets_tests.builders import s3_server

    with s3_server.run_s3() as endpoint:

        def fill(files: dict[str, bytes]) -> tuple[str, dict[str, str]]:
            bucket = s3_server.create_bucket(endpoint)
            for name, payload in files.items():
                s3_server.open_client(endpoint).put_object(Bucket=bucket, Key=f"in/{name}", Body=payload)
            return f"s3://{bucket}/in", s3_server.storage_options(endpoint)

        yield fill


def test_an_unknown_campaign_is_refused_with_the_nearest_name_and_what_could_not_be_used(tmp_path):
    found = read(tmp_path, PILOT + "[campaigns.wrong]\n")
    with pytest.raises(SettingsError, match=r"found: pilot\. Did you mean 'pilot'\?.*datasets is missing"):
        require_campaign_named(found, "campaign:pilto")


def source(dataset: str, plate: str) -> PlateSource:
    return PlateSource(f"{dataset}/{plate}", dataset, plate, f"/data/{dataset}", ())


def gather(folder: Path, text: str, settings: dict[str, DatasetSettings], *datasets: str):
    (campaign,) = read(folder, text).campaigns.values()
    sources = [source(name, plate) for name in datasets for plate in ("P2", "P1")]
    return gather_campaign(campaign, sources, lambda uri: settings.get(uri.split("/")[-1], DatasetSettings()))


def test_plates_stand_in_the_order_of_the_datasets_and_no_other_dataset_is_taken(tmp_path):
    found = gather(tmp_path, '[campaigns.c]\ndatasets = ["b", "a"]\n', {}, "a", "b", "other")
    assert [source.plate_key for source in found.sources] == ["b/P1", "b/P2", "a/P1", "a/P2"]
    assert found.findings == ()


def test_a_dataset_without_plates_is_named_with_the_one_that_may_be_meant(tmp_path):
    found = gather(
        tmp_path, '[campaigns.c]\ndatasets = ["screen-a", "sreen-b"]\n', {}, "screen-a", "screen-b"
    )
    (finding,) = found.findings
    assert (finding.code, finding.severity, finding.location) == (
        "campaign-dataset-missing", "error", "sreen-b",
    )  # fmt: skip
    assert "Did you mean 'screen-b'?" in finding.message


BOTH = '[campaigns.c]\ndatasets = ["a", "b"]\n'


def test_what_the_file_leaves_open_is_what_all_its_datasets_say(tmp_path):
    own = DatasetSettings(control_values=("DMSO",), treatment_columns=("Metadata_gene",))
    found = gather(tmp_path, BOTH, {"a": own, "b": own}, "a", "b")
    assert found.settings.control_values == ("DMSO",)
    assert found.settings.treatment_columns == ("Metadata_gene",)
    assert found.findings == ()


def test_datasets_that_do_not_agree_are_a_finding_with_both_values(tmp_path):
    own = {"a": DatasetSettings(control_values=("DMSO",)), "b": DatasetSettings(min_controls=4)}
    found = gather(tmp_path, BOTH, own, "a", "b")
    (finding,) = found.findings
    assert (finding.code, finding.severity) == ("campaign-settings-differ", "warning")
    assert 'control_values: ["DMSO"] (a); ["negcon"] (b)' in finding.message
    assert found.settings.control_values == ("DMSO",)
    assert found.settings.disagreements == (finding.message,)


def test_controls_that_the_campaign_names_otherwise_than_a_dataset_are_a_finding(tmp_path):
    text = BOTH + '[campaigns.c.controls]\nvalues = ["DMSO"]\n'
    found = gather(tmp_path, text, {"a": DatasetSettings(control_values=("DMSO",))}, "a", "b")
    (finding,) = found.findings
    assert 'says control_values = ["DMSO"], the dataset.toml of b ["negcon"]' in finding.message


def test_wells_made_in_different_ways_are_a_finding(tmp_path):
    own = {"b": DatasetSettings(normalization_method="robustize")}
    (finding,) = gather(tmp_path, BOTH, own, "a", "b").findings
    assert "made with different normalization_method" in finding.message


def test_the_file_itself_is_no_oddity_of_the_root_but_a_misspelt_one_is(tmp_path):
    (tmp_path / "scr" / "measurements").mkdir(parents=True)
    (tmp_path / "scr" / "measurements" / "P1.csv").write_text("Metadata_Well,Cells_AreaShape_Area\nA01,1\n")
    (tmp_path / "campaign.toml").write_text(PILOT)
    assert discover_plates(str(tmp_path)).findings == ()
    for place in (tmp_path / "campaigns.toml", tmp_path / "scr" / "campaign.toml"):
        place.write_text(PILOT)
        (finding,) = discover_plates(str(tmp_path)).findings
        assert finding.code == "settings-file-not-read"
        assert f"{tmp_path}/campaign.toml" in finding.message
        place.unlink()


def test_the_page_documents_every_key():
    text = DOCUMENT.read_text()
    assert not [key.path for key in CAMPAIGN_KEYS if f"`{key.path}`" not in text]
