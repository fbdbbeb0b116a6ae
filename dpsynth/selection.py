"""Private selection: a search for the best candidate that is one charge.

A grid of fits is charged fit by fit. Where only the best of a **random** number of trials is shown,
the price is that of a few fits, however many there were: this file draws the number, runs the
trials and states the event.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.optimize import brentq

from dpsynth.accountant import Accountant
from dpsynth.errors import BudgetError, IntegrityError, UsageError
from dpsynth.filters import gaussian_delta
from dpsynth.identity import CustodianKey, content_hmac
from dpsynth.ledger import Ledger
from dpsynth.noise import NoiseSource
from dpsynth.privacy import (
    MIN_DELTA,
    Budget,
    DiscreteGaussian,
    Plan,
    PlannedCharge,
    PrivateSelection,
)
from dpsynth.schema import Schema
from dpsynth.scoring import TwoWayScore
from dpsynth.synthesizer import Progress, Synthesizer, candidate_plan, stated_privacy
from dpsynth.table import Source, Table, TableReader
from dpsynth.trials import TrialLaw

METHOD = "private-search"
SELECTION = "private selection"
SCORE = "score"

_USED_UP, _GOAL = 0.99, 0.995
"""Shares of ε that the inner budget must and should use up."""

_MOST_ATTEMPTS = 20
"""Tries for the inner budget; four or five are usual."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Trial:
    """What one trial shows: the number of its candidate, the fitted model and a noisy score."""

    candidate: int
    model: Synthesizer
    score: int


