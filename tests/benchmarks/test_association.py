"""Measures of dependence against their definitions, whole and with one group left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.association import strengths
from benchmarks.discretise import Conformed, spread

RNG = np.random.default_rng(0)
NUMBER, LEVEL = True, False


def table(*columns: np.ndarray) -> Conformed:
    features = np.column_stack(columns).astype(float)
    n = len(features)
    # Cells of numbers do not matter here.
    codes = np.where(np.abs(features) < 60, np.abs(features), 0.0).astype(np.int64)
    return Conformed(
        features=features,
        codes=codes,
        units=np.arange(n),
        groups=spread(n, np.random.default_rng(1)),
    )


def strength(
    x: np.ndarray, y: np.ndarray, kinds: tuple[bool, bool], sizes: tuple[int, int] = (60, 60)
) -> float:
    return float(strengths(table(x, y), [(0, 1)], kinds, sizes).whole[0])


def rho(x: np.ndarray, y: np.ndarray) -> float:
    return strength(x, y, (NUMBER, NUMBER))


def v(x: np.ndarray, y: np.ndarray, sizes: tuple[int, int] = (60, 60)) -> float:
    return strength(x, y, (LEVEL, LEVEL), sizes)


def eta(x: np.ndarray, y: np.ndarray) -> float:
    return strength(x, y, (NUMBER, LEVEL))


def test_rank_correlation_agrees_with_scipy() -> None:
    x, y = RNG.normal(size=300), RNG.integers(0, 5, 300).astype(float)
    y += x > 0
    expected = abs(stats.spearmanr(x, y).statistic)
    assert rho(x, y) == pytest.approx(expected)
    assert rho(-x, y) == pytest.approx(expected)
    assert rho(y, x) == pytest.approx(expected)
    assert rho(np.exp(3 * x), y) == pytest.approx(expected)
    holes = x.copy()
    holes[::7] = np.nan
    kept = ~np.isnan(holes)
    expected = abs(stats.spearmanr(x[kept], y[kept]).statistic)
    assert rho(holes, y) == pytest.approx(expected)
    assert rho(x, np.ones(300)) == 0.0
    assert rho(x, np.full(300, np.nan)) == 0.0


def test_cramers_v_agrees_with_the_chi_squared_of_scipy() -> None:
    x, y = RNG.integers(0, 4, 900), RNG.integers(0, 3, 900)
    y[:200] = x[:200] % 3
    crossed = pd.crosstab(x, y).to_numpy()
    phi = stats.chi2_contingency(crossed, correction=False).statistic / 900
    phi = max(0, phi - 3 * 2 / 899)
    expected = np.sqrt(phi / min(4 - 9 / 899 - 1, 3 - 4 / 899 - 1))
    assert v(x, y, (4, 3)) == pytest.approx(expected)
    assert v(y, x, (9, 9)) == pytest.approx(expected)
    assert v(x, x, (4, 4)) == pytest.approx(1.0)
    assert v(x, np.zeros(900, dtype=int), (4, 1)) == 0.0


def test_cramers_v_is_that_of_many_cells_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = table(RNG.integers(0, 4, 500), RNG.integers(0, 3, 500))
    pair.codes[:200, 1] = pair.codes[:200, 0] % 3
    dense = strengths(pair, [(0, 1)], (LEVEL, LEVEL), (4, 3))
    monkeypatch.setattr("benchmarks.counting._DENSE", 1)
    sparse = strengths(pair, [(0, 1)], (LEVEL, LEVEL), (4, 3))
    assert sparse.whole == pytest.approx(dense.whole)
    assert sparse.left_out == pytest.approx(dense.left_out)


def test_cramers_v_is_not_lifted_by_many_levels() -> None:
    x, y = RNG.integers(0, 40, 2000), RNG.integers(0, 40, 2000)
    assert v(x, y, (40, 40)) < 0.05


def test_correlation_ratio_is_the_root_of_explained_variance() -> None:
    codes = RNG.integers(0, 3, 600)
    x = codes * 2.0 + RNG.normal(size=600)
    frame = pd.DataFrame({"x": x, "c": codes})
    explained = frame.groupby("c")["x"].transform("mean").var(ddof=0) / frame["x"].var(ddof=0)
    assert eta(x, codes) == pytest.approx(np.sqrt(explained))
    assert eta(1e305 * x + 1e304, codes) == pytest.approx(np.sqrt(explained))
    assert eta(np.ones(600), codes) == 0.0
    assert eta(np.full(600, np.nan), codes) == 0.0
    assert eta(codes.astype(float), codes) == pytest.approx(1.0)


def test_replicates_are_the_measures_of_the_rest() -> None:
    level = RNG.integers(0, 4, 400)
    x = level + RNG.normal(size=400)
    y = x + RNG.normal(size=400)
    y[::9] = np.nan
    other = np.where(RNG.random(400) < 0.5, level, RNG.integers(0, 4, 400))
    every = table(x, y, level, other)
    pairs, kinds, sizes = [(0, 1), (0, 2), (1, 2), (2, 3)], (True, True, False, False), (9,) * 4
    left = strengths(every, pairs, kinds, sizes).left_out
    assert left.shape == (20, 4)
    for group in range(20):
        rest = every.take(np.flatnonzero(every.groups != group))
        expected = strengths(rest, pairs, kinds, sizes).whole
        # Ranks are kept, all else is the same.
        assert left[group, 0] == pytest.approx(expected[0], abs=2e-3)
        assert left[group, 1:] == pytest.approx(expected[1:])
