"""From runs to coverage: how often an interval contains the truth, how wide it is, what is wrong.

*Coverage* is the mean over coefficients and repetitions; a coefficient that was not recovered has
no interval and covers nothing. *Width* is the median ratio of an interval's width to that of the
interval on the real rows of the same run. *Bias* and *spread* are those of the mean of a run's
samples, in standard errors of the real rows, root mean squares over coefficients; spread over
repetitions, so that the noise of the mechanism is in it. The mean of five tables of fresh real rows
has bias 0 and spread 0.45; that of five samples of a perfect model without privacy, 0 and 1.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.inference.combining import RULES, Rule, combine
from benchmarks.inference.overlap import NORMAL
from benchmarks.validity.study import REAL, Estimated, Outcome

FloatArray = npt.NDArray[np.float64]

NAIVE = "naive"
"""Not a rule: every sample by itself, as if its rows were real."""
ALL = "all"
"""Stands for all tables together."""
STRONG, MEDIUM = 12.0, 3.0
"""Sizes of true effects, in standard errors of the real rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share with a 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a method does at one ε.

    Parameters
    ----------
    table, method : str
        Which; :data:`ALL` for all tables together.
    epsilon : float or None
        Budget; None for a control.
    repetitions : int
        Fits.
    coverage : mapping of str to Share
        By rule, :data:`NAIVE` among them.
    width : mapping of str to float
        By rule; 1 is as wide as on real rows.
    bias, spread : float
        In standard errors of the real rows.
    lost : float
        Share of coefficients that a sample did not determine.
    strong, medium : float
        Share of samples with the right sign, among effects of :data:`STRONG` standard errors of the
        real rows and more, and among those of :data:`MEDIUM` to that.
    false : float
        Share of samples in which an effect of zero is significant at the 5 % level.
    """

    table: str
    method: str
    epsilon: float | None
    repetitions: int
    coverage: Mapping[str, Share]
    width: Mapping[str, float]
    bias: float
    spread: float
    lost: float
    strong: float
    medium: float
    false: float


def summarise(outcomes: Sequence[Outcome]) -> list[Summary]:
    """Return one summary per table, method and ε, and those of all tables together first."""
    groups: dict[tuple[str, str, float | None], list[Outcome]] = {}
    for outcome in outcomes:
        for table in (ALL, outcome.run.table):
            groups.setdefault((table, outcome.run.method, outcome.run.epsilon), []).append(outcome)
    tables = [ALL, *sorted({outcome.run.table for outcome in outcomes})]
    methods = list(dict.fromkeys(outcome.run.method for outcome in outcomes))
    order = sorted(groups, key=lambda g: (tables.index(g[0]), methods.index(g[1]), g[2] or 0.0))
    return [
        _summary(table, method, epsilon, groups[table, method, epsilon])
        for table, method, epsilon in order
    ]


def _summary(
    table: str, method: str, epsilon: float | None, outcomes: Sequence[Outcome]
) -> Summary:
    coverage, width = {}, {}
    for rule in (NAIVE,) if method == REAL else (NAIVE, *RULES):
        covered, ratios = zip(*(_intervals(outcome, rule) for outcome in outcomes), strict=True)
        coverage[rule] = clustered(np.array([part.mean() for part in covered]), _trials(covered))
        found = np.concatenate(ratios)
        found = found[~np.isnan(found)]
        width[rule] = float(np.median(found)) if len(found) else float("nan")
    bias, spread = _errors(outcomes)
    points = np.array([error for o in outcomes for c in o.coefficients for _, error in _pairs(c)])
    strong, medium, false = _answers(outcomes)
    return Summary(
        table=table,
        method=method,
        epsilon=epsilon,
        repetitions=len({outcome.run.repetition for outcome in outcomes}),
        coverage=coverage,
        width=width,
        bias=bias,
        spread=spread,
        lost=float(np.isnan(points).mean()),
        strong=strong,
        medium=medium,
        false=false,
    )


def _trials(covered: Iterable[FloatArray]) -> int:
    return sum(part.size for part in covered)


def _pairs(coefficient: Estimated) -> FloatArray:
    """Return estimates and errors of the samples, shape (n_samples, 2); NaN where undetermined."""
    return np.array(coefficient.samples, dtype=np.float64)


def _intervals(outcome: Outcome, rule: str) -> tuple[FloatArray, FloatArray]:
    """Return whether intervals cover, and how wide they are; (n,) or (n × samples,)."""
    pairs = np.stack([_pairs(c) for c in outcome.coefficients], axis=1)
    points, errors = pairs[..., 0], pairs[..., 1]
    truth = np.array([c.truth for c in outcome.coefficients])
    real = np.array([c.fit[1] for c in outcome.coefficients], dtype=np.float64)
    if rule == NAIVE:
        low, high = points - NORMAL * errors, points + NORMAL * errors
    else:
        low, high = combine(points, errors**2, rule=_rule(rule)).interval()
    with np.errstate(invalid="ignore"):
        covered = (low <= truth) & (truth <= high)
    return covered.astype(np.float64).ravel(), ((high - low) / (2 * NORMAL * real)).ravel()


def _rule(name: str) -> Rule:
    return next(rule for rule in RULES if rule == name)


def _errors(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Return bias and spread of the samples' means; the noise of few repetitions taken off."""
    found: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
    for outcome in outcomes:
        for c in outcome.coefficients:
            points = _pairs(c)[:, 0]
            if np.isnan(points).all() or c.fit[1] is None:
                continue
            place = (outcome.run.table, c.formula, c.coefficient)
            found.setdefault(place, []).append((float(np.nanmean(points)), c.truth, c.fit[1]))
    squares, variances = [], []
    for values in found.values():
        if len(values) < 2:
            continue
        points, truth, errors = np.array(values).T
        scale = errors.mean()
        variance = points.var(ddof=1)
        squares.append(((points.mean() - truth[0]) ** 2 - variance / len(points)) / scale**2)
        variances.append(variance / scale**2)
    if not squares:
        return float("nan"), float("nan")
    return float(np.sqrt(max(0.0, np.mean(squares)))), float(np.sqrt(np.mean(variances)))


