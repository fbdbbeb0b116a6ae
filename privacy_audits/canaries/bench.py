"""Mechanisms of dpsynth at one budget on made-up tables, each ready for canary audits.

Every setting runs the code as booked or with part of the booked noise, and a simulation that shares
nothing with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from dpsynth.calibration import calibrate
from dpsynth.codec import COUNTS, Codec, CodecSettings, codec_charges
from dpsynth.counts import histogram_event
from dpsynth.neural.dpsgd import TrainingSettings
from dpsynth.neural.voting import (
    KEY_BYTES,
    Questions,
    Teachers,
    release_margins,
    sensitivity,
    vote_event,
)
from dpsynth.noise import NoiseSource
from dpsynth.privacy import (
    Budget,
    DiscreteGaussian,
    PATEVote,
    Plan,
    PoissonSampledGaussian,
    PrivacyUnit,
)
from dpsynth.schema import Schema
from dpsynth.table import load
from dpsynth.transcript import Transcript
from privacy_audits.canaries.counts import CountCanaries
from privacy_audits.canaries.gradients import FloatArray, GradientCanaries
from privacy_audits.canaries.listening import Listener
from privacy_audits.canaries.reference import (
    Simulated,
    counted,
    sampled_gaussian,
    separations,
    voted,
)
from privacy_audits.canaries.result import CanaryAudit, assess
from privacy_audits.canaries.training import audit_training
from privacy_audits.canaries.votes import VoteGame

BUDGET = Budget(epsilon=4.0, delta=1e-5)
UNIT = PrivacyUnit()

_HISTOGRAMS = 4
_COLUMNS, _CODES = 12, 8
_VOTES, _TEACHERS = 4000, 4000
_ROWS = 300
_REFERENCE_RUNS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One mechanism at the budget.

    Parameters
    ----------
    name : str
        What is shown.
    audit : callable
        From a seed, a factor of the booked noise and a number of canaries to an audit of the code.
    simulate : callable
        From a seed and a number of canaries to an audit of the naive simulation.
    """

    name: str
    audit: Callable[[int, float, int], CanaryAudit]
    simulate: Callable[[int, int], CanaryAudit]


# -- DP-SGD ----------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def training_event(rate: float, steps: int) -> PoissonSampledGaussian:
    """Return DP-SGD with the least noise that the budget admits."""

    def at(scale: float) -> PoissonSampledGaussian:
        return PoissonSampledGaussian(
            relation=UNIT.relation,
            noise_multiplier=scale,
            sampling_probability=rate,
            steps=steps,
        )

    return at(calibrate(lambda scale: [at(scale)], BUDGET))


@lru_cache(maxsize=8)
def _training_reference(event: PoissonSampledGaussian, canaries: int) -> FloatArray:
    rng = np.random.default_rng(0)
    return separations(lambda: _simulated(rng, event, canaries), runs=_REFERENCE_RUNS)


def _simulated(rng: np.random.Generator, event: PoissonSampledGaussian, canaries: int) -> Simulated:
    return sampled_gaussian(
        rng,
        canaries=canaries,
        steps=event.steps,
        rate=event.sampling_probability,
        sigma=event.noise_multiplier,
    )


