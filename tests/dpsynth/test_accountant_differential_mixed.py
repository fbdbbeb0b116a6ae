"""170 of the 500 random compositions: mixtures, and parts that are known by Rényi costs alone.

The others are in ``test_accountant_differential.py``.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from dpsynth.accountant import Accountant
from tests.dpsynth.differential import PLAIN_FROM, all_of, allowed, bounds, judge, known


@pytest.mark.parametrize(("family", "number"), all_of("laplaces", "mixed"))
def test_epsilon_is_the_truth_rounded_up(family: str, number: int) -> None:
    case, truth = known(family, number)
    ours = Accountant(case.mechanisms).epsilon(case.delta)
    assert judge(ours, truth, case) == "agrees", f"{case} is {ours!r}, truth {truth.epsilon!r}"


@pytest.mark.parametrize(("family", "number"), all_of("renyi"))
def test_parts_known_by_renyi_costs_are_covered(family: str, number: int) -> None:
    """Real mechanisms of these costs: how much is given away above them is no matter here."""
    case, truth = known(family, number)
    ours = Accountant(case.mechanisms).epsilon(case.delta)
    assert ours >= truth.epsilon, f"{case} is {ours!r}, truth {truth.epsilon!r}"


@pytest.mark.parametrize("number", range(0, 50, 10))
def test_a_renyi_cost_that_is_halved_is_caught(number: int) -> None:
    """The lower bounds of the Rényi parts are near enough to notice."""
    case, truth = known("renyi", number)
    half = Accountant(case.mechanisms).rdp_epsilon(case.delta) / 2
    assert judge(half, truth, case) == "below"


CURVES = [
    *(("discrete", n) for n in (1, 12)),
    *(("sampled", n) for n in (2, 5, 23)),
    *(("exchanged", n) for n in (9, 14)),
    ("laplaces", 2),
    *(("mixed", n) for n in (3, 17, 31)),
    *(("renyi", n) for n in (5, 13)),
]


@pytest.mark.parametrize(("family", "number"), CURVES)
def test_curves_cover_attacks_that_exist(family: str, number: int) -> None:
    case, truth = known(family, number)
    laws, ours = bounds(case), Accountant(case.mechanisms)
    for epsilon in (0.0, truth.epsilon / 2, truth.epsilon):
        least = max(law.delta(epsilon) for law in laws)
        assert least <= ours.delta(epsilon)
        if family != "renyi" and truth.epsilon >= PLAIN_FROM:
            # Where ε is at most so much too large, δ there is no more than it is here; another
            # percent is for the reference, which lies below the truth.
            at = allowed(replace(truth, epsilon=epsilon), case)
            assert ours.delta(at) <= 1.01 * least + 1e-3 * case.delta
    alpha = [1e-3, 0.01, 0.1, 0.5]
    for curve, at in zip(ours.tradeoff(alpha), alpha, strict=True):
        assert curve <= min(law.attack(at) for law in laws)
    assert ours.advantage() >= max(law.delta(0.0) for law in laws)
