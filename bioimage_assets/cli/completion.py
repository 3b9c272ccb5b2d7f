"""`completion`: a script that lets bash, zsh or fish complete commands, flags and their fixed values.

It is generated from the parser, so it cannot know another set of flags than the commands do.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bioimage_assets.cli.output import OK

PROGRAM = "bioimage-assets"
SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True, slots=True)
class CompletedFlag:
    """One flag; ``choices`` are its fixed values, ``takes_value`` tells whether a word follows it."""

    name: str
    text: str
    takes_value: bool
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CompletedCommand:
    """One command or action; ``path`` is empty for the program itself.

    ``words`` are its sub-commands, or the fixed values of an argument, with their help.
    """

    path: tuple[str, ...]
    text: str
    flags: tuple[CompletedFlag, ...]
    words: tuple[tuple[str, str], ...]
    takes_files: bool = False


def add_commands(commands: Any) -> None:
    """Add `completion`."""
    parser = commands.add_parser(
        "completion",
        help="print a completion script for a shell",
        description="Print a completion script. bash: source <(bioimage-assets completion bash); "
        "zsh: the same with zsh, after compinit; fish: bioimage-assets completion fish | source.",
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.set_defaults(handler=run_completion)


def run_completion(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from bioimage_assets.cli.main import build_parser

    print(build_completion(build_parser(), arguments.shell))
    return OK


def build_completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for one shell."""
    builders = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    return builders[shell](list(walk_commands(parser)))


def walk_commands(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = (), text: str = ""
) -> Iterator[CompletedCommand]:
    """Every command and action of a parser, the program first."""
    flags: list[CompletedFlag] = []
    words: list[tuple[str, str]] = []
    takes_files = False
    below: list[tuple[str, argparse.ArgumentParser, str]] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            below = [(name, sub, helps.get(name, "")) for name, sub in action.choices.items()]
            words += [(name, help_text) for name, _, help_text in below]
        elif action.option_strings:
            choices = tuple(str(choice) for choice in action.choices or ())
            takes_value = action.nargs != 0
            flags += [
                CompletedFlag(name, action.help or "", takes_value, choices)
                for name in action.option_strings
                if name.startswith("--")
            ]
        else:
            words += [(str(choice), "") for choice in action.choices or ()]
            takes_files = takes_files or not action.choices
    yield CompletedCommand(path, text, tuple(flags), tuple(words), takes_files)
    for name, sub, help_text in below:
        yield from walk_commands(sub, (*path, name), help_text)


def _bash(commands: list[CompletedCommand]) -> str:
    cases, values, actions = [], [], []
    for command in commands:
        key = " ".join(command.path)
        offered = [name for name, _ in command.words] + [flag.name for flag in command.flags]
        files = " files=yes" if command.takes_files else ""
        cases.append(f"    {_quote(key)}) words={_quote(' '.join(offered))}{files} ;;")
        values += [
            f"    {_quote(f'{key} {flag.name}'.strip())}) words={_quote(' '.join(flag.choices))} ;;"
            for flag in command.flags
            if flag.choices
        ]
        values += [
            f"    {_quote(f'{key} {flag.name}'.strip())}) files=yes ;;"
            for flag in command.flags
            if flag.takes_value and not flag.choices
        ]
        actions += [_quote(key)] if len(command.path) > 0 else []
    return f"""# bash completion of {PROGRAM}
_bioimage_assets() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  local path='' word words='' files='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]}}
    case "${{path:+$path }}$word" in
    {"|".join(actions)}) path="${{path:+$path }}$word" ;;
    esac
  done
  case "${{path:+$path }}$previous" in
{chr(10).join(values)}
    *)
    case "$path" in
{chr(10).join(cases)}
    esac
    [[ $current == -* ]] && files='' ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ -n $files ]]; then
    local IFS=$'\\n'
    COMPREPLY+=($(compgen -f -- "$current"))
    compopt -o filenames 2>/dev/null
  fi
}}
complete -F _bioimage_assets {PROGRAM}"""


def _zsh(commands: list[CompletedCommand]) -> str:
    # bash's script in zsh's own emulation: one source of truth for both.
    return f"""#compdef {PROGRAM}
autoload -U +X bashcompinit && bashcompinit
{_bash(commands)}"""


def _fish(commands: list[CompletedCommand]) -> str:
    lines = [f"# fish completion of {PROGRAM}", f"complete -c {PROGRAM} -e"]
    for command in commands:
        names = " ".join(name for name, _ in command.words)
        if command.path:
            seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in command.path)
        else:
            seen = f"not __fish_seen_subcommand_from {names}"
        inner = f"{seen}; and not __fish_seen_subcommand_from {names}" if command.path and names else seen
        for name, text in command.words:
            lines.append(f"complete -c {PROGRAM} -f -n {_quote(inner)} -a {_quote(name)} -d {_quote(text)}")
        for flag in command.flags:
            value = (
                f" -x -a {_quote(' '.join(flag.choices))}"
                if flag.choices
                else " -r"
                if flag.takes_value
                else ""
            )
            lines.append(
                f"complete -c {PROGRAM} -n {_quote(seen)} -l {flag.name[2:]}{value} -d {_quote(flag.text)}"
            )
    return "\n".join(lines)


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "'\\''") + "'"
