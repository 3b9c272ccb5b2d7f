"""Codes of two sets of rows in; which row of A is which row of B out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bioimage_assets.core.release.compare.row_codes import Codes, RowCodes
from bioimage_assets.core.release.compare.row_digests import Digests

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PairedRows:
    """Positions: ``a[i]`` and ``b[i]`` are one row; ``lost`` only A has, ``added`` only B."""

    a: Rows
    b: Rows
    lost: Rows
    added: Rows


def pair_rows(codes: RowCodes, digest: Callable[[], tuple[Digests, Digests]]) -> PairedRows:
    """Pair rows of one key. Where several rows share a key, equal ones are paired first, the others in stored order.

    Without a key all rows share one: rows that are not equal to any of the other side are then lost and added.
    ``digest`` gives digests of whole rows, and is called only where keys are shared.
    """
    if codes.is_unique:
        return _pair(codes.a, codes.b)
    digests_a, digests_b = digest()
    whole_a, whole_b = _join(codes.a, digests_a, codes.b, digests_b)
    equal = _pair(*_number(whole_a, whole_b))
    if not codes.columns:
        return equal
    rest = _pair(*_number(codes.a[equal.lost], codes.b[equal.added]))
    return PairedRows(
        np.concatenate([equal.a, equal.lost[rest.a]]),
        np.concatenate([equal.b, equal.added[rest.b]]),
        equal.lost[rest.lost],
        equal.added[rest.added],
    )


def _pair(a: Codes, b: Codes) -> PairedRows:
    """Pair unique codes, in the order of A."""
    if len(a) == len(b) and np.array_equal(a, b):
        same, none = np.arange(len(a)), np.zeros(0, np.int64)
        return PairedRows(same, same, none, none)
    _, at_a, at_b = np.intersect1d(a, b, assume_unique=True, return_indices=True)
    order = np.argsort(at_a)
    lost = np.setdiff1d(np.arange(len(a)), at_a, assume_unique=True)
    added = np.setdiff1d(np.arange(len(b)), at_b, assume_unique=True)
    return PairedRows(at_a[order], at_b[order], lost, added)


def _join(codes_a: Codes, digests_a: Digests, codes_b: Codes, digests_b: Digests) -> tuple[Codes, Codes]:
    """One code for key and digest."""
    both = np.stack(
        [np.concatenate([codes_a, codes_b]).astype(np.uint64), np.concatenate([digests_a, digests_b])], axis=1
    )
    found = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return found[: len(codes_a)], found[len(codes_a) :]


def _number(a: Codes, b: Codes) -> tuple[Codes, Codes]:
    """Unique codes: the first row of a code, the second, …"""
    most = max(len(a), len(b)) + 1
    return a * most + _count_before(a), b * most + _count_before(b)


def _count_before(codes: Codes) -> Codes:
    """How many rows of the same code stand before each."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(codes) else order
    lengths = np.diff(np.append(starts, len(codes)))
    numbers = np.arange(len(codes)) - np.repeat(starts, lengths)
    found = np.empty(len(codes), np.int64)
    found[order] = numbers
    return found