class PrivateSearch:
    """Fits candidates at random, a random number of times, and shows the best by a private score.

    Parameters
    ----------
    candidates : sequence of Synthesizer
        Unfitted methods for the same schema; a trial draws one of them uniformly.
    score : TwoWayScore, optional
        The query that compares a fitted candidate with the rows.
    mean_trials : float
        Expected number of trials, above 1.
    shape : float
        Shape of the law of that number, above -1: 0 is logarithmic, 1 geometric.

    Examples
    --------
    >>> search = PrivateSearch([Independent(schema), DPVAE(schema)])  # doctest: +SKIP
    >>> best = search.fit(
    ...     "patients.csv", budget=budget, ledger=ledger, dataset="patients"
    ... )  # doctest: +SKIP

    Notes
    -----
    The logarithmic law is the cheaper one and draws a single trial more often (with a mean of 10 in
    27% of all searches, against 10%). The number of trials has no upper end.

    Privacy
    -------
    The whole search is one :class:`dpsynth.privacy.PrivateSelection`: (ε, δ)-differentially private
    for the unit and the relation of the schema. Models and scores of all trials but the best are
    discarded, and neither their number nor their scores are shown, logged or reported as progress.
    **How long a search takes tells the number of trials and is not hidden**: do not publish run
    times, and do not offer searches as an interactive service.

    Rows are read and bounded per unit once, with coins that all trials share. Given those coins the
    trials are independent and the theorem holds; Rényi divergence is quasi-convex in the mixture
    over them.

    References
    ----------
    Papernot and Steinke, "Hyperparameter Tuning with Renyi Differential Privacy", arXiv 2110.03620.
    """

    def __init__(
        self,
        candidates: Sequence[Synthesizer],
        *,
        score: TwoWayScore | None = None,
        mean_trials: float = 10.0,
        shape: float = 0.0,
    ) -> None:
        if not candidates:
            raise UsageError("a search needs at least one candidate.")
        if len({candidate.schema.digest() for candidate in candidates}) > 1:
            raise UsageError("all candidates of a search must be made for the same schema.")
        self.candidates = tuple(candidates)
        self.score = score or TwoWayScore()
        self.law = TrialLaw.of_mean(mean_trials, shape=shape)
        self.mean_trials = float(mean_trials)
        self._require_unfitted()

    @property
    def schema(self) -> Schema:
        """The schema of all candidates."""
        return self.candidates[0].schema

    def plan(self, budget: Budget, *, rows: int | None = None) -> Plan:
        """Work out what a search would spend, without touching data.

        Parameters
        ----------
        budget : Budget
            The (ε, δ) of the whole search.
        rows : int, optional
            Public guess of the number of rows, if the schema declares none.

        Returns
        -------
        Plan
            With one charge. Every candidate is calibrated to the same smaller budget.

        Raises
        ------
        BudgetError
            If not even a trial with next to no budget would meet the target.
        """
        low, high = 0.0, budget.epsilon
        inner, best = budget.epsilon / 3, None
        for _ in range(_MOST_ATTEMPTS):
            plan = self._plan_at(inner, budget, rows)
            cost = Accountant(plan.mechanisms).certificate(budget.delta)
            if cost <= budget.epsilon:
                low, best = inner, plan
                if cost >= _USED_UP * budget.epsilon:
                    break
            else:
                high = inner
            # The cost is close to affine in the inner ε: steps in proportion to a goal come ever
            # nearer to it, from either side, and the goal lies inside of what is accepted.
            inner *= _GOAL * budget.epsilon / cost
            if not low < inner < high:
                inner = math.sqrt(low * high) if low else high / 4
        if best is None:
            raise BudgetError(
                "no trial is cheap enough for this target: the random number of trials alone "
                "costs more.",
                code="DPS103",
                fix="raise ε or δ, or lower mean_trials.",
            )
        return best

    def fit(
        self,
        data: Source | TableReader,
        *,
        budget: Budget,
        ledger: Ledger,
        dataset: str,
        rows: int | None = None,
        noise: NoiseSource | None = None,
        progress: Progress | None = None,
        key: CustodianKey | None = None,
    ) -> Synthesizer:
        """Spend a budget on one search.

        Parameters
        ----------
        data : path, DataFrame, Arrow table or TableReader
            The sensitive table, read once.
        budget : Budget
            What the whole search may spend.
        ledger : Ledger
            The book in which the search is entered first, as one charge.
        dataset : str
            Name of the dataset in the ledger.
        rows : int, optional
            Public guess of the number of rows.
        noise : NoiseSource, optional
            Operating system entropy by default. A seeded source marks the model as not releasable.
        progress : callable, optional
            Receives (0, 1) when the search begins and (1, 1) when it has ended; nothing between.
        key : CustodianKey, optional
            Recognises the table as the one that was entered under this name.

        Returns
        -------
        Synthesizer
            The best candidate, fitted. Its ``plan_`` and ``privacy_`` are those of the search.

        Raises
        ------
        BudgetError
            If the ledger refuses; the data has not been opened.
        DataError
            If the form of the table does not fit the schema; nothing has been spent.
        IntegrityError
            If the table is not the one that was entered; nothing has been spent.
        UsageError
            If the dataset is recognised by a key and none is given.

        Privacy
        -------
        From the moment the first row is read the charge counts in full, whatever happens.
        """
        self._require_unfitted()
        noise = noise or NoiseSource.from_entropy()
        reader = TableReader.of(data, self.schema)
        plan = self.plan(budget, rows=rows)
        with ledger.reserve(plan, dataset=dataset) as charge:
            reader.preflight()
            ledger.recognise(dataset, None if key is None else content_hmac(reader.source, key))
            charge.touch()
            if progress is not None:
                progress(0, 1)
            table = reader.read(charge, rng=noise.generator)
            best = best_of(trial_count(plan, noise), lambda: self._trial(plan, table, noise))
            charge.commit()
        if progress is not None:
            progress(1, 1)
        model = best.model
        model.plan_ = plan
        model.privacy_ = {
            **stated_privacy(plan, self.schema, charge=charge, ledger=ledger, noise=noise),
            "selection": {
                "candidate": best.candidate,
                "candidates": len(self.candidates),
                "score": best.score,
            },
        }
        return model

    def _trial(self, plan: Plan, table: Table, noise: NoiseSource) -> Trial:
        """Run one trial; its result is private by the event of its candidate."""
        candidate = int(noise.generator.integers(len(self.candidates)))
        booked = candidate_plan(plan, candidate)
        model = copy.copy(self.candidates[candidate])
        model.plan_ = booked
        selection, event = plan.mechanism(SELECTION), booked.mechanism(SCORE)
        assert isinstance(selection, PrivateSelection)
        assert isinstance(event, DiscreteGaussian)
        with noise.trial(selection, candidate):
            ran = model._fit_table(table, noise, None)
            score, scored = self.score.release(
                table,
                model.sample(self.score.sample_rows, seed=noise.public_seed()),
                rows=float(self.schema.rows or model._codec.rows),
                event=event,
                noise=noise,
            )
        if (*ran, PlannedCharge(step=SCORE, mechanism=scored)) != booked.charges:
            raise IntegrityError(
                "the mechanisms that ran in a trial are not those that were booked.", code="DPS110"
            )
        return Trial(candidate=candidate, model=model, score=score)

    def _plan_at(self, epsilon: float, budget: Budget, rows: int | None) -> Plan:
        """Return the plan whose candidates are calibrated to ``epsilon`` each."""
        # Failures are multiplied by the mean number of trials.
        delta = max(MIN_DELTA, budget.delta / self.mean_trials)
        inner = Budget(epsilon=epsilon, delta=delta)
        multiplier = _gaussian_multiplier(inner) / math.sqrt(self.score.share)
        scored = PlannedCharge(
            step=SCORE, mechanism=self.score.event(self.schema, noise_multiplier=multiplier)
        )
        plans = [candidate.plan(inner, rows=rows) for candidate in self.candidates]
        trials = [(*plan.charges, scored) for plan in plans]
        event = PrivateSelection(
            relation=self.schema.unit.relation,
            candidates=tuple(tuple(charge.mechanism for charge in trial) for trial in trials),
            mean_trials=self.mean_trials,
            shape=self.law.shape,
        )
        described: list[dict[str, Any]] = [
            {
                "method": plan.method,
                "budget": {"epsilon": inner.epsilon, "delta": inner.delta},
                "steps": [charge.step for charge in trial],
                "parameters": plan.parameters,
            }
            for plan, trial in zip(plans, trials, strict=True)
        ]
        return Plan(
            method=METHOD,
            unit=self.schema.unit,
            budget=budget,
            charges=(PlannedCharge(step=SELECTION, mechanism=event),),
            parameters={"candidates": described, "score": self.score.state()},
            schema_sha256=self.schema.digest(),
        )

    def _require_unfitted(self) -> None:
        if any(hasattr(candidate, "plan_") for candidate in self.candidates):
            raise UsageError(
                "a candidate was fitted before, and every fit is a new charge.",
                fix="make new synthesizers for the search.",
            )

    def __repr__(self) -> str:
        methods = ", ".join(candidate.method for candidate in self.candidates)
        return f"PrivateSearch({methods}; schema={self.schema.name!r})"


def trial_count(plan: Plan, noise: NoiseSource) -> int:
    """Draw how many trials a booked selection runs: as secret as the noise."""
    event = plan.mechanism(SELECTION)
    assert isinstance(event, PrivateSelection)
    trials = TrialLaw.of_mean(event.mean_trials, shape=event.shape).draw(noise)
    if noise.transcript is not None:
        noise.transcript.drew_trials(trials)
    return trials


def best_of(trials: int, run: Callable[[], Trial]) -> Trial:
    """Run trials and keep the one with the smallest noisy score, the first of equals."""
    best = run()
    for _ in range(trials - 1):
        other = run()
        if other.score < best.score:
            best = other
    return best


def _gaussian_multiplier(budget: Budget) -> float:
    """Return the noise multiplier of one Gaussian query that spends a budget."""
    mu = brentq(lambda mu: gaussian_delta(mu, budget.epsilon) - budget.delta, 1e-9, 1e3)
    return 1.0 / mu
