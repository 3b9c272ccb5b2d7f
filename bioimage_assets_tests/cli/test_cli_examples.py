"""Every command shows examples in its help, and each of them is a call that the command line takes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import pytest

from bioimage_assets.cli.main import COMMANDS, PROGRAM, program
from bioimage_assets.cli.reference import build_reference


def list_commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and every action of one that does something, by what is typed."""
    context = click.Context(program, info_name=PROGRAM)
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command is not None
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {action}", found) for action, found in command.commands.items())


@pytest.mark.parametrize(
    ("name", "command"), [pytest.param(name, found, id=name) for name, found in list_commands()]
)
def test_a_command_has_one_to_three_examples_that_parse_and_stand_in_help_and_page(name, command):
    examples = command.examples
    assert 1 <= len(examples) <= 3
    shown = command.get_help(click.Context(command, info_name=name))
    for line in examples:
        assert line in shown
        words = shlex.split(line)
        assert words[: 1 + name.count(" ") + 1] == [PROGRAM, *name.split()]
        arguments = words[1 + len(name.split()) :]
        with command.make_context(name, list(arguments)) as context:
            assert not context.invoked_subcommand or context.invoked_subcommand in command.commands


def test_the_page_of_commands_shows_every_example_in_a_block_that_can_be_typed():
    page = build_reference()
    blocks = page.split("```sh\n")[1:]
    typed = {line for block in blocks for line in block.partition("```")[0].splitlines()}
    assert {line for _, command in list_commands() for line in command.examples} <= typed
