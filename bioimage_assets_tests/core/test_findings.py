"""Findings name the file that a setting belongs in, and are grouped by code, the worst first."""

from bioimage_assets.core.findings import Finding, group_findings


def test_a_setting_is_named_with_the_file_of_the_dataset():
    finding = Finding(
        "site-offset", "error", "A01", "Sites differ by one.", setting="[join] profile_site_offset = 1"
    )
    named = finding.name_file("data/incoming/scr/")
    assert named.message == (
        "Sites differ by one. Write [join] profile_site_offset = 1 in data/incoming/scr/dataset.toml."
    )
    assert named.name_file("elsewhere") == named


def test_a_message_about_dataset_toml_names_the_file_of_the_dataset():
    finding = Finding(
        "layouts", "warning", "", "Write into the dataset's dataset.toml: [images] …; dataset.toml is text."
    )
    assert finding.name_file("s3://b/scr").message.startswith("Write into s3://b/scr/dataset.toml: [images]")
    assert finding.name_file("").message == finding.message


def test_findings_of_one_code_are_one_group_with_places_and_the_sentence_of_the_worst():
    found = [
        Finding("no-acquisition", "info", "", "None."),
        Finding("missing-level", "warning", "A01/0", "Level 2 of A01/0 is absent."),
        Finding("missing-level", "error", "A01/1", "Level 0 of A01/1 is absent."),
        Finding("missing-level", "warning", "A01/0", "Level 3 of A01/0 is absent."),
    ]
    levels, acquisition = group_findings("scr/P1", found)
    assert (levels.severity, levels.count, levels.places) == ("error", 3, ("A01/0", "A01/1"))
    assert levels.message == "Level 0 of A01/1 is absent."
    assert (acquisition.code, acquisition.partition, acquisition.places) == ("no-acquisition", "scr/P1", ())
