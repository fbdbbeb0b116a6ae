"""The law of the number of trials: closed forms against sums, draws against the law."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dpsynth.errors import UsageError
from dpsynth.noise import NoiseSource
from dpsynth.privacy import ZCDP, PrivateSelection
from dpsynth.trials import TrialLaw
from privacy_audits.conformance import trial_numbers

SHAPES = [-0.5, 0.0, 1e-13, 0.5, 1.0, 3.0]


def event(*, mean: float, shape: float) -> PrivateSelection:
    one = ZCDP(relation="add_remove", rho=0.1)
    return PrivateSelection(
        relation="add_remove", candidates=((one,),), mean_trials=mean, shape=shape
    )


@pytest.mark.parametrize("mean", [1.5, 10.0, 40.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_probabilities_follow_the_definition_and_have_the_mean(shape: float, mean: float) -> None:
    law = TrialLaw.of_mean(mean, shape=shape)
    stay = 1 - math.exp(-law.log_inverse_halting)
    p = np.array(law.probabilities(6000))
    k = np.arange(1, 6001)
    here = p[1:] > 1e-290
    ratio = stay * (k[:-1] + shape) / k[1:]
    np.testing.assert_allclose(p[1:][here] / p[:-1][here], ratio[here], rtol=1e-12)
    if shape >= 0:  # with a negative shape the tail is too heavy to be summed up
        assert p.sum() == pytest.approx(1, abs=1e-9)
        assert p @ k == pytest.approx(mean, rel=1e-6)
    assert law.mean == pytest.approx(mean, rel=1e-12)


def test_special_laws_are_those_of_scipy() -> None:
    k = np.arange(1, 50)
    geometric = TrialLaw.of_mean(7.0, shape=1.0).probabilities(49)
    np.testing.assert_allclose(geometric, stats.geom.pmf(k, 1 / 7), rtol=1e-12)
    law = TrialLaw.of_mean(7.0, shape=0.0)
    stay = 1 - math.exp(-law.log_inverse_halting)
    np.testing.assert_allclose(law.probabilities(49), stats.logser.pmf(k, stay), rtol=1e-9)
    law = TrialLaw.of_mean(7.0, shape=2.5)
    gamma = math.exp(-law.log_inverse_halting)
    untruncated = stats.nbinom(2.5, gamma)
    np.testing.assert_allclose(
        law.probabilities(49), untruncated.pmf(k) / untruncated.sf(0), rtol=1e-9
    )


@pytest.mark.parametrize("shape", [-0.5, 0.0, 1.0])
def test_draws_follow_the_law(shape: float) -> None:
    noise, law = NoiseSource.seeded(11), TrialLaw.of_mean(6.0, shape=shape)
    drawn = [law.draw(noise) for _ in range(4000)]
    again = iter(drawn)
    result = trial_numbers(lambda: next(again), event(mean=6.0, shape=shape), rounds=4000)
    assert result.p_value is not None
    assert result.p_value > 1e-3
    if shape >= 0:
        error = np.std(drawn) / math.sqrt(4000)
        assert np.mean(drawn) == pytest.approx(6.0, abs=4 * error)
        wrong = iter(drawn)
        other = trial_numbers(lambda: next(wrong), event(mean=9.0, shape=shape), rounds=4000)
        assert not other.passed


def test_draws_from_entropy_are_whole_numbers_from_one() -> None:
    law = TrialLaw.of_mean(3.0, shape=0.0)
    drawn = [law.draw(NoiseSource.from_entropy()) for _ in range(200)]
    assert min(drawn) == 1
    assert max(drawn) > 1


@pytest.mark.parametrize(
    ("mean", "shape"),
    [(1.0, 0.0), (0.5, 1.0), (10.0, -1.0), (math.nan, 0.0), (10.0, math.nan), (1e6, -0.9)],
)
def test_impossible_laws_are_refused(mean: float, shape: float) -> None:
    with pytest.raises(UsageError):
        TrialLaw.of_mean(mean, shape=shape)


def test_a_mean_hardly_above_one_is_nearly_always_one() -> None:
    law = TrialLaw.of_mean(1 + 1e-6, shape=1.0)
    assert law.probabilities(1)[0] == pytest.approx(1 - 1e-6, abs=1e-9)
