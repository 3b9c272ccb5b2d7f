"""Harmony is harmonypy's, on principal components of all wells."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from bioimage_assets.core.batch_effects.harmony import find_components, mix_batches
from bioimage_assets.core.batch_effects.mixing import measure_lisi
from bioimage_assets.core.errors import MissingExtraError


def make_wells() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(11)
    batches = np.repeat(np.asarray(["a", "b", "c"], object), 60)
    values = random.normal(size=(180, 12)) + 0.8 * np.repeat(random.normal(size=(3, 12)), 60, axis=0)
    return values, batches, np.arange(180) % 3 == 0


def test_components_are_those_of_a_decomposition_by_hand() -> None:
    values, _, is_control = make_wells()
    got = find_components(values, is_control, 5)
    standard = (values - values[is_control].mean(axis=0)) / values[is_control].std(axis=0)
    left, singular, _ = np.linalg.svd(standard - standard.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(got), np.abs(left * singular)[:, :5], atol=1e-9)
    assert find_components(values, is_control, 50).shape == (180, 12)


def test_the_numbers_are_those_of_a_call_by_hand_and_mix_the_batches() -> None:
    harmonypy = pytest.importorskip("harmonypy")
    values, batches, is_control = make_wells()
    components = find_components(values, is_control, 10)
    got = mix_batches(components, batches)
    by_hand = harmonypy.run_harmony(
        components, pd.DataFrame({"day": batches}), ["day"], random_state=0, verbose=False
    )
    np.testing.assert_array_equal(got, by_hand.Z_corr)
    before, after = measure_lisi(components, batches), measure_lisi(got, batches)
    assert before is not None
    assert after is not None
    assert after > before + 0.1


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "harmonypy", None)
    with pytest.raises(MissingExtraError, match=r"bioimage_assets\[batch\]"):
        mix_batches(np.zeros((4, 2)), np.asarray(["a", "a", "b", "b"], object))
