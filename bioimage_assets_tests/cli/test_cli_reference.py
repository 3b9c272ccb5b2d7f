"""The page of the command line is what the parser says, and completion scripts work in their shells."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bioimage_assets.cli.main import COMMANDS, FAMILIES, PROGRAM, program
from bioimage_assets.cli.output import EXIT_CODES, FAILED
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


def _walk(group: click.Group, path: str = PROGRAM) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group, info_name=path)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _walk(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_the_page_is_up_to_date():
    assert (DOCS / "command-line.md").read_text() == build_reference()


def test_every_promised_command_is_there():
    assert COMMANDS.keys() >= SEED_COMMANDS | OWN_COMMANDS


def test_every_command_takes_json_and_explains_itself_and_its_arguments():
    commands = dict(_walk(program))
    assert len(commands) == len(COMMANDS) + 3
    for path, command in commands.items():
        assert command.help, path
        assert path.endswith(" completion") or any("--json" in param.opts for param in command.params), path
        assert all(getattr(param, "help", None) for param in command.params), path


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> dict[str, str]:
    """An environment where ``bioimage-assets`` is this checkout's."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / PROGRAM).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bioimage_assets.cli.main "$@"\n')
    (folder / PROGRAM).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(DOCS.parent)}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("summ", {"plain,summarize"}),
        ("export-cytomining --mo", {"plain,--mode"}),
        ("export-cytomining --mode a", {"plain,append"}),
        ("--ver", {"plain,--version"}),
        ("partitions ", {"plain,list", "plain,sync", "plain,add", "plain,remove"}),
        ("partitions remove --j", {"plain,--json"}),
        ("convert-layout root na", {"plain,namespaced"}),
        ("scan dat", {"file,dat"}),
        ("scan scan --dataset", {"plain,--dataset-id"}),
        ("query --output res", {"file,res"}),
        ("completion ", {"plain,bash", "plain,zsh", "plain,fish"}),
    ],
)
def test_a_shell_is_answered_with_what_may_follow(run, monkeypatch, line, expected):
    words = f"{PROGRAM} {line}"
    monkeypatch.setenv("_BIOIMAGE_ASSETS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    outcome = run()
    assert set(outcome.out.splitlines()) == expected
    assert outcome.err == ""


def test_bash_completes_a_command_with_the_script_that_the_docs_source(installed):
    code = (
        "source <(bioimage-assets completion bash); complete -p bioimage-assets\n"
        "COMP_WORDS=(bioimage-assets partitions s); COMP_CWORD=2\n"
        "_bioimage_assets_completion bioimage-assets; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", code], capture_output=True, text=True, env=installed, check=True
    )
    registered, completed = done.stdout.splitlines()
    assert registered.endswith("-F _bioimage_assets_completion bioimage-assets")
    assert completed == "sync"
    assert done.stderr == ""


@pytest.mark.parametrize(("shell", "check"), [("zsh", ["-n"]), ("fish", ["--no-execute"])])
def test_the_other_shells_accept_their_script(run, tmp_path, shell, check):
    script = tmp_path / "script"
    script.write_text(run("completion", shell).out)
    assert "_BIOIMAGE_ASSETS_COMPLETE" in script.read_text()
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, *check, str(script)], check=True)


def test_exit_codes_stand_in_one_table_and_every_command_that_ends_with_1_says_when():
    page = build_reference()
    table = page.partition("## Exit codes")[2].partition("\n## ")[0]
    for code, meaning in EXIT_CODES.items():
        assert f"| {code} | any | {meaning} |" in table
    said = {line.split("`")[1] for line in table.splitlines() if line.startswith(f"| {FAILED} | `")}
    folder = DOCS.parent / "bioimage_assets" / "cli"
    ends_with_1 = {
        name
        for family, names in FAMILIES.items()
        for name in names.split()
        if _returns_failed((folder / f"{family}.py").read_text(), name.replace("-", "_"))
    }
    assert said == ends_with_1
    assert {"materialize", "status", "validate-warehouse"} <= said


def _returns_failed(source: str, function: str) -> bool:
    """Whether the function of a command has an exit code at all: only such commands can end with 1."""
    head = re.search(rf"^def {function}\(.*?\) -> (\w+)", source, re.DOTALL | re.MULTILINE)
    return head is not None and head[1] == "int"