def _answers(outcomes: Sequence[Outcome]) -> tuple[float, float, float]:
    """Return shares of right signs of strong and of medium effects, and of false positives."""
    strong, medium, false = [], [], []
    for c in (c for outcome in outcomes for c in outcome.coefficients):
        points, errors = _pairs(c).T
        if c.truth == 0.0:
            false.append(np.abs(points) > NORMAL * errors)
            continue
        size = abs(c.truth) / c.fit[1] if c.fit[1] else 0.0
        right = points * c.truth > 0.0
        if size >= STRONG:
            strong.append(right)
        elif size >= MEDIUM:
            medium.append(right)
    return (_mean(strong), _mean(medium), _mean(false))


def _mean(parts: Sequence[npt.NDArray[np.bool_]]) -> float:
    return float(np.concatenate(parts).mean()) if parts else float("nan")


def clustered(shares: FloatArray, trials: int) -> Share:
    """Return a mean share with an interval that respects that trials of a run hang together.

    Parameters
    ----------
    shares : ndarray of float, shape (n_clusters,)
        Share of each run.
    trials : int
        Trials of all runs.

    Notes
    -----
    Clopper and Pearson's interval at the number of independent trials that would vary as the runs
    do, never more than there are, and with Student's t for the number of runs (Korn & Graubard
    1998, Survey Methodology 24(2)). Where all runs agree on 0 or 1 a run counts once.
    """
    from scipy.stats import beta, t

    n, value = len(shares), float(shares.mean())
    if n < 2:
        return Share(value=value, low=0.0, high=1.0)
    if value in (0.0, 1.0):
        size = float(n)
    else:
        variance = float(shares.var(ddof=1)) / n
        size = min(float(trials), value * (1.0 - value) / variance) if variance else float(trials)
        size *= (NORMAL / float(t.ppf(0.975, n - 1))) ** 2
    hits = value * size
    low = float(beta.ppf(0.025, hits, size - hits + 1.0)) if hits > 0.0 else 0.0
    high = float(beta.ppf(0.975, hits + 1.0, size - hits)) if hits < size else 1.0
    return Share(value=value, low=low, high=high)


def markdown(summaries: Sequence[Summary]) -> str:
    """Return a table in Markdown per table of rows, all of them together first."""
    parts = []
    for table in dict.fromkeys(summary.table for summary in summaries):
        title = "All tables" if table == ALL else f"Table `{table}`"
        parts.append("\n".join([f"### {title}", "", *_HEAD, *map(_line, _of(summaries, table))]))
    return "\n\n".join(parts) + "\n"


_HEAD = (
    "| method | ε | fits | naive | partial | full | large | width: naive | full | large | bias | "
    "spread | lost | sign: strong | medium | false positives |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
)


def _of(summaries: Sequence[Summary], table: str) -> list[Summary]:
    return [summary for summary in summaries if summary.table == table]


def _line(summary: Summary) -> str:
    epsilon = "" if summary.epsilon is None else f"{summary.epsilon:g}"
    shares = [
        f"{100 * share.value:.0f} ({100 * share.low:.0f}–{100 * share.high:.0f})"
        if (share := summary.coverage.get(rule))
        else ""
        for rule in (NAIVE, *RULES)
    ]
    widths = [
        f"{summary.width[rule]:.2f}" if rule in summary.width else ""
        for rule in (NAIVE, "full", "large")
    ]
    cells = [
        summary.method,
        epsilon,
        str(summary.repetitions),
        *shares,
        *widths,
        f"{summary.bias:.1f}",
        f"{summary.spread:.1f}",
        *(_percent(x) for x in (summary.lost, summary.strong, summary.medium, summary.false)),
    ]
    return "| " + " | ".join(cells) + " |"


def _percent(share: float) -> str:
    return "" if np.isnan(share) else f"{100 * share:.0f}"
