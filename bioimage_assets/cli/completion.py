"""`completion`: Click's script that lets a shell complete commands, options and their fixed values."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from bioimage_assets.cli.command import Command

SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS), help="the shell")
def completion(shell: str) -> None:
    """Print a completion script for a shell.

    bash: source <(bioimage-assets completion bash); zsh: the same with zsh, after compinit; fish: bioimage-assets
    completion fish | source.

    Examples:
        bioimage-assets completion bash
    """
    from bioimage_assets.cli.main import COMPLETION_VARIABLE, PROGRAM, program

    script = get_completion_class(shell)
    assert script is not None
    print(script(program, {}, PROGRAM, COMPLETION_VARIABLE).source())
