"""`strict`: said for all datasets by the environment, for one by its file, and read by no step."""

from __future__ import annotations

import pytest

from bioimage_assets.core.discovery.dataset_file import parse_dataset_settings
from bioimage_assets.core.errors import SettingsError
from bioimage_assets.core.model.table_specs import STEPS
from bioimage_assets.core.settings.project import read_project_settings


@pytest.mark.parametrize(("text", "is_strict"), [("on", True), ("1", True), ("off", False), ("", False)])
def test_the_environment_says_whether_findings_of_level_error_are_failures(text: str, is_strict: bool):
    assert read_project_settings({"BIOIMAGE_STRICT": text}).strict is is_strict
    assert not read_project_settings({}).strict


def test_a_word_that_is_neither_on_nor_off_is_not_taken_for_off():
    with pytest.raises(SettingsError, match="BIOIMAGE_STRICT is 'of'; expected on or off"):
        read_project_settings({"BIOIMAGE_STRICT": "of"})


def test_a_dataset_says_so_for_itself():
    assert parse_dataset_settings("[checks]\nstrict = true").strict
    assert not parse_dataset_settings("").strict
    with pytest.raises(SettingsError, match=r"checks\.strict: expected true or false"):
        parse_dataset_settings("[checks]\nstrict = 'yes'")


def test_no_table_is_built_again_for_it():
    assert not any("strict" in step.settings for step in STEPS)
