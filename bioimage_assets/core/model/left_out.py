"""Which steps can be built with what is installed, and which are left out, for want of which extra."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bioimage_assets.core.extras import build_missing, find_missing, say_install
from bioimage_assets.core.model.step_spec import Dimension, StepSpec
from bioimage_assets.core.model.table_specs import STEPS, list_steps


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An extra that is not installed, and the tables that are not built for want of it, by what they are of."""

    extra: str
    plate_tables: tuple[str, ...]
    dataset_tables: tuple[str, ...]
    campaign_tables: tuple[str, ...]

    @property
    def tables(self) -> tuple[str, ...]:
        """All of them, in the order of the steps."""
        return (*self.plate_tables, *self.dataset_tables, *self.campaign_tables)

    def __str__(self) -> str:
        groups = (("datasets", self.dataset_tables), ("campaigns", self.campaign_tables))
        named = [*self.plate_tables, *(f"the {len(names)} tables of {of}" for of, names in groups if names)]
        return f"left out, {say_install(self.extra)}: {', '.join(named)}"

    def to_json(self) -> dict[str, object]:
        """The same with every name."""
        return {"extra": self.extra, "tables": list(self.tables), "message": str(self)}


def is_buildable(step: StepSpec) -> bool:
    """Whether what the step needs is installed."""
    return not step.extra or not find_missing(step.extra)


def list_buildable(dimension: Dimension) -> Iterator[StepSpec]:
    """Steps of plates, datasets or campaigns that can be built here, each after the steps whose tables it reads."""
    return filter(is_buildable, list_steps(dimension))


def list_buildable_tables(dimension: Dimension) -> tuple[str, ...]:
    """Names of the tables of :func:`list_buildable`."""
    return tuple(name for step in list_buildable(dimension) for name in step.names)


def list_left_out() -> tuple[LeftOut, ...]:
    """What is not built here, one per extra; empty where everything is installed."""
    left = [step for step in STEPS if not is_buildable(step)]

    def names(extra: str, dimension: Dimension) -> tuple[str, ...]:
        return tuple(
            name for step in left if (step.extra, step.dimension) == (extra, dimension) for name in step.names
        )

    return tuple(
        LeftOut(extra, names(extra, "plate"), names(extra, "dataset"), names(extra, "campaign"))
        for extra in dict.fromkeys(step.extra for step in left)
    )


def say_left_out(dimension: Dimension) -> str:
    """Why no table of datasets, or of campaigns, is built here; empty where some are."""
    if any(list_buildable(dimension)):
        return ""
    extra = next(list_steps(dimension)).extra
    return f"The tables of {dimension}s are left out: each {say_install(extra)}."


def require_step(step: StepSpec) -> None:
    """Refuse a step that somebody asks for by name.

    Raises
    ------
    MissingExtraError
        What it needs is not installed.
    """
    if not is_buildable(step):
        raise build_missing(", ".join(step.names), step.extra)
