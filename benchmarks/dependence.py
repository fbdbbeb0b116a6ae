"""Dependence of column pairs: what was lost, what was invented. No threshold hides weak pairs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from benchmarks.discretise import Columns
from dpsynth.schema import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class DependenceError:
    """Differences of association over all pairs.

    Parameters
    ----------
    lost : float
        Mean of max(0, real - synthetic).
    spurious : float
        Mean of max(0, synthetic - real).
    floor_lost, floor_spurious : float
        The same for the holdout.
    worst : tuple
        Up to five (columns, synthetic - real), largest absolute difference first.
    """

    lost: float
    spurious: float
    floor_lost: float
    floor_spurious: float
    worst: tuple[tuple[tuple[str, str], float], ...]


def dependence_error(
    fit: Columns, holdout: Columns, synthetic: Columns, schema: Schema
) -> DependenceError:
    """Compare the association of every pair of columns.

    Notes
    -----
    |Spearman| for two numeric columns, bias-corrected Cramér's V for two discrete ones, the
    correlation ratio for a mixed pair; all in [0, 1].

    References
    ----------
    Bergsma, "A bias-correction for Cramér's V and Tschuprow's T", J. Korean Stat. Soc. 2013.
    """
    real, held, ours = (
        {pair: association(table, pair, schema) for pair in _pairs(schema)}
        for table in (fit, holdout, synthetic)
    )
    differences = {pair: ours[pair] - real[pair] for pair in real}
    floors = np.array([held[pair] - real[pair] for pair in real] or [0.0])
    values = np.array(list(differences.values()) or [0.0])
    ranked = sorted(differences.items(), key=lambda item: -abs(item[1]))[:5]
    return DependenceError(
        lost=float(np.maximum(0, -values).mean()),
        spurious=float(np.maximum(0, values).mean()),
        floor_lost=float(np.maximum(0, -floors).mean()),
        floor_spurious=float(np.maximum(0, floors).mean()),
        worst=tuple((pair, float(difference)) for pair, difference in ranked),
    )


def _pairs(schema: Schema) -> list[tuple[str, str]]:
    return list(itertools.combinations([column.name for column in schema.modelled], 2))


def association(table: Columns, pair: tuple[str, str], schema: Schema) -> float:
    """Return the association of two columns in [0, 1]; 0 where one of them is constant."""
    first, second = (schema.column(name) for name in pair)
    a, b = table[pair[0]], table[pair[1]]
    if first.is_numeric and second.is_numeric:
        return _spearman(a.astype(float), b.astype(float))
    if first.is_numeric:
        return _correlation_ratio(a.astype(float), b)
    if second.is_numeric:
        return _correlation_ratio(b.astype(float), a)
    return _cramers_v(a, b)


def _spearman(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    both = ~(np.isnan(a) | np.isnan(b))
    if both.sum() < 3 or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
        return 0.0
    ranks = stats.rankdata(a[both]), stats.rankdata(b[both])
    return float(abs(np.corrcoef(*ranks)[0, 1]))


def _cramers_v(a: npt.NDArray, b: npt.NDArray) -> float:
    x, y = (pd.factorize(pd.Series(v, dtype=object), use_na_sentinel=False)[0] for v in (a, b))
    shape = x.max() + 1, y.max() + 1
    n = len(x)
    if min(shape) < 2 or n < 2:
        return 0.0
    table = np.bincount(x * shape[1] + y, minlength=shape[0] * shape[1]).reshape(shape)
    expected = np.outer(table.sum(1), table.sum(0)) / n
    phi = ((table - expected) ** 2 / expected).sum() / n
    phi = max(0.0, phi - (shape[0] - 1) * (shape[1] - 1) / (n - 1))
    corrected = [size - (size - 1) ** 2 / (n - 1) for size in shape]
    return float(np.sqrt(phi / max(min(corrected) - 1, 1e-12)).clip(0, 1))


def _correlation_ratio(numbers: npt.NDArray[np.float64], groups: npt.NDArray) -> float:
    present = ~np.isnan(numbers)
    numbers = numbers[present]
    if numbers.size < 3 or np.ptp(numbers) == 0:
        return 0.0
    code = pd.factorize(pd.Series(groups[present], dtype=object), use_na_sentinel=False)[0]
    counts = np.bincount(code)
    means = np.bincount(code, weights=numbers) / counts
    between = (counts * (means - numbers.mean()) ** 2).sum()
    return float(np.sqrt(between / ((numbers - numbers.mean()) ** 2).sum()).clip(0, 1))
