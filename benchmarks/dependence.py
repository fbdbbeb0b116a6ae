"""Dependence between pairs of columns: what got lost, and what was invented.

Measures are those of :mod:`benchmarks.association`. No pair is left out because it depends too
little: a dependence that only the synthetic table shows is exactly what must be seen.

Intervals are approximate near the floor: max(0, x) has the slope 1 on one side only, and which side
a pair is on changes with the sample. There they cover in 88 to 90 of 100 simulated samples; where
pairs are clearly lost or invented, in 97.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.association import Strengths, strengths
from benchmarks.counting import references, subsets
from benchmarks.discretise import Conformed, Tables
from benchmarks.marginals import MOST_PAIRS
from benchmarks.replicates import Replicated, mean
from benchmarks.report import Section, Worst
from dpsynth.evidence import Finding, Severity

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FLAGGED = 0.2
"""A pair that gains or loses this much beyond sampling noise is named in a finding."""

_SHOWN = 5


def measure(tables: Tables, *, rng: np.random.Generator) -> Section:
    """Compare the dependence of all pairs, or of 500 drawn at random.

    Parameters
    ----------
    tables : Tables
        Three tables on one grid.
    rng : numpy.random.Generator
        Draws the pairs where there are more, and held-out rows.

    Notes
    -----
    ``dependence.lost`` is the mean over pairs of max(0, A_fit - A_synthetic), ``spurious`` that of
    the opposite sign. Floors are the same means with the holdout in place of the synthetic table.
    Only what got lost has a landmark: independent columns lose everything and invent nothing.
    """
    pairs = subsets(len(tables.columns), 2, MOST_PAIRS, rng)
    if not pairs:
        return Section()
    numeric = [column.is_numeric for column in tables.columns]

    def of(table: Conformed) -> Strengths:
        return strengths(table, pairs, numeric, tables.sizes)

    fit, synthetic = of(tables.fit), of(tables.synthetic)
    holdout = of(tables.holdout).whole
    others = {name: of(table).whole for name, table in references(tables, rng).items()}
    noise = _noise(tables, np.abs(holdout - fit.whole))
    metrics, worst, findings = [], {}, []
    for kind, sign, code in (("lost", -1.0, "DPS313"), ("spurious", 1.0, "DPS312")):
        change = _beyond(sign, synthetic.whole, fit.whole)
        floor = _beyond(sign, holdout, fit.whole)
        sides = (
            _beyond(sign, synthetic.whole, fit.left_out),
            _beyond(sign, synthetic.left_out, fit.whole),
        )
        metrics.append(
            Replicated(whole=change, sides=sides).metric(
                f"dependence.{kind}",
                mean,
                floor=floor,
                references={
                    name: _beyond(sign, other, fit.whole) for name, other in others.items()
                },
                landmark="independent" if kind == "lost" else None,
                n=min(len(tables.synthetic), len(tables.fit)),
            )
        )
        order = np.argsort(-change, kind="stable")
        worst[f"dependence.{kind}"] = tuple(
            Worst(columns=tables.names(pairs[i]), value=float(change[i]), floor=float(floor[i]))
            for i in order[:_SHOWN]
            if change[i] > 0
        )
        findings += _flag(tables, pairs, order[change[order] > FLAGGED + noise], kind, code)
    return Section(metrics=tuple(metrics), worst=worst, findings=tuple(findings))


def _beyond(sign: float, other: FloatArray, real: FloatArray) -> FloatArray:
    return np.maximum(0.0, sign * (other - real))


def _noise(tables: Tables, seen: FloatArray) -> float:
    """Return how far chance alone moves a pair: what the holdout shows, or the law of small n."""
    expected = np.sqrt(1.0 / len(tables.synthetic) + 1.0 / len(tables.fit))
    return max(2.0 * float(np.quantile(seen, 0.95)), 3.0 * float(expected))


def _flag(
    tables: Tables, pairs: list[tuple[int, ...]], which: IntArray, kind: str, code: str
) -> list[Finding]:
    if not len(which):
        return []
    names = ", ".join(" × ".join(tables.names(pairs[i])) for i in which[:_SHOWN])
    more = " and more" if len(which) > _SHOWN else ""
    told = (
        "depend on each other in the synthetic table only or far more"
        if kind == "spurious"
        else "depend on each other far less than in the real rows"
    )
    return [Finding(code, Severity.WARNING, f"these pairs {told}: {names}{more}.")]
