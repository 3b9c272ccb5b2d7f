"""The sphere of a batch is pycytominer's, whose numbers a hand call gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pycytominer import normalize

from bioimage_assets.core.batch_effects.sphere import fit_sphere, spell_epsilon

WELLS = 60


def make_profiles(features: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(WELLS, features)) @ random.normal(size=(features, features)) + 3.0


def call_pycytominer(values: np.ndarray, is_control: np.ndarray, epsilon: float) -> np.ndarray:
    """``normalize(method="spherize")`` on the controls, as a user calls it."""
    names = [f"Cells_F{place}" for place in range(values.shape[1])]
    frame = pd.DataFrame(values, columns=names).assign(Metadata_control=is_control)
    found = normalize(
        frame,
        features=names,
        meta_features=["Metadata_control"],
        samples="Metadata_control == True",
        method="spherize",
        spherize_method="ZCA-cor",
        spherize_epsilon=spell_epsilon(epsilon, int(is_control.sum())),
    )
    return pd.DataFrame(found)[names].to_numpy()


@pytest.mark.parametrize(("features", "controls"), [(6, 40), (30, 31), (50, 20)])
@pytest.mark.parametrize("epsilon", [1e-6, 0.5])
def test_the_numbers_are_those_of_a_call_by_hand(features: int, controls: int, epsilon: float) -> None:
    values, is_control = make_profiles(features), np.arange(WELLS) < controls
    got = fit_sphere(values[is_control], epsilon).apply(values)
    expected = call_pycytominer(values, is_control, epsilon)
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


def test_controls_vary_by_one_in_every_direction_and_about_zero() -> None:
    values = make_profiles(6)
    sphered = fit_sphere(values[:40], 1e-9).apply(values[:40])
    np.testing.assert_allclose(np.cov(sphered.T), np.eye(6), atol=1e-6)
    np.testing.assert_allclose(sphered.mean(axis=0), 0.0, atol=1e-12)


def test_a_larger_epsilon_trusts_directions_of_little_variance_less() -> None:
    values = make_profiles(6)
    lengths = [
        np.linalg.norm(fit_sphere(values[:40], epsilon).apply(values[40:]), axis=1).mean()
        for epsilon in (1e-6, 0.1, 0.5, 2.0)
    ]
    assert lengths == sorted(lengths, reverse=True)


def test_controls_that_pycytominer_refuses_are_sphered_like_those_that_it_takes() -> None:
    values, is_control = make_profiles(50), np.arange(WELLS) < 20
    # Relative to its plate's own controls, each plate takes a direction away.
    values[:10] -= values[:10].mean(axis=0)
    values[10:20] -= values[10:20].mean(axis=0)
    with pytest.raises(ValueError, match="rank"):
        call_pycytominer(values, is_control, 0.5)
    sphere = fit_sphere(values[is_control], 0.5)
    assert sphere.turn.shape == (18, 50)
    # The others are scaled like the direction that varies least, which is scaled most.
    weights = sphere.apply(np.diag(sphere.spread) + sphere.center)
    scales = np.linalg.svd(weights, compute_uv=False)
    np.testing.assert_allclose(scales[:33], sphere.scales.max(), rtol=1e-9)
    np.testing.assert_allclose(np.sort(scales[32:]), np.sort(sphere.scales), rtol=1e-9)
