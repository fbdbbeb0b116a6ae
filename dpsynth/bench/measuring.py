"""What is measured of one synthetic table: what it is good for, and what it gives away."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import TypedDict

import numpy as np
import pandas as pd

from benchmarks.evaluate import parts, stream
from benchmarks.report import Metric, finite
from dpsynth.bench.configuration import ALL, ATTACK
from dpsynth.bench.material import Material
from dpsynth.privacy import Budget
from privacy_audits.attacks import Clique, TableAudit, audit_table

SEED = 0
"""Of learners, subsamples and attacks: the same for all runs, so that only the tables differ."""

LEVEL = 0.05
"""Total error of an interval or bound; attacks share it, so that the best may be chosen."""

_ATTACKS = 7
"""Membership attacks of a battery: the most among which the best is chosen."""


class Figure(TypedDict):
    """One line of the results."""

    metric: str
    value: float | None
    direction: str
    floor: float | None
    reference: float | None
    skill: float | None
    ci_low: float | None
    ci_high: float | None


def families() -> dict[str, ModuleType]:
    """Return what can be measured alone, by name, in the order of an evaluation.

    ``prediction`` is the part of ``learners`` that trains and scores, without groups and
    importance: a sweep measures it hundreds of times.
    """
    from benchmarks import prediction

    return {family.__name__.rpartition(".")[2]: family for family in (*parts(), prediction)}


def measure(
    synthetic: pd.DataFrame,
    material: Material,
    measures: Sequence[str],
    *,
    claim: Budget,
    cliques: Sequence[Sequence[str]] | None,
) -> list[Figure]:
    """Measure one synthetic table.

    Parameters
    ----------
    synthetic : DataFrame
        The table.
    material : Material
        What it was fitted to, and what was held out.
    measures : sequence of str
        Families, :data:`~dpsynth.bench.configuration.ATTACK`, or
        :data:`~dpsynth.bench.configuration.ALL`.
    claim : Budget
        What the method claims.
    cliques : sequence of sequence of str, optional
        Columns that the method measured together, where that is known.

    Returns
    -------
    list of Figure
        ``attack.auc``: of the most successful membership attack, its floor chance and its
        reference the cap that the claim sets. ``attack.epsilon``: lower bound on ε, its reference
        the claim.

    Raises
    ------
    DataError
        If the table lacks a column, or too few units are held out for an audit.
    """
    figures: list[Figure] = []
    if measures != (ATTACK,):
        figures += [_figure(metric) for metric in _utility(synthetic, material, measures)]
    if ATTACK in measures or ALL in measures:
        audit = audit_table(
            synthetic,
            material.fit,
            material.holdout,
            material.schema,
            coins=material.coins,
            claim=claim,
            cliques=None if cliques is None else [Clique(columns=tuple(c)) for c in cliques],
            alpha=LEVEL / _ATTACKS,
            rng=np.random.default_rng(SEED),
        )
        figures += attacked(audit)
    return figures


def _utility(
    synthetic: pd.DataFrame, material: Material, measures: Sequence[str]
) -> Sequence[Metric]:
    if ALL in measures:
        from benchmarks.evaluate import evaluate

        return evaluate(
            synthetic, material.fit, material.holdout, material.schema, seed=SEED
        ).metrics
    from benchmarks.discretise import conform_tables

    tables = conform_tables(synthetic, material.fit, material.holdout, material.schema, seed=SEED)
    found = [
        Metric(
            name="validity",
            value=1.0 - len(tables.violated) / len(tables.columns),
            direction="higher",
            floor=1.0,
        )
    ]
    for name, family in families().items():
        if name in measures:
            # Each family has the stream that an evaluation gives it: its figures are the same.
            found += family.measure(tables, rng=stream(family, SEED)).metrics
    return found


def attacked(audit: TableAudit) -> list[Figure]:
    """Return the figures of an audit.

    Parameters
    ----------
    audit : TableAudit
        Made at the level of :func:`measure`.

    Notes
    -----
    The best of k attacks is chosen on the rows that it is measured on: its interval has the level
    α/k, so that it covers whichever is chosen, and the largest of k bounds is a bound at level α.
    """
    share = LEVEL / _ATTACKS
    best = max(audit.membership, key=lambda attack: attack.auc.point)
    bound = max((attack.one_run for attack in audit.membership), key=lambda b: b.lower)
    claimed = None if audit.claim is None else audit.claim.epsilon
    return [
        Figure(
            metric="attack.auc",
            value=best.auc.point,
            direction="lower",
            floor=0.5,
            reference=best.auc_cap,
            skill=None,
            ci_low=best.auc.lower(share / 2),
            ci_high=best.auc.upper(share / 2),
        ),
        Figure(
            metric="attack.epsilon",
            value=bound.lower,
            direction="lower",
            floor=0.0,
            reference=claimed,
            skill=None,
            ci_low=None,
            ci_high=None,
        ),
        Figure(
            metric="attack.coins",
            value=float(audit.randomised),
            direction="higher",
            floor=1.0,
            reference=None,
            skill=None,
            ci_low=None,
            ci_high=None,
        ),
    ]


def _figure(metric: Metric) -> Figure:
    return Figure(
        metric=metric.name,
        value=finite(metric.value),
        direction=metric.direction,
        floor=finite(metric.floor),
        reference=finite(metric.reference),
        skill=finite(metric.skill),
        ci_low=finite(metric.ci_low),
        ci_high=finite(metric.ci_high),
    )
