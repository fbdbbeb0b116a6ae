"""How MST, its selection and its tables are put on the bench of ``privacy_audits.conformance``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from itertools import combinations
from unittest import mock

import numpy as np
import pandas as pd

import dpsynth as dp
from dpsynth.marginals import measure as measure_module
from dpsynth.marginals import mst as mst_module
from dpsynth.marginals import select as select_module
from dpsynth.marginals.mst import MST, MSTSettings
from dpsynth.noise import NoiseSource
from dpsynth.privacy import (
    DiscreteGaussian,
    Exponential,
    NeighbouringRelation,
    Plan,
    PrivacyUnit,
)
from dpsynth.transcript import Transcript
from privacy_audits.conformance import CoupledNoise, Tape
from tests.conftest import BUDGET, open_ledger
from tests.privacy_audits import rigs

Array = np.ndarray
Pair = tuple[Array, Array]
Patches = Callable[[], Iterable[AbstractContextManager]]

SIZES = (3, 3, 2, 2)
EDGES = tuple(combinations(range(len(SIZES)), 2))
ROWS = 2000


def entered(patches: Patches) -> ExitStack:
    """Put broken parts in place while the block lasts."""
    stack = ExitStack()
    for patch in patches():
        stack.enter_context(patch)
    return stack


def choice_pairs(unit: PrivacyUnit, rng: np.random.Generator, *, count: int) -> list[Pair]:
    """Neighbours: the two worst units, then units at random. Everybody else has code 0 everywhere.

    Under ``replace_one`` the worst one takes the place of its opposite, and of every other.
    """
    others = np.zeros((ROWS, len(SIZES)), dtype=np.int64)
    units = [np.array([row] * unit.max_rows) for row in ([2, 2, 1, 1], [1, 1, 0, 0])]
    units += [
        np.stack([rng.integers(0, k, unit.max_rows) for k in SIZES], axis=1) for _ in range(count)
    ]
    tables = [np.concatenate([others, rows]) for rows in units]
    if unit.relation == NeighbouringRelation.ADD_REMOVE:
        return [(table, others) for table in tables[:-1]]
    return [(tables[0], table) for table in tables[1:]]


def choice_of(unit: PrivacyUnit, *, epsilon: float) -> Callable[[Array], Array]:
    """Log-probabilities of the first edge, at one state, by the code of a fit.

    The estimate of columns 0 and 1 lies where there are no rows, so that a row that arrives in a
    third place raises their score by all that it can. That of columns 2 and 3 leaves room where
    the worst unit arrives, so that it lowers theirs.
    """
    margins = [ROWS * np.array(part) for part in ((0, 1, 0), (0, 1, 0), (0.95, 0.05), (0.95, 0.05))]
    before: list[float] = []

    def law(codes: Array) -> Array:
        fit = object.__new__(mst_module._Fit)
        fit._grouped, fit._sizes, fit._target = codes, list(SIZES), None
        fit._settings, fit._plan = (
            MSTSettings(),
            Plan(method="mst", unit=unit, budget=BUDGET, charges=()),
        )
        scores = [fit._score(edge, margins, {}) for edge in EDGES]
        # Level with each other, by a constant, so that no candidate is out of reach.
        before.extend(scores if not before else ())
        return select_module.log_probabilities(
            np.array(scores) - np.array(before),
            epsilon=epsilon,
            sensitivity=select_module.score_sensitivity(unit),
        )

    return law


def choice_draws(
    scores: Array, *, epsilon: float, unit: PrivacyUnit
) -> tuple[Callable[[], int], Array]:
    """One draw of the real selection, and the law that it states."""
    noise = NoiseSource.from_entropy()
    event = Exponential(relation=unit.relation, epsilon=epsilon)
    stated = select_module.log_probabilities(
        scores, epsilon=epsilon, sensitivity=select_module.score_sensitivity(unit)
    )
    return lambda: select_module.choose(scores, event=event, unit=unit, noise=noise), stated


def mst_run(
    schema: dp.Schema, method: type[MST] = MST, *, seed: int = 2
) -> tuple[Callable[[pd.DataFrame, Tape], Mapping[str, object]], list[list[Array]], Plan]:
    """A whole fit of MST with counts and draws on a tape; the laws of its draws, run by run."""
    laws: list[list[Array]] = []
    plan = method(schema, codec=rigs.SETTINGS).plan(BUDGET)
    choose = select_module.choose

    def run(frame: pd.DataFrame, tape: Tape) -> Mapping[str, object]:
        laws.append([])

        def taped_choice(
            scores: Array, *, event: Exponential, unit: PrivacyUnit, noise: NoiseSource
        ) -> int:
            law = select_module.log_probabilities(
                scores, epsilon=event.epsilon, sensitivity=select_module.score_sensitivity(unit)
            )
            laws[-1].append(law)
            return tape.answer(
                np.zeros(0),
                lambda: choose(scores, event=event, unit=unit, noise=noise),
                # As much zCDP as a Gaussian of this noise.
                sigma=2 / event.epsilon,
                shape=("choice", len(scores)),
            )

        model = method(schema, codec=rigs.SETTINGS)
        with (
            rigs.taped_codec(tape),
            mock.patch.object(measure_module, "release_counts", rigs.taped_counts(tape)),
            mock.patch.object(select_module, "choose", taped_choice),
            mock.patch.object(method, "plan", return_value=plan),
        ):
            model.fit(
                frame,
                budget=BUDGET,
                ledger=open_ledger(schema),
                dataset="patients",
                noise=CoupledNoise(seed=seed),
            )
        return {
            "plan": model.plan_.spec(),
            "codec": model._codec.state(),
            "arrays": {name: array.tobytes() for name, array in model._arrays().items()},
            "rows": model.sample(20, seed=1).to_csv(),
            "repr": repr(model),
        }

    return run, laws, plan


def counts_bound(plan: Plan) -> float:
    """Root of the sum of (sensitivity / σ)² of a plan's counts."""
    counts = [m for m in plan.mechanisms if isinstance(m, DiscreteGaussian)]
    return float(np.sqrt(sum(m.count * m.sensitivity**2 / m.sigma**2 for m in counts)))


def transcript_of(
    method: type[MST], plan: Plan, frame: pd.DataFrame, schema: dp.Schema
) -> Transcript:
    """Everything that a fit releases."""
    model, transcript = method(schema, codec=rigs.SETTINGS), Transcript()
    with mock.patch.object(method, "plan", return_value=plan):
        model.fit(
            frame,
            budget=BUDGET,
            ledger=open_ledger(schema),
            dataset="patients",
            noise=NoiseSource.audited(transcript),
        )
    return transcript


def one_choice(plan: Plan) -> float:
    """Booked ε of one draw; 0 if none was booked."""
    return max((m.epsilon for m in plan.mechanisms if isinstance(m, Exponential)), default=0.0)
