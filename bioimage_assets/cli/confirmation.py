"""Asks a person before something is removed; a script says --yes."""

from __future__ import annotations

import sys

import click

from bioimage_assets.core.errors import UsageError


def confirm_removal(would: str, what: str) -> bool:
    """Ask on standard error, and say whether the answer was yes.

    Raises
    ------
    UsageError
        Standard input is no terminal, or ended: nobody can answer. ``would`` are sentences that say what would be removed,
        ``what`` stands in the message: ``the table``.
    """
    refused = f"and nothing was removed: add --yes to remove {what}."
    if not sys.stdin.isatty():
        raise UsageError(f"{would} Standard input is no terminal, so nobody can answer, {refused}")
    try:
        return click.confirm(f"{would} Go on?", err=True)
    except click.Abort as error:
        raise UsageError(f"Nobody answered, {refused}") from error
