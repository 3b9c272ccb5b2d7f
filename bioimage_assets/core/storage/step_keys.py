"""Keys of the tables that every step writes to: ``<plate or dataset>#<table>``, one partition for each."""

from __future__ import annotations


def build_step_key(partition: str, table_name: str) -> str:
    """Key of what a step wrote about a plate or dataset; neither name may hold a ``#``."""
    return f"{partition}#{table_name}"


def partition_of(step_key: str) -> str:
    """The plate or dataset of a key."""
    return step_key.split("#", 1)[0]
