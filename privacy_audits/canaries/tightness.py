"""How close canary audits come to the claim, and how surely they see half of the noise.

Every setting runs the code of dpsynth at one (ε, δ): as booked, with part of the booked noise, and
beside a simulation that shares nothing with it. Run

    python -m privacy_audits.canaries.tightness --runs runs.jsonl --page page.md

A run that was interrupted goes on where it stopped: each line of ``runs.jsonl`` is one audit.

Notes
-----
All tables are made up.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor, nn

from dpsynth.calibration import calibrate
from dpsynth.codec import COUNTS, Codec, CodecSettings, codec_charges
from dpsynth.counts import histogram_event
from dpsynth.neural.dpsgd import TrainingSettings
from dpsynth.neural.voting import KEY_BYTES, Questions, release_margins, sensitivity, vote_event
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
from privacy_audits.canaries.result import ALPHA, REPORTED, CanaryAudit, assess
from privacy_audits.canaries.training import audit_training
from privacy_audits.canaries.votes import VoteGame

BUDGET = Budget(epsilon=4.0, delta=1e-5)
UNIT = PrivacyUnit()
CANARIES = 1000

_HISTOGRAMS = 4
_COLUMNS, _CODES = 12, 8
_VOTES, _TEACHERS = 4000, 4000
_ROWS = 300
_REFERENCE_RUNS = 200

Kind = Literal["simulation", "code", "0.5 of the noise", "0.9 of the noise"]
KINDS: dict[Kind, float] = {
    "simulation": 1.0,
    "code": 1.0,
    "0.5 of the noise": 0.5,
    "0.9 of the noise": 0.9,
}
"""Runs of every setting, and how much of the booked noise each adds."""

ESTIMATORS = ("d′", "Steinke", "f-DP", "order statistics")


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


def vote_once(seed: int, factor: float, canaries: int) -> CanaryAudit:
    """Audit deal, votes and noise of ``pate-gan``'s teachers."""
    event, rng = votes_event(), np.random.default_rng(seed)
    game = VoteGame(
        bits=rng.random(canaries) < 0.5,
        relation=UNIT.relation,
        sigma=event.noise_multiplier * sensitivity(UNIT.relation),
    )
    teachers = game.seat(
        rng.integers(0, _CODES, (_ROWS, _COLUMNS)).astype(np.int32),
        np.arange(_ROWS),
        [np.full(_CODES, 1 / _CODES)] * _COLUMNS,
        teachers=_TEACHERS,
        key=rng.bytes(KEY_BYTES),
        rng=rng,
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


# -- the study -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One audit.

    Parameters
    ----------
    setting, kind : str
    seed, canaries : int
    claim, expected, point, p_value : float
        See :class:`~privacy_audits.canaries.CanaryAudit`; ``point`` is d′ as ε.
    lower, ceiling : mapping of str to float
        By estimator, as ε.
    cpu_seconds : float
    """

    setting: str
    kind: str
    seed: int
    canaries: int
    claim: float
    expected: float
    point: float
    p_value: float
    lower: dict[str, float]
    ceiling: dict[str, float]
    cpu_seconds: float

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What a run is recognised by."""
        return self.setting, self.kind, self.seed, self.canaries


def run_line(setting: Setting, kind: Kind, seed: int, canaries: int) -> Line:
    """Run one audit."""
    began = time.process_time()
    if kind == "simulation":
        audit = setting.simulate(seed, canaries)
    else:
        audit = setting.audit(seed, KINDS[kind], canaries)
    bounds = dict(zip(ESTIMATORS, (audit.conformance, *audit.bounds), strict=True))
    return Line(
        setting=setting.name,
        kind=kind,
        seed=seed,
        canaries=canaries,
        claim=audit.claim,
        expected=audit.expected,
        point=audit.conformance.point,
        p_value=audit.p_value,
        lower={name: bound.lower for name, bound in bounds.items()},
        ceiling={name: min(bound.ceiling, 1e9) for name, bound in bounds.items()},
        cpu_seconds=time.process_time() - began,
    )


def read_lines(path: Path) -> list[Line]:
    """Return what was run before; a last line that was cut off is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [Line(**json.loads(line)) for line in lines if line.endswith("\n")]


def run_study(path: Path, *, seeds: int, canaries: int) -> Iterator[Line]:
    """Run what is missing, append it to the file and yield everything."""
    before = read_lines(path)
    done = {line.key: line for line in before}
    # A line that was cut off must not be continued by the next one.
    path.write_text("".join(_written(line) for line in before), encoding="utf-8")
    with path.open("a", encoding="utf-8") as file:
        for setting in SETTINGS:
            for kind in KINDS:
                for seed in range(seeds):
                    key = (setting.name, kind, seed, canaries)
                    line = done.get(key)
                    if line is None:
                        line = run_line(setting, kind, seed, canaries)
                        file.write(_written(line))
                        file.flush()
                    yield line


def _written(line: Line) -> str:
    def rounded(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            return {name: rounded(part) for name, part in value.items()}
        return float(f"{value:.6g}") if isinstance(value, float) else value

    document = {name: rounded(value) for name, value in asdict(line).items()}
    return json.dumps(document, ensure_ascii=False) + "\n"


def tables(lines: list[Line]) -> str:
    """Return two Markdown tables: bounds, and how often each lies above the claim."""
    seeds = len({line.seed for line in lines})
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        groups.setdefault((line.setting, line.kind), []).append(line)
    bounds = [
        "| mechanism | run | claim | d′ as ε | " + " | ".join(f"{n} ≥" for n in ESTIMATORS) + " |",
        "|---|---|---:|---:|" + "---:|" * len(ESTIMATORS),
    ]
    shares = [
        "| mechanism | run | "
        + " | ".join(f"{n} above claim" for n in ESTIMATORS)
        + f" | p < {ALPHA:g} |",
        "|---|---|" + "---:|" * (len(ESTIMATORS) + 1),
    ]
    for (setting, kind), group in groups.items():
        means = [np.mean([line.lower[name] for line in group]) for name in ESTIMATORS]
        above = [sum(line.lower[name] > line.claim for line in group) for name in ESTIMATORS]
        refuted = sum(line.p_value < ALPHA for line in group)
        point = np.mean([line.point for line in group])
        bounds.append(
            f"| {setting} | {kind} | {group[0].claim:.2f} | {point:.2f} | "
            + " | ".join(f"{mean:.2f}" for mean in means)
            + " |"
        )
        shares.append(
            f"| {setting} | {kind} | "
            + " | ".join(f"{number} of {seeds}" for number in above)
            + f" | {refuted} of {seeds} |"
        )
    return "\n".join(bounds) + "\n\n" + "\n".join(shares) + "\n"


_PAGE = """\
# How tight canary audits are

Generated by `python -m privacy_audits.canaries.tightness`; every audit is a line of
[audits-tightness.jsonl](audits-tightness.jsonl). Formulas: `privacy_audits/canaries`.

One run, {canaries} canaries of which each is in or out by a fair coin, ε = {epsilon:g} at
δ = {delta:g}, {seeds} seeds. *Code* runs dpsynth as booked; *simulation* is
`privacy_audits/canaries/reference.py`, NumPy alone. Bounds hold with {confidence:g}% confidence
each and are shown as ε; the table gives their means over the seeds.

{tables}
## How to read it

- **d′ is the headline of conformance.** It uses every score and takes for granted that scores are
  normal and canaries independent, which is so where the code is the mechanism that was booked. The
  three one-run estimators make the statement about ε: Steinke's assumes nothing but the coins,
  f-DP a Gaussian trade-off curve, order statistics canaries that do not meet.
- A bound with {confidence:g}% confidence lies above a claim that is met with equality in up to
  {level:g}% of all runs: in {expected_above:.0f} of {seeds} seeds on average, in more than
  {most_above} of {seeds} once in a hundred such tables. d′ is that tight for full batches and
  counts; the other estimators are not.
- **p < {alpha:g}** is the test of the gate: d′ against simulated runs of the booked event on the
  same canaries. It is meant to fire in {alpha_percent:g}% of all runs of right code.
- Under Poisson sampling a right implementation shows less than the claim: the accountant's ε is
  that of the best test at one point of the trade-off curve, d′ averages over all of it. Votes show
  less since canaries meet in every margin. Both are seen in the simulation as well.

## What canaries do not see

- **0.9 of the noise**: see the tables. With m canaries the standard error of d′ is about 2/√m. The
  chi-square test of `privacy_audits.conformance` is certain of it after 5,000 draws.
- Shuffled or fixed batches: each canary is in as many steps as under Poisson sampling, and its
  score does not use who else was.
- Domains, bounds or sizes that were read off the real rows: the other rows are a released table.
- The accountant: claim and simulation both start from the event.
- Claims above the ceiling: if all guesses were right, Steinke's bound would be ε ≥ {ceiling:.2f}
  with {canaries} canaries and the numbers of guesses that are declared.
"""


def page(lines: list[Line]) -> str:
    """Return the page of the documentation."""
    seeds = len({line.seed for line in lines})
    return _PAGE.format(
        canaries=lines[0].canaries,
        epsilon=BUDGET.epsilon,
        delta=BUDGET.delta,
        seeds=seeds,
        confidence=100 * (1 - REPORTED),
        level=100 * REPORTED,
        alpha=ALPHA,
        alpha_percent=100 * ALPHA,
        tables=tables(lines),
        expected_above=REPORTED * seeds,
        most_above=int(stats.binom.ppf(0.99, seeds, REPORTED)),
        ceiling=max(line.ceiling["Steinke"] for line in lines),
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description="Tightness of canary audits.")
    parser.add_argument("--runs", type=Path, required=True, help="JSON lines; continued if there")
    parser.add_argument("--page", type=Path, required=True, help="Markdown page; replaced")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--canaries", type=int, default=CANARIES)
    options = parser.parse_args(arguments)
    lines = list(run_study(options.runs, seeds=options.seeds, canaries=options.canaries))
    options.page.write_text(page(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