def train_once(seed: int, factor: float, canaries: int, *, rate: float, steps: int) -> CanaryAudit:
    """Audit :func:`dpsynth.neural.dpsgd.train` on a small regression."""
    event, rng = training_event(rate, steps), np.random.default_rng(seed)
    network = nn.Sequential(
        nn.utils.skip_init(nn.Linear, 4, 8), nn.Tanh(), nn.utils.skip_init(nn.Linear, 8, 1)
    )
    start = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-0.5, 0.5, generator=start)

    def row_loss(codes: Tensor) -> Tensor:
        return (network(codes[:, :4].float()).squeeze(1) - codes[:, 4]).square()

    return audit_training(
        network,
        row_loss,
        rng.integers(0, 4, (_ROWS, 5)).astype(np.int32),
        np.arange(_ROWS),
        settings=TrainingSettings(
            sampling_probability=rate,
            steps=steps,
            expected_units=float(_ROWS + canaries // 2),
            learning_rate=0.01,
        ),
        mechanism=event,
        ran=replace(event, noise_multiplier=factor * event.noise_multiplier),
        delta=BUDGET.delta,
        rng=rng,
        canaries=GradientCanaries(count=canaries),
        seed=seed,
        reference=_training_reference(event, canaries),
    )


def simulate_training(seed: int, canaries: int, *, rate: float, steps: int) -> CanaryAudit:
    """Assess the simulation of the same event."""
    event, rng = training_event(rate, steps), np.random.default_rng(seed)
    simulated = _simulated(rng, event, canaries)
    return _assessed(simulated, event, _training_reference(event, canaries), rng)


def _assessed(
    simulated: Simulated,
    event: PoissonSampledGaussian | DiscreteGaussian | PATEVote,
    reference: FloatArray,
    rng: np.random.Generator,
) -> CanaryAudit:
    scores, bits = simulated
    return assess(
        scores,
        bits,
        mechanism=event,
        delta=BUDGET.delta,
        mode="surrogate",
        reference=reference,
        rng=rng,
    )


# -- one-way counts --------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def count_event() -> DiscreteGaussian:
    """Return the codec's histograms with the least noise that the budget admits."""

    def at(scale: float) -> DiscreteGaussian:
        return histogram_event(sigma=scale, histograms=_HISTOGRAMS, unit=UNIT)

    return at(calibrate(lambda scale: [at(scale)], BUDGET))


@lru_cache(maxsize=1)
def count_schema() -> Schema:
    """Return a schema of categorical columns."""
    return Schema.from_dict(
        {
            "table": {"name": "made up", "rows": "private"},
            "columns": {
                f"column {number}": {
                    "kind": "categorical",
                    "categories": ["a", "b", "c"],
                    "source": "made up",
                }
                for number in range(_HISTOGRAMS)
            },
        }
    )


@lru_cache(maxsize=4)
def _count_reference(canaries: int) -> FloatArray:
    rng = np.random.default_rng(0)
    return separations(lambda: _counted(rng, canaries), runs=_REFERENCE_RUNS)


def _counted(rng: np.random.Generator, canaries: int) -> Simulated:
    return counted(rng, canaries=canaries, histograms=_HISTOGRAMS, sigma=count_event().sigma)


def count_once(seed: int, factor: float, canaries: int) -> CanaryAudit:
    """Audit the codec's one-way counts."""
    event, rng, schema = count_event(), np.random.default_rng(seed), count_schema()
    design = CountCanaries(schema=schema, bits=rng.random(canaries) < 0.5)
    frame = pd.DataFrame({c.name: rng.choice(["a", "b", "c"], _ROWS) for c in schema.columns})
    table = design.enter(load(frame, design.extended(), rng=rng))
    settings, transcript = CodecSettings(), Transcript()
    charges = codec_charges(
        table.schema, settings, sigma=factor * event.sigma, failure_delta=BUDGET.delta / 2
    )
    plan = Plan(
        method="independent",
        unit=UNIT,
        budget=BUDGET,
        charges=charges,
        parameters={},
        schema_sha256=table.schema.digest(),
    )
    assert [charge.step for charge in charges] == [COUNTS]
    Codec.fit(table, plan=plan, settings=settings, noise=NoiseSource.audited(transcript, seed=seed))
    scores = design.scores(transcript.measurements, event)
    return _assessed((scores, design.bits), event, _count_reference(canaries), rng)


def simulate_counts(seed: int, canaries: int) -> CanaryAudit:
    """Assess the simulation of the same event."""
    rng = np.random.default_rng(seed)
    return _assessed(_counted(rng, canaries), count_event(), _count_reference(canaries), rng)


# -- votes -----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def votes_event() -> PATEVote:
    """Return votes with the least noise that the budget admits."""

    def at(scale: float) -> PATEVote:
        return vote_event(noise_multiplier=scale, votes=_VOTES, unit=UNIT)

    return at(calibrate(lambda scale: [at(scale)], BUDGET))


@lru_cache(maxsize=4)
def _vote_reference(canaries: int) -> FloatArray:
    rng = np.random.default_rng(0)
    return separations(lambda: _voted(rng, canaries), runs=20)


def _voted(rng: np.random.Generator, canaries: int) -> Simulated:
    sigma = votes_event().noise_multiplier * sensitivity(UNIT.relation)
    return voted(rng, canaries=canaries, votes=_VOTES, sigma=sigma)


def vote_once(
    seed: int, factor: float, canaries: int, *, make: type[Teachers] = Teachers
) -> CanaryAudit:
    """Audit deal, votes and noise of ``pate-gan``'s teachers."""
    event, rng = votes_event(), np.random.default_rng(seed)
    game = VoteGame(bits=rng.random(canaries) < 0.5, event=event)
    teachers = game.seat(
        rng.integers(0, _CODES, (_ROWS, _COLUMNS)).astype(np.int32),
        np.arange(_ROWS),
        [np.full(_CODES, 1 / _CODES)] * _COLUMNS,
        teachers=_TEACHERS,
        key=rng.bytes(KEY_BYTES),
        rng=rng,
        make=make,
    )
    questions = _questions(rng)
    release_margins(
        teachers.margins(questions),
        event=replace(event, noise_multiplier=factor * event.noise_multiplier),
        noise=NoiseSource.audited(Listener(game.hear), seed=seed),
    )
    return _assessed((game.scores(), game.bits), event, game.reference(rng), rng)


def _questions(rng: np.random.Generator) -> Questions:
    """Return views of random pairs of columns that cut the codes of each in halves."""
    halves = np.repeat(np.array([1, -1], dtype=np.int8), _CODES // 2)
    signs = rng.permuted(np.tile(halves, (2, _VOTES, 1)), axis=2)
    pairs = np.array([(a, b) for a in range(_COLUMNS) for b in range(a)])
    return Questions(columns=rng.choice(pairs, _VOTES), first=signs[0], second=signs[1])


def simulate_votes(seed: int, canaries: int) -> CanaryAudit:
    """Assess the simulation of the same event."""
    rng = np.random.default_rng(seed)
    return _assessed(_voted(rng, canaries), votes_event(), _vote_reference(canaries), rng)


def _training(rate: float, steps: int) -> Setting:
    return Setting(
        name=f"DP-SGD, q = {rate:g}, {steps} steps",
        audit=lambda seed, factor, m: train_once(seed, factor, m, rate=rate, steps=steps),
        simulate=lambda seed, m: simulate_training(seed, m, rate=rate, steps=steps),
    )


SETTINGS = (
    _training(1.0, 30),
    _training(0.05, 400),
    Setting(
        name=f"one-way counts, {_HISTOGRAMS} histograms", audit=count_once, simulate=simulate_counts
    ),
    Setting(name=f"PATE, {_VOTES} votes", audit=vote_once, simulate=simulate_votes),
)
