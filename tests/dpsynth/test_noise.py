"""Noise: its law, its source, and what it never gives away."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
from scipy import stats

from dpsynth.noise import NoiseSource, NormalsAhead


def discrete_gaussian_pmf(sigma: float, reach: int) -> np.ndarray:
    support = np.arange(-reach, reach + 1)
    weights = np.exp(-(support**2) / (2 * sigma**2))
    return weights / weights.sum()


@pytest.mark.parametrize("source", [NoiseSource.from_entropy(), NoiseSource.seeded(5)])
@pytest.mark.parametrize("sigma", [0.7, 3.0])
def test_discrete_gaussian_follows_its_law(source: NoiseSource, sigma: float) -> None:
    draws = source.discrete_gaussian(sigma=sigma, size=20_000)
    reach = int(4 * sigma) + 1
    expected = discrete_gaussian_pmf(sigma, reach) * draws.size
    inside = draws[np.abs(draws) <= reach]
    observed = np.bincount(inside + reach, minlength=2 * reach + 1)
    full = expected > 5
    p = stats.chisquare(
        observed[full], expected[full] * observed[full].sum() / expected[full].sum()
    )
    assert p.pvalue > 1e-6


@pytest.mark.parametrize("sigma", [250.0, 2.0**30, 2.0**39])
def test_large_scales_have_the_right_variance(sigma: float) -> None:
    size = 5000
    draws = NoiseSource.from_entropy().discrete_gaussian(sigma=sigma, size=size)
    low, high = stats.chi2.ppf([5e-7, 1 - 5e-7], size)
    assert low < (draws.astype(float) ** 2).sum() / sigma**2 < high
    assert draws.dtype == np.int64


def test_two_sources_share_nothing() -> None:
    a = NoiseSource.from_entropy().generator.standard_normal(64)
    b = NoiseSource.from_entropy().generator.standard_normal(64)
    assert not np.intersect1d(a, b).size


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_draws_other_noise() -> None:
    source = NoiseSource.from_entropy()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, source.generator.standard_normal(8).tobytes())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = np.frombuffer(os.read(read, 64))
    ours = source.generator.standard_normal(8)
    assert not np.intersect1d(ours, theirs).size


def test_a_seed_is_repeatable_and_marks_the_source() -> None:
    a, b = NoiseSource.seeded(3), NoiseSource.seeded(3)
    assert np.array_equal(a.generator.random(5), b.generator.random(5))
    assert np.array_equal(
        a.discrete_gaussian(sigma=9.0, size=5), b.discrete_gaussian(sigma=9.0, size=5)
    )
    assert not a.releasable
    assert NoiseSource.from_entropy().releasable


def test_neither_key_nor_seed_is_shown_or_stored() -> None:
    seeded = NoiseSource.seeded(987654321)
    assert "987654321" not in repr(seeded) + str(seeded.describe())
    for source in (seeded, NoiseSource.from_entropy()):
        with pytest.raises(TypeError, match="never stored"):
            pickle.dumps(source)


@pytest.mark.parametrize("sigma", [0.0, -1.0, 2.0**41, float("nan")])
def test_impossible_scales_are_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="sigma"):
        NoiseSource.from_entropy().discrete_gaussian(sigma=sigma, size=1)


def test_global_random_state_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    NoiseSource.from_entropy().discrete_gaussian(sigma=2.0, size=10)
    NoiseSource.seeded(1).generator.random(10)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_normals_ahead_are_those_of_their_source_in_order_and_no_more() -> None:
    expected = NoiseSource.seeded(3).sibling().generator
    with NormalsAhead(NoiseSource.seeded(3).sibling(), 7) as ahead:
        for _ in range(3):
            ahead.begin()
            wanted = expected.standard_normal(7)
            got = [ahead.generator.standard_normal(k) for k in (2, 0, 4)]
            np.testing.assert_array_equal(np.concatenate(got), wanted[:6])
            with pytest.raises(RuntimeError, match="more normals"):
                ahead.standard_normal(2)


def test_normals_cannot_be_had_before_they_were_begun() -> None:
    with NormalsAhead(NoiseSource.from_entropy(), 3) as ahead, pytest.raises(RuntimeError):
        ahead.standard_normal(1)


def test_a_sibling_has_a_stream_of_its_own_and_is_as_releasable() -> None:
    for source in (NoiseSource.from_entropy(), NoiseSource.seeded(1)):
        sibling = source.sibling()
        assert sibling.releasable == source.releasable
        a, b = (part.generator.standard_normal(100) for part in (source, sibling))
        assert not np.isclose(a, b).any()
