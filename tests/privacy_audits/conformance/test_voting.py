"""Moments of a vote: exact, proved, and in between."""

from __future__ import annotations

import math

import numpy as np
import pytest

from privacy_audits.conformance import vote_moments
from privacy_audits.conformance.voting import _exact_moment, _other_shown
from tests.broken import textbook


@pytest.mark.parametrize("rate", [0.02, 0.2, 1.0])
def test_textbook_moments_lie_between_exact_and_proved(rate: float) -> None:
    def stated(gap: int, order: int) -> float:
        return textbook.moment(gap, order, rate=rate)

    def scaled(factor: float) -> bool:
        return vote_moments(
            lambda gap, order: factor * stated(gap, order),
            rate=rate,
            gaps=range(30),
            orders=range(1, 20),
        ).passed

    assert scaled(1.0)
    assert not scaled(0.2)
    assert not scaled(1.01)
    assert not vote_moments(lambda *_: math.nan, rate=rate, gaps=[0], orders=[1]).passed


def test_the_chance_of_the_other_class_is_that_of_two_laplaces() -> None:
    rng, rate = np.random.default_rng(0), 0.3
    draws = rng.laplace(scale=1 / rate, size=(2, 200_000))
    for gap in (0, 1, 5, 12):
        share = float(np.mean(draws[1] > gap + draws[0]))
        # Binomial, 6 standard errors.
        assert share == pytest.approx(_other_shown(gap, rate), abs=6 * 0.5 / math.sqrt(200_000))


def test_the_exact_moment_of_equal_chances_is_nothing() -> None:
    assert _exact_moment(3, 3, 4, 0.2) == pytest.approx(0.0, abs=1e-12)
