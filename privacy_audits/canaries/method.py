"""A whole method run again with canaries, under the plan of a fitted model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from dpsynth.checkpoint import Course, Kept
from dpsynth.codec import COUNTS
from dpsynth.errors import IntegrityError, UsageError
from dpsynth.ledger import Ledger
from dpsynth.marginals.independent import Independent
from dpsynth.noise import NoiseSource
from dpsynth.privacy import DiscreteGaussian, Mechanism, Plan, PlannedCharge
from dpsynth.schema import Schema
from dpsynth.synthesizer import Synthesizer, candidate_plan
from dpsynth.table import Table, load
from dpsynth.transcript import Transcript
from privacy_audits.canaries.counts import BoolArray, CountCanaries, FloatArray
from privacy_audits.canaries.result import ALPHA, CanaryAudit, Mode, assess, audit_twice

S = TypeVar("S", bound=Synthesizer)

_LARGEST_SHARE = 0.01
"""Most canaries among sensitive units."""

LEAST_CANARIES = 40
"""With fewer, fair coins may well leave a side empty, and nothing can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AuditedRun:
    """A method that is ready to run with canaries.

    Parameters
    ----------
    model : Synthesizer
        Unfitted; lets the canaries in when it is fitted.
    plan : Plan
        What it runs.
    mechanism : Mechanism
        The event that the canaries see.
    transcript : Transcript
        Where its releases go.
    bits : ndarray of bool, shape (m,)
        The coins.
    scores : callable
        Returns the scores of the canaries after the run.
    reference : callable
        Returns the d′ of simulated runs of the booked mechanism on the same canaries.
    """

    model: Synthesizer
    plan: Plan
    mechanism: Mechanism
    transcript: Transcript
    bits: BoolArray
    scores: Callable[[], FloatArray]
    reference: Callable[[], FloatArray]


def audit_method(
    synthesizer: Synthesizer,
    rows: pd.DataFrame,
    *,
    rng: np.random.Generator,
    canaries: int = 1000,
    alpha: float = ALPHA,
    mode: Mode = "surrogate",
    ledger: Ledger | None = None,
    dataset: str | None = None,
    seed: int | None = None,
) -> CanaryAudit:
    """Run the plan of a fitted model again, on rows and canaries, and look for the canaries.

    Parameters
    ----------
    synthesizer : Synthesizer
        Fitted or loaded: its schema, settings, plan and code are under audit, its weights are not
        read.
    rows : DataFrame
        ``surrogate``: a table that was released. ``in-situ``: the sensitive table.
    rng : numpy.random.Generator
        Tosses coins, draws canaries, breaks ties.
    canaries : int
        Number of canaries m.
    alpha : float
        Level of the test of the claim. In ``surrogate`` mode a refutation is confirmed once, with
        fresh canaries, at the same level for both.
    mode : {"surrogate", "in-situ"}
        What ``rows`` are.
    ledger : Ledger, optional
        Book in which an ``in-situ`` run is entered.
    dataset : str, optional
        Name of the dataset in the ledger.
    seed : int, optional
        Makes sampling and noise reproducible.

    Returns
    -------
    CanaryAudit
        Of DP-SGD for ``dp-vae``, ``dp-ctgan`` and ``dp-autoregressive``, of the votes for
        ``pate-gan``, of the declared one-way counts for ``independent``.

    Raises
    ------
    UsageError
        For a method without canaries, for an ``in-situ`` run without a ledger or with canaries
        above 1% of the declared units, and where the schema has no place for the canaries.

    Notes
    -----
    Audited are code and configuration. What a fit does with the real rows only, such as a domain
    that was read off them, is not seen here; replays of conformance see it.

    Privacy
    -------
    ``surrogate``: whatever is computed from a released table, public canaries, coins and fresh
    noise is post-processing of the release. It costs nothing and may be published, with the coins
    and the scores. ``in-situ``: one more fit of the sensitive rows, charged in full; the scores are
    functions of its releases, so that nothing comes on top. What is fitted here has a transcript
    with exact answers of the rows: it is dropped, and is never releasable.
    """
    if not hasattr(synthesizer, "plan_"):
        raise UsageError("the synthesizer is not fitted: there is no plan to audit.")
    if canaries < LEAST_CANARIES:
        raise UsageError(f"an audit in one run needs at least {LEAST_CANARIES} canaries.")
    if mode == "in-situ":
        _check_in_situ(synthesizer, canaries, ledger)

    sources = None if seed is None else NoiseSource.seeded(seed)

    def run() -> CanaryAudit:
        audited = _prepare(synthesizer, canaries, rng)
        noise = NoiseSource.audited(
            audited.transcript, seed=None if sources is None else sources.public_seed()
        )
        if mode == "in-situ":
            assert ledger is not None
            _fit_in_situ(audited, rows, ledger=ledger, dataset=str(dataset), noise=noise)
        else:
            _fit_surrogate(audited, rows, noise=noise, rng=rng)
        return assess(
            audited.scores(),
            audited.bits,
            mechanism=audited.mechanism,
            delta=audited.plan.budget.delta,
            mode=mode,
            reference=audited.reference(),
            rng=rng,
        )

    # A confirmation on sensitive rows would be a charge that nobody decided on.
    return run() if mode == "in-situ" else audit_twice(run, alpha=alpha)


