"""What `partitions remove` says: what goes, what is still on disk and comes back, and which names are not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from bioimage_assets.cli.output import print_json, show_text
from bioimage_assets.core.model.identity import dimension_of
from bioimage_assets.core.near_names import suggest_plate
from bioimage_assets.core.phrases import count_words, join_words

if TYPE_CHECKING:
    from bioimage_assets.retire import Retirement, RetirementPlan


def say_removal(plan: RetirementPlan) -> str:
    """What would go, as a question is preceded by it."""
    return "\n".join(_list_removed(plan, "Would remove"))


def print_removed(plan: RetirementPlan, *, is_dry_run: bool, as_json: bool) -> None:
    """What went, or would go, and what comes back."""
    if as_json:
        print_json(
            {
                "removed": [] if is_dry_run else sorted(one.partition for one in plan.asked),
                "plates": [_build_json(one) for one in plan.asked],
                "datasets": [_build_json(one) for one in plan.emptied],
                "is_dry_run": is_dry_run,
            }
        )
        return
    for line in _list_removed(plan, "Would remove" if is_dry_run else "Removed"):
        print(line)
    for one in plan.asked:
        if one.still_at:
            print(show_text(_say_back(one)))


def print_unknown(unknown: Sequence[str], known: Sequence[str], *, as_json: bool) -> None:
    """Names of which nothing is stored or registered."""
    if as_json:
        print_json({"removed": [], "unknown": list(unknown)})
        return
    for key in unknown:
        print(f"Nothing is stored or registered as {key!r}; nothing was removed.{suggest_plate(key, known)}")


def _build_json(one: Retirement) -> dict[str, object]:
    return {**asdict(one), "still_at": list(one.still_at)}


def _list_removed(plan: RetirementPlan, verb: str) -> list[str]:
    named = [(one, one.partition) for one in plan.asked]
    named += [(one, f"the dataset {one.partition}, which has no other plate") for one in plan.emptied]
    return [
        show_text(f"{verb} {name}: {join_words(parts)}.") for one, name in named if (parts := _describe(one))
    ]


def _describe(one: Retirement) -> list[str]:
    """What there is of it; what steps noted is worth a word where there is nothing else."""
    rows = f"{count_words(one.row_count, 'row')} in {count_words(one.table_count, 'table')}"
    parts = [rows] if one.table_count else []
    parts += ["its report page"] if one.has_page else []
    parts += ["its partition in Dagster"] if one.is_registered else []
    return parts or (["what its steps noted"] if one.has_notes else [])


def _say_back(one: Retirement) -> str:
    place = one.still_at[0]
    if dimension_of(one.partition) == "campaign":
        return f"{one.partition} is still defined in {place}: the next 'bioimage-assets materialize', or the sensor, makes it again. Take it out of the file to keep it away."
    return (
        f"{one.partition} is still on disk ({place}): it comes back with the next 'bioimage-assets materialize', and by itself "
        "where the sensors are on ('make ui'). To keep it away, move it out of the watched folder."
    )
