"""Noise that is used twice is seen at any shift, and independent noise is not accused."""

from __future__ import annotations

import numpy as np
import pytest

from dpsynth.errors import UsageError
from dpsynth.noise import NoiseSource
from privacy_audits.conformance import noise_reuse


def test_p_values_keep_their_level() -> None:
    rng = np.random.default_rng(0)
    p_values = [
        noise_reuse([rng.standard_normal(200), 5 * rng.standard_normal(300)]).p_value
        for _ in range(200)
    ]
    # Bonferroni over hundreds of overlapping shifts: rarer than the level. 6 standard errors.
    for level in (0.05, 0.5):
        assert np.mean(np.array(p_values) < level) < level + 6 * np.sqrt(level / 200)
    assert min(p_values) < 0.2


def test_discrete_noise_of_a_source_is_independent() -> None:
    noise = NoiseSource.from_entropy()
    parts = [noise.discrete_gaussian(sigma=s, size=400) for s in (2.0, 6.0, 40.0)]
    assert noise_reuse(parts).passed


@pytest.mark.parametrize("shift", [0, 1, 37])
@pytest.mark.parametrize("scale", [1.0, -0.01])
def test_a_shifted_and_scaled_copy_is_seen(shift: int, scale: float) -> None:
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(400)
    other = np.concatenate([rng.standard_normal(shift), scale * noise])[:400]
    assert not noise_reuse([noise, other]).passed


def test_noise_that_repeats_within_a_release_is_seen() -> None:
    rng = np.random.default_rng(2)
    once = rng.standard_normal(200)
    assert not noise_reuse([np.concatenate([once, once])]).passed


def test_no_noise_at_all_is_seen() -> None:
    assert not noise_reuse([np.zeros(200), np.ones(200)]).passed


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UsageError, match="too short"):
        noise_reuse([np.ones(100), np.ones(500)])
    with pytest.raises(UsageError, match="give several"):
        noise_reuse([])
