"""The page of the command line is what the parser says, and completion scripts work in their shells."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

import pytest

from bioimage_assets.cli.completion import build_completion, walk_commands
from bioimage_assets.cli.main import build_parser
from bioimage_assets.cli.reference import build_reference

DOCS = Path(__file__).resolve().parents[2] / "docs"

SEED_COMMANDS = {
    "scan", "summarize", "register", "ingest", "publish-chunks", "export-cytomining", "export-cytomining-catalog",
    "export-cytomining-profiles", "validate-contract", "join-profiles",
}  # fmt: skip
OWN_COMMANDS = {
    "partitions",
    "materialize",
    "query",
    "validate-warehouse",
    "maintain",
    "locate",
    "completeness",
}


def _commands() -> dict[str, argparse.ArgumentParser]:
    action = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def test_the_page_is_up_to_date():
    assert (DOCS / "command-line.md").read_text() == build_reference(build_parser())


def test_every_promised_command_is_there():
    assert _commands().keys() >= SEED_COMMANDS | OWN_COMMANDS


def test_every_command_takes_json_and_explains_its_arguments():
    commands = [
        c
        for c in walk_commands(build_parser())
        if c.path and c.path not in (("completion",), ("partitions",))
    ]
    for command in commands:
        assert "--json" in {flag.name for flag in command.flags}, command.path
        assert command.text, command.path
        for flag in command.flags:
            assert flag.text, (command.path, flag.name)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bioimage-assets summ", {"summarize"}),
        ("bioimage-assets export-cytomining --mo", {"--mode"}),
        ("bioimage-assets export-cytomining --mode a", {"append"}),
        ("bioimage-assets --ver", {"--version"}),
        ("bioimage-assets partitions ", {"list", "sync", "add", "remove", "--help"}),
        ("bioimage-assets partitions remove --j", {"--json"}),
        ("bioimage-assets convert-layout root na", {"namespaced"}),
        ("bioimage-assets scan dat", {"data folder"}),
        ("bioimage-assets scan scan --dataset", {"--dataset-id"}),
        ("bioimage-assets query --output res", {"results.csv"}),
        ("bioimage-assets completion ", {"bash", "zsh", "fish", "--help"}),
    ],
)
def test_bash_completes(tmp_path, line, expected):
    (tmp_path / "data folder").mkdir()
    (tmp_path / "results.csv").touch()
    (tmp_path / "script").write_text(build_completion(build_parser(), "bash"))
    code = (
        "source ./script; IFS=' ' read -ra COMP_WORDS <<< \"$1\"; [[ $1 == *' ' ]] && COMP_WORDS+=('')\n"
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _bioimage_assets; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", code, "bash", line], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert set(done.stdout.splitlines()) == expected
    assert done.stderr == ""


def test_bash_registers_the_completion(tmp_path):
    (tmp_path / "script").write_text(build_completion(build_parser(), "bash"))
    done = subprocess.run(
        ["bash", "--norc", "-c", "source ./script; complete -p bioimage-assets"],
        capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert done.stdout == "complete -F _bioimage_assets bioimage-assets\n"


@pytest.mark.parametrize(("shell", "check"), [("zsh", ["-n"]), ("fish", ["--no-execute"])])
def test_the_other_shells_accept_their_script(tmp_path, shell, check):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(build_completion(build_parser(), shell))
    subprocess.run([shell, *check, str(script)], check=True)


def test_fish_offers_every_command_and_flag():
    script = build_completion(build_parser(), "fish")
    for command in walk_commands(build_parser()):
        for flag in command.flags:
            assert f"-l {flag.name[2:]}" in script
        for word, _ in command.words:
            assert f"-a '{word}'" in script


def test_the_command_prints_the_script(run):
    outcome = run("completion", "bash")
    assert outcome.code == 0
    assert outcome.out == build_completion(build_parser(), "bash") + "\n"
