"""How selection, tables of pairs and whole fits of ``mst`` are put on the bench."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

import dpsynth as dp
from dpsynth.marginals import measure as measure_module
from dpsynth.marginals import mst as mst_module
from dpsynth.marginals import select as select_module
from dpsynth.marginals.measure import count_pair, measure_pairs
from dpsynth.marginals.mst import MST
from dpsynth.marginals.select import choose, log_probabilities, pair_score, score_sensitivity
from dpsynth.noise import NoiseSource
from dpsynth.privacy import (
    DiscreteGaussian,
    Exponential,
    NeighbouringRelation,
    Plan,
    PrivacyUnit,
)
from dpsynth.transcript import Transcript
from privacy_audits.conformance import (
    Conformance,
    CoupledNoise,
    Tape,
    cost_is_charge,
    event_is_charge,
    exponential_ratios,
    replay,
    selection_frequencies,
    transcript_sensitivity,
)
from tests.conftest import BUDGET, open_ledger, patients_frame
from tests.privacy_audits import rigs

Array = np.ndarray
Table = Array
"""Groups of all rows, shape (n_rows, n_columns)."""
Score = Callable[[Table, tuple[int, int], Array], float]
"""Score of a pair of columns against an estimate."""

SIZES = (3, 4, 2, 5)
EDGES = tuple(combinations(range(len(SIZES)), 2))
OTHERS = np.stack([np.random.default_rng(1).integers(0, k, 30) for k in SIZES], axis=1)
"""Rows of everybody else."""


def unit_of(rows: int, relation: str = "add_remove") -> PrivacyUnit:
    return PrivacyUnit(column="patient", max_rows=rows, relation=NeighbouringRelation(relation))


def neighbours(unit: PrivacyUnit) -> Iterator[tuple[Table, Table]]:
    """Tables that differ by a unit with all its rows in one cell, each way.

    Under ``replace_one`` that unit leaves cells that are under-estimated for over-estimated ones.
    """
    low, high = np.zeros(len(SIZES), np.int64), np.array(SIZES) - 1
    ones = [np.repeat([row], unit.max_rows, axis=0) for row in (low, high)]
    with_low, with_high = (np.concatenate([OTHERS, one]) for one in ones)
    if unit.relation == NeighbouringRelation.REPLACE_ONE:
        pairs = [(with_low, with_high)]
    else:
        pairs = [(with_low, OTHERS), (with_high, OTHERS)]
    for a, b in pairs:
        yield a, b
        yield b, a


def estimates(unit: PrivacyUnit) -> list[Array]:
    """Estimates against which a unit raises the score of one pair and lowers that of another.

    In every second pair the first cell is over-estimated and the last one is not; in the others it
    is the other way round.
    """
    far = 100.0 * unit.max_rows
    out = []
    for number, (a, b) in enumerate(EDGES):
        estimate = np.full((SIZES[a], SIZES[b]), 5.0)
        estimate[0, 0], estimate[-1, -1] = (far, 0.0) if number % 2 else (0.0, far)
        out.append(estimate.ravel())
    return out


def real_score(table: Table, edge: tuple[int, int], estimate: Array) -> float:
    return pair_score(count_pair(table, edge, SIZES).ravel(), estimate)


def scores_of(unit: PrivacyUnit, score: Score = real_score) -> Callable[[Table], Array]:
    """Scores of all pairs, level with each other on the table without the unit."""
    level = [score(OTHERS, edge, e) for edge, e in zip(EDGES, estimates(unit), strict=True)]

    def scores(table: Table) -> Array:
        found = [score(table, edge, e) for edge, e in zip(EDGES, estimates(unit), strict=True)]
        return np.array(found) - level

    return scores


def law_of(
    unit: PrivacyUnit,
    *,
    epsilon: float,
    score: Score = real_score,
    law: Callable[..., Array] = log_probabilities,
    moved: Callable[[PrivacyUnit], int] = score_sensitivity,
) -> Callable[[Table], Array]:
    """From a table to the law of one draw at fixed earlier releases."""
    scores = scores_of(unit, score)
    return lambda table: law(scores(table), epsilon=epsilon, sensitivity=moved(unit))


def frequencies(unit: PrivacyUnit, scores: Array, *, epsilon: float, rounds: int) -> Conformance:
    """Real draws against the stated law."""
    event = Exponential(relation=unit.relation, epsilon=epsilon)
    noise = NoiseSource.from_entropy()
    stated = log_probabilities(scores, epsilon=epsilon, sensitivity=score_sensitivity(unit))
    return selection_frequencies(
        lambda: choose(scores, event=event, unit=unit, noise=noise), stated, rounds=rounds
    )


def pair_release(*, sigma: float) -> Callable[[Array], Array]:
    """The release of the table of one pair with 100 times 100 cells."""
    noise, sizes = NoiseSource.from_entropy(), (100, 100)
    event = DiscreteGaussian(relation=NeighbouringRelation.ADD_REMOVE, sigma=sigma)

    def release(exact: Array) -> Array:
        cells = np.repeat(np.arange(exact.size), exact.astype(int))
        rows = np.stack(np.divmod(cells, sizes[1]), axis=1)
        tables = measure_pairs(rows, [(0, 1)], sizes, event=event, unit=PrivacyUnit(), noise=noise)
        return tables[0, 1].ravel()

    return release


# -- whole fits ------------------------------------------------------------------------------------


def fit(
    schema: dp.Schema, frame: object, *, plan: Plan, noise: NoiseSource, parts: Mapping[str, Any]
) -> MST:
    """Fit with parts of :mod:`dpsynth.marginals.mst` exchanged by name."""
    model = MST(schema, codec=rigs.SETTINGS)
    exchanged = [mock.patch.object(mst_module, name, part) for name, part in parts.items()]
    with rigs.ExitStack() as stack:
        for patch in (*exchanged, mock.patch.object(MST, "plan", return_value=plan)):
            stack.enter_context(patch)
        return model.fit(
            frame,  # type: ignore[arg-type]
            budget=BUDGET,
            ledger=open_ledger(schema),
            dataset="patients",
            noise=noise,
        )


class FitRun:
    """Runs fits with all releases on a tape, and keeps the laws of all draws, fit by fit."""

    def __init__(self, schema: dp.Schema, parts: Mapping[str, Any] = {}) -> None:
        self.schema, self.parts = schema, parts
        self.plan = MST(schema, codec=rigs.SETTINGS).plan(BUDGET)
        self.laws: list[list[Array]] = []

    @property
    def tables_bound(self) -> float:
        """Root of the sum of (l2 sensitivity / σ)² of all histograms that were booked."""
        counts = [m for m in self.plan.mechanisms if isinstance(m, DiscreteGaussian)]
        return float(np.sqrt(sum(m.count * m.sensitivity**2 / m.sigma**2 for m in counts)))

    @property
    def range_of_a_draw(self) -> float:
        (event,) = (m for m in self.plan.mechanisms if isinstance(m, Exponential))
        return event.epsilon

    def __call__(self, frame: pd.DataFrame, tape: Tape) -> Mapping[str, object]:
        laws: list[Array] = []
        self.laws.append(laws)

        def taped(
            scores: Sequence[float], *, event: Exponential, unit: PrivacyUnit, noise: NoiseSource
        ) -> int:
            moved = score_sensitivity(unit)
            laws.append(log_probabilities(scores, epsilon=event.epsilon, sensitivity=moved))
            return tape.answer(
                np.zeros(0),  # scores are compared by their laws
                lambda: choose(scores, event=event, unit=unit, noise=noise),
                sigma=event.epsilon,
                shape=("draw", len(scores)),
            )

        counts = rigs.taped_counts(tape)
        with (
            rigs.taped_codec(tape),
            mock.patch.object(measure_module, "release_counts", counts),
            mock.patch.object(select_module, "choose", taped),
        ):
            noise = CoupledNoise(seed=2)
            model = fit(self.schema, frame, plan=self.plan, noise=noise, parts=self.parts)
        return rigs.fit_facts(model)


def checks_of_a_fit(
    schema: dp.Schema,
    first: object,
    second: object,
    parts: Mapping[str, Any] = {},
) -> Iterator[Conformance]:
    """All that a pair of neighbouring tables can show about a whole fit."""
    run = FitRun(schema, parts)
    yield replay(run, first, second)
    yield transcript_sensitivity(run, first, second, bound=run.tables_bound)
    yield exponential_ratios(
        lambda law: law, zip(*run.laws[-2:], strict=True), epsilon=run.range_of_a_draw
    )


def what_ran_is_what_was_booked(
    schema: dp.Schema,
    parts: Mapping[str, Any] = {},
    *,
    plan: Plan | None = None,
) -> Iterator[Conformance]:
    """Compare the events of a transcript with those of the plan."""
    plan = plan or MST(schema, codec=rigs.SETTINGS).plan(BUDGET)
    transcript = Transcript()
    noise = NoiseSource.audited(transcript, seed=3)
    fit(schema, patients_frame(90), plan=plan, noise=noise, parts=parts)
    yield event_is_charge(transcript, plan.mechanisms)
    yield cost_is_charge(transcript, plan.mechanisms)
