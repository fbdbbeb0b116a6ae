"""Benches of accounts: what compositions are said to cost, what plans book, moments of votes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import dpsynth as dp
from dpsynth.accountant import Accountant
from dpsynth.marginals.independent import Independent
from dpsynth.marginals.mst import MST
from dpsynth.neural.autoregressive import AutoregressiveSettings, DPAutoregressive
from dpsynth.neural.pategan import PATEGAN
from dpsynth.privacy import (
    Budget,
    DiscreteGaussian,
    Exponential,
    Gaussian,
    Mechanism,
    PartitionSelection,
    PATEVote,
    PoissonSampledGaussian,
)
from dpsynth.synthesizer import Synthesizer
from privacy_audits.conformance import stated_cost, vote_moments
from tests.broken import textbook
from tests.broken.benches.bench import Results, bench
from tests.conftest import patients_schema

DELTA = 1e-5
ADD_REMOVE = dp.PrivacyUnit().relation


def compositions() -> tuple[tuple[Mechanism, ...], ...]:
    """One composition per method."""
    counts = DiscreteGaussian(relation=ADD_REMOVE, sigma=40.0, sensitivity=3, count=11)
    single = DiscreteGaussian(relation=ADD_REMOVE, sigma=12.0, count=11)
    steps = PoissonSampledGaussian(
        relation=ADD_REMOVE, noise_multiplier=1.1, sampling_probability=0.02, steps=500
    )
    full = PoissonSampledGaussian(
        relation=ADD_REMOVE, noise_multiplier=20.0, sampling_probability=1.0, steps=50
    )
    levels = PartitionSelection(relation=ADD_REMOVE, sigma=8.0, failure_delta=1e-7, sensitivity=3)
    return (
        (Gaussian(relation=ADD_REMOVE, noise_multiplier=4.0, count=16),),
        (single,),
        (steps,),
        (full,),
        (levels, counts, steps),
        (counts, PATEVote(relation=ADD_REMOVE, noise_multiplier=40.0, votes=400)),
        (single, Exponential(relation=ADD_REMOVE, epsilon=0.5, count=20)),
    )


Cost = Callable[[Sequence[Mechanism], float], float]


@bench(real=lambda mechanisms, delta: Accountant(mechanisms).epsilon(delta), runs="7 compositions")
def costs(cost: Cost, seed: int) -> Results:
    del seed
    for mechanisms in compositions():
        stated = Budget(epsilon=cost(mechanisms, DELTA), delta=DELTA)
        yield from stated_cost(mechanisms, stated)


SMALL = AutoregressiveSettings(steps=60, hidden=4, sampling_probability=0.05)

METHODS: dict[str, Callable[[dp.Schema], Synthesizer]] = {
    "independent": Independent,
    "mst": MST,
    "pate-gan": PATEGAN,
    "dp-autoregressive": lambda schema: DPAutoregressive(schema, settings=SMALL),
}


@bench(real=METHODS, runs="4 plans")
def plans(methods: dict[str, Callable[[dp.Schema], Synthesizer]], seed: int) -> Results:
    """What each method books costs the budget: no less, and nearly all of it."""
    del seed
    budget, schema = Budget(epsilon=2.0, delta=DELTA), patients_schema(id="patient", max_rows=3)
    for make in methods.values():
        plan = make(schema).plan(budget, rows=2000)
        yield from stated_cost(plan.mechanisms, budget)


@bench(real=textbook.moment, runs="2 × 120 moments")
def moments(stated: Callable[..., float], seed: int) -> Results:
    for rate in (0.05, 0.6):
        yield vote_moments(
            lambda gap, order, rate=rate: stated(gap, order, rate=rate),
            rate=rate,
            gaps=range(seed % 3, 60, 5),
            orders=range(1, 11),
        )
