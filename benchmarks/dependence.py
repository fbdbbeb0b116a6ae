"""Dependence between pairs of columns: what got lost, and what was invented.

|Spearman's ρ| between numbers, bias-corrected Cramér's V between levels, correlation ratio η
between a number and levels: all in [0, 1]. No pair is left out because it depends too little: a
dependence that only the synthetic table shows is exactly what must be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from benchmarks.discretise import Conformed, Tables
from benchmarks.marginals import MOST_PAIRS, subsets
from benchmarks.report import Metric, Section, Worst
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
        Draws the pairs where there are more.

    Notes
    -----
    ``dependence.lost`` is the mean over pairs of max(0, A_fit - A_synthetic), ``spurious`` that of
    the opposite sign. Floors are the same means with the holdout in place of the synthetic table.
    """
    pairs = subsets(len(tables.columns), 2, MOST_PAIRS, rng)
    if not pairs:
        return Section()
    numeric = [column.is_numeric for column in tables.columns]
    fit, synthetic, holdout = (
        _Strengths(table, numeric, tables.sizes).of(pairs)
        for table in (tables.fit, tables.synthetic, tables.holdout)
    )
    noise = _noise(tables, np.abs(holdout - fit))
    metrics, worst, findings = [], {}, []
    for kind, sign, code in (("lost", -1.0, "DPS313"), ("spurious", 1.0, "DPS312")):
        change = np.maximum(0.0, sign * (synthetic - fit))
        floor = np.maximum(0.0, sign * (holdout - fit))
        metrics.append(
            Metric(
                name=f"dependence.{kind}",
                value=float(change.mean()),
                floor=float(floor.mean()),
                references={"independent": float(fit.mean())} if kind == "lost" else {},
                landmark="independent" if kind == "lost" else None,
                direction="lower",
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


def rank_correlation(x: FloatArray, y: FloatArray) -> float:
    """Return |Spearman's ρ| over rows where neither is null; 0 where one is constant."""
    both = ~(np.isnan(x) | np.isnan(y))
    return abs(float(np.mean(_ranks(x[both]) * _ranks(y[both])))) if both.any() else 0.0


def cramers_v(x: IntArray, y: IntArray, sizes: tuple[int, int]) -> float:
    """Return bias-corrected Cramér's V of two columns of codes; 0 where one is constant.

    References
    ----------
    Bergsma 2013, "A bias-correction for Cramér's V and Tschuprow's T".
    """
    n = len(x)
    across, down = np.bincount(x, minlength=sizes[0]), np.bincount(y, minlength=sizes[1])
    r, c = np.count_nonzero(across), np.count_nonzero(down)
    if min(r, c) < 2:
        return 0.0
    cells, counts = np.unique(x * sizes[1] + y, return_counts=True)
    expected = across[cells // sizes[1]] * down[cells % sizes[1]].astype(np.float64)
    squared = float((counts.astype(np.float64) ** 2 / expected).sum()) - 1.0
    corrected = max(0.0, squared - (r - 1) * (c - 1) / (n - 1))
    room = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1.0
    return min(1.0, float(np.sqrt(corrected / room))) if room > 0 else 0.0


def correlation_ratio(x: FloatArray, codes: IntArray) -> float:
    """Return η of numbers given codes, over rows where the number is not null."""
    present = ~np.isnan(x)
    if not present.any():
        return 0.0
    x, codes = x[present], codes[present]
    x = x - x.mean()
    scale = np.abs(x).max()
    if scale == 0:
        return 0.0
    x = x / scale
    counts = np.bincount(codes)
    sums = np.bincount(codes, weights=x)
    seen = counts > 0
    between = float((sums[seen] ** 2 / counts[seen]).sum())
    return float(np.sqrt(min(1.0, between / float((x**2).sum()))))


@dataclass(frozen=True, slots=True)
class _Strengths:
    table: Conformed
    numeric: list[bool]
    sizes: tuple[int, ...]

    def of(self, pairs: list[tuple[int, ...]]) -> FloatArray:
        features, codes = self.table.features, self.table.codes
        # Ranks of columns without nulls are shared by all their pairs.
        whole = {
            i: _ranks(features[:, i])
            for i, is_number in enumerate(self.numeric)
            if is_number and not np.isnan(features[:, i]).any()
        }
        out = np.empty(len(pairs))
        for k, (i, j) in enumerate(pairs):
            if i in whole and j in whole:
                out[k] = abs(float(np.mean(whole[i] * whole[j])))
            elif self.numeric[i] and self.numeric[j]:
                out[k] = rank_correlation(features[:, i], features[:, j])
            elif self.numeric[i] or self.numeric[j]:
                number, level = (i, j) if self.numeric[i] else (j, i)
                out[k] = correlation_ratio(features[:, number], codes[:, level])
            else:
                out[k] = cramers_v(codes[:, i], codes[:, j], (self.sizes[i], self.sizes[j]))
        return out


def _ranks(x: FloatArray) -> FloatArray:
    """Return standardised average ranks; zeros where ``x`` is constant."""
    ranks = rankdata(x)
    centred = ranks - ranks.mean()
    spread = float(np.sqrt(np.mean(centred**2)))
    return centred / spread if spread > 0 else np.zeros_like(centred)


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
