"""`explain`: what a code of a finding or an error means, why it appears, and what to do."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated

import click
from click.shell_completion import CompletionItem

from bioimage_assets.cli.command import argument, command
from bioimage_assets.cli.options import Json
from bioimage_assets.cli.output import print_json
from bioimage_assets.core.errors import UsageError
from bioimage_assets.core.finding_codes.catalogue import (
    ALL_FAMILIES,
    Explained,
    find_code,
    find_near_codes,
    list_codes,
)
from bioimage_assets.core.finding_codes.record import FindingCode

PAGE = "finding-codes.md"
_WIDTH = 100
_MEANING = 90  # letters of a meaning in the list
_SEVERITIES = len("error/warning")


def _complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(code) for code in list_codes() if code.startswith(incomplete)]


@command
def explain(
    codes: Annotated[
        tuple[str, ...],
        argument(
            "[CODE]...",
            "codes of findings and errors; classes of errors, too",
            nargs=-1,
            shell_complete=_complete,
        ),
    ] = (),
    as_json: Json = False,
) -> None:
    """Say what a code of a finding or an error means, why it appears, and what to do.

    Without a code all are listed. Codes stand in what commands print, in the tables scan_findings and plate_findings, on report
    pages and in Dagster. Exit code 2: one of them is no code of this project; the others are explained.

    Examples:
        bioimage-assets explain
        bioimage-assets explain missing-level
        bioimage-assets explain corrupt-store
    """
    asked = {name: find_code(name) for name in codes}
    found = [one for one in asked.values() if one is not None]
    unknown = [name for name, one in asked.items() if one is None]
    if found or not unknown:
        _print(found, as_json=as_json)
    if unknown:
        sys.stdout.flush()
        raise UsageError(" ".join(map(_refuse, unknown)))


def _print(found: Sequence[Explained], *, as_json: bool) -> None:
    """The codes that were asked for, else all."""
    if as_json:
        chosen = found or [one for name in list_codes() if (one := find_code(name)) is not None]
        print_json([_build_json(one) for one in chosen])
    elif found:
        print("\n\n".join("\n".join(_say(one)) for one in found))
    else:
        _print_list()


def _refuse(name: str) -> str:
    """What is said of no code of this project, with those that may be meant."""
    near = " or ".join(repr(code) for code in find_near_codes(name))
    meant = f" Did you mean {near}?" if near else " 'bioimage-assets explain' lists all."
    return f"{name!r} is no code of this project; where a table has it, an asset of your own made it.{meant}"


def _say(one: Explained) -> Iterator[str]:
    code = one.code
    of_class = f"; in Python {code.error_class}" if code.error_class else ""
    yield f"{code.code} ({' or '.join(code.severities)}{of_class})"
    yield from _wrap("", code.means)
    yield ""
    yield from _wrap("Cause: ", code.cause)
    yield ""
    yield from _wrap("What to do: ", code.remedy)
    if code.setting:
        yield ""
        yield "  Setting, in the dataset's dataset.toml:"
        yield from (f"    {line}" for line in code.setting.splitlines())
    yield ""
    yield from _wrap("Seen in: ", f"{', '.join(one.family.seen_in)}.")
    yield f"  More: docs/{one.page}"


def _wrap(label: str, text: str) -> Sequence[str]:
    return textwrap.wrap(
        label + text,
        _WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _print_list() -> None:
    """All codes, a small table per family; columns are as wide in each."""
    rows = [(family.title, _list_row(code)) for family in ALL_FAMILIES for code in family.codes]
    width = max(len(row[0]) for _, row in rows)
    last = ""
    for title, (code, severities, means) in rows:
        if title != last:
            print(f"{chr(10) if last else ''}{title}")
            last = title
        print(f"  {code.ljust(width)}  {severities.ljust(_SEVERITIES)}  {means}")
    print("\nbioimage-assets explain CODE says why it appears and what to do.")


def _list_row(code: FindingCode) -> tuple[str, str, str]:
    means = textwrap.shorten(code.means, _MEANING, placeholder=" …")
    return (code.code, "/".join(code.severities), means)


def _build_json(one: Explained) -> dict[str, object]:
    return {
        **asdict(one.code),
        "family": one.family.name,
        "seen_in": list(one.family.seen_in),
        "page": f"docs/{one.page}",
        "anchor": f"docs/{PAGE}#{one.anchor}",
    }
