"""Makes a Click command of a function with annotated parameters.

``Annotated[type, flag("help")]``, ``option`` and ``argument`` say what a parameter is on the command line; a parameter
whose type is a dataclass stands for the options of its fields, so that several commands may share them.
"""

from __future__ import annotations

import inspect
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

# A file, a folder or an address in an object store: shells complete it, opening it says whether it is there.
PLACE = click.Path(readable=False)
# A negative number, and a text with a space (an SQL statement that begins with a comment), are values.
_OPTION_WORD = re.compile(r"-[^\d. ][^ ]*")

_REQUIRED = inspect.Parameter.empty
# Makes the Click parameter of a Python one: its name, its type, its default (``_REQUIRED``: it has none).
Kind = Callable[[str, Any, Any], click.Parameter]


def flag(text: str, name: str = "", **settings: Any) -> Kind:
    """An option without value; ``name`` may be several, with blanks between them."""
    return lambda dest, _, __: click.Option(
        [*(name or _spell(dest)).split(), dest], is_flag=True, help=text, **settings
    )


def option(
    metavar: str, text: str, name: str = "", cls: type[click.Option] = click.Option, **settings: Any
) -> Kind:
    """An option with a value; a ``Literal`` type is the choice of its values."""

    def build(dest: str, hint: Any, default: Any) -> click.Parameter:
        if default is _REQUIRED:
            given: dict[str, Any] = {"required": "default" not in settings}
        else:
            given = {"default": default, "show_default": default not in (None, ())}
        names = [name or _spell(dest), dest]
        return cls(names, help=text, **given, **_values(metavar, hint), **settings)

    return build


def argument(metavar: str, text: str, **settings: Any) -> Kind:
    """A word in its place."""

    def build(dest: str, hint: Any, default: Any) -> click.Parameter:
        return click.Argument(
            [dest], help=text, required=default is _REQUIRED, **_values(metavar, hint), **settings
        )

    return build


def _values(metavar: str, hint: Any) -> dict[str, Any]:
    """What a value is called, or which values there are."""
    literals = [part for part in (hint, *get_args(hint)) if get_origin(part) is Literal]
    return {"type": click.Choice(get_args(literals[0]))} if literals else {"metavar": metavar or None}


def _spell(dest: str) -> str:
    return f"--{dest.replace('_', '-')}"


class Several(click.Option):
    """An option that takes all values up to the next option: ``--plates A B``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["multiple"] = True
        super().__init__(*args, **kwargs)


# Stands in the docstring of a command before lines that can be typed as they are.
_EXAMPLES = "\n\nExamples:\n"


class Command(click.Command):
    """One command; an option without its value is refused, Click alone would take the next option for the value.

    ``examples``, lines below ``Examples:`` at the end of the docstring, are command lines that work on the demo's data.
    """

    examples: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["help"], _, examples = inspect.cleandoc(kwargs.get("help") or "").partition(_EXAMPLES)
        super().__init__(*args, **kwargs)
        self.examples = tuple(line.strip() for line in examples.splitlines() if line.strip())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:  # whole: a wrapped line cannot be copied
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")

    def get_short_help_str(self, limit: int = 45) -> str:  # whole, it is wrapped
        return (self.help or "").partition("\n\n")[0]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if ctx.resilient_parsing else list(self._pair(ctx, args)))

    def _pair(self, ctx: click.Context, args: list[str]) -> Iterator[str]:
        """The same words with an option before each of its values."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        takes = {name: param for param in options if not param.is_flag for name in param.opts}
        words = deque(args)
        while words:
            word = words.popleft()
            if word == "--":
                yield from (word, *words)
                return
            if word not in takes:
                yield word
                continue
            if not words or _OPTION_WORD.fullmatch(words[0]):
                raise click.BadOptionUsage(word, f"Option {word!r} requires an argument.", ctx)
            yield from (word, words.popleft())
            while isinstance(takes[word], Several) and words and not _OPTION_WORD.fullmatch(words[0]):
                yield from (word, words.popleft())


class CommandWithActions(Command, click.Group):
    """A command that does something by itself, and has actions of its own: ``tables``, ``tables drop``."""

    def __init__(self, own: click.Command, *actions: click.Command) -> None:
        super().__init__(
            own.name,
            callback=own.callback,
            params=own.params,
            help=own.help,
            invoke_without_command=True,
            commands={action.name or "": action for action in actions},
        )
        self.examples = getattr(own, "examples", ())

    def invoke(self, ctx: click.Context) -> Any:
        if not ctx._protected_args:
            return click.Command.invoke(self, ctx)
        name, action, args = self.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
        assert action is not None
        with action.make_context(name, args, parent=ctx) as inner:
            return inner.command.invoke(inner)


def command(function: Callable[..., int | None], **settings: Any) -> click.Command:
    """Make a function a command of its name; its docstring is the help. Each command takes ``--json``."""
    params = list(_list_params(function))
    if not any("--json" in param.opts for param in params):  # JSON in any case
        params.append(click.Option(["--json"], is_flag=True, expose_value=False, help="print JSON"))

    def call(**values: Any) -> int | None:
        code: int | None = _call(function, values)
        return code

    return Command(
        settings.pop("name", None) or function.__name__.rstrip("_").replace("_", "-"),
        callback=call,
        params=params,
        help=inspect.getdoc(function),
        **settings,
    )


def _hints(target: Any) -> dict[str, Any]:
    hints = get_type_hints(target, include_extras=True)
    return {name: hint for name, hint in hints.items() if name != "return"}


def _list_params(target: Any) -> Iterator[click.Parameter]:
    parameters = inspect.signature(target).parameters
    for name, hint in _hints(target).items():
        if is_dataclass(hint):
            yield from _list_params(hint)
        else:
            yield hint.__metadata__[0](name, hint.__origin__, parameters[name].default)


def _call(target: Any, values: dict[str, Any]) -> Any:
    return target(
        **{
            name: _call(hint, values) if is_dataclass(hint) else values[name]
            for name, hint in _hints(target).items()
        }
    )