def _check_in_situ(synthesizer: Synthesizer, canaries: int, ledger: Ledger | None) -> None:
    if ledger is None:
        raise UsageError(
            "an in-situ audit reads sensitive rows and is charged.", fix="give ledger and dataset."
        )
    if synthesizer.method == "pate-gan":
        raise UsageError(
            "votes cannot be audited in situ: their scores would need the exact margins.",
            fix="audit pate-gan in surrogate mode.",
        )
    units = int(synthesizer.plan_.parameters["expected_units"])
    if canaries > _LARGEST_SHARE * units:
        raise UsageError(
            f"{canaries} canaries are more than 1% of the declared units.",
            fix=f"ask for at most {int(_LARGEST_SHARE * units)}.",
        )


def _fit_surrogate(
    audited: AuditedRun, rows: pd.DataFrame, *, noise: NoiseSource, rng: np.random.Generator
) -> None:
    model = audited.model
    model.plan_ = audited.plan
    ran = model._fit_table(load(rows, model.schema, rng=rng), noise)
    if ran != audited.plan.charges:
        raise IntegrityError(
            "the mechanisms that ran are not those that were booked.", code="DPS110"
        )


def _fit_in_situ(
    audited: AuditedRun, rows: pd.DataFrame, *, ledger: Ledger, dataset: str, noise: NoiseSource
) -> None:
    declared = int(audited.plan.parameters["expected_units"]) * audited.plan.unit.max_rows
    audited.model.fit(
        rows,
        budget=audited.plan.budget,
        ledger=ledger,
        dataset=dataset,
        rows=declared,
        noise=noise,
    )
    if audited.model.plan_.charges != audited.plan.charges:
        raise IntegrityError("the audit ran another plan than the model's.", code="DPS110")


def has_canaries(synthesizer: Synthesizer) -> bool:
    """Tell whether there are canaries for a method: for networks, votes and one-way counts.

    Counts need a place for them: a discrete column with declared levels.
    """
    if isinstance(synthesizer, Independent):
        return bool(CountCanaries.hosts(synthesizer.schema))
    return _is_neural(synthesizer)


def _is_neural(synthesizer: Synthesizer) -> bool:
    # By name: importing the class would import torch.
    return any(base.__module__.startswith("dpsynth.neural") for base in type(synthesizer).__mro__)


def _prepare(synthesizer: Synthesizer, canaries: int, rng: np.random.Generator) -> AuditedRun:
    if isinstance(synthesizer, Independent):
        return _counted(synthesizer, canaries, rng)
    if _is_neural(synthesizer):
        from privacy_audits.canaries.networks import prepared

        return prepared(synthesizer, canaries, rng)
    raise UsageError(f"there are no canaries for method {synthesizer.method!r}.")


def _counted(synthesizer: Synthesizer, canaries: int, rng: np.random.Generator) -> AuditedRun:
    plan = plan_of(synthesizer)
    booked = plan.mechanism(COUNTS)
    assert isinstance(booked, DiscreteGaussian)
    design = CountCanaries(schema=synthesizer.schema, bits=rng.random(canaries) < 0.5)
    transcript = Transcript()
    model = rebuilt(synthesizer, _CountsCanaries, plan=plan, schema=design.extended())
    model.canaries = design
    return AuditedRun(
        model=model,
        plan=plan,
        mechanism=design.event(booked),
        transcript=transcript,
        bits=design.bits,
        scores=lambda: design.scores(transcript.measurements, booked),
        reference=lambda: design.reference(booked, rng),
    )


class _CountsCanaries(Synthesizer):
    """Lets count canaries in when a table has been read."""

    canaries: CountCanaries

    def _fit_table(
        self,
        table: Table | None,
        noise: NoiseSource,
        course: Callable[[Mapping[str, Any]], Course] | None = None,
        kept: Kept | None = None,
    ) -> tuple[PlannedCharge, ...]:
        assert table is not None
        return super()._fit_table(self.canaries.enter(table), noise, course, kept)


def plan_of(synthesizer: Synthesizer) -> Plan:
    """Return the plan of a model; of a private selection that of the winner."""
    won = synthesizer.privacy_.get("selection")
    plan = synthesizer.plan_
    return plan if won is None else candidate_plan(plan, won["candidate"])


def rebuilt(
    synthesizer: Synthesizer, extra: type[S], *, plan: Plan, schema: Schema | None = None
) -> S:
    """Return the unfitted method behind a model, with some of its methods replaced.

    Parameters
    ----------
    synthesizer : Synthesizer
        The model.
    extra : type
        Its methods come first; they call those of the model's class.
    plan : Plan
        Where hyper-parameters come from.
    schema : Schema, optional
        Instead of the model's.
    """
    base = type(synthesizer)
    kind: Any = type(base.__name__, (extra, base), {})
    return kind._rebuild(schema or synthesizer.schema, plan)
