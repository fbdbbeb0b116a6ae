"""The expected error of a part of the rows against drawing it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.equivalent import SubsampleCurve
from benchmarks.marginals import total_variation

N = 600


def curve_and_cells(cells: int) -> tuple[SubsampleCurve, np.ndarray]:
    rng = np.random.default_rng(cells)
    rows = rng.choice(cells, N, p=rng.dirichlet(np.full(cells, 0.5)))
    curve = SubsampleCurve(N)
    curve.add(np.bincount(rows, minlength=cells))
    return curve, rows


@pytest.mark.parametrize("cells", [2, 30, 1000])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_expectation_is_what_drawing_gives(cells: int, share: float) -> None:
    curve, rows = curve_and_cells(cells)
    rng = np.random.default_rng(0)
    whole = np.bincount(rows, minlength=cells) / N
    size = round(share * N)
    drawn = [
        total_variation(np.bincount(rng.permutation(rows)[:size], minlength=cells) / size, whole)
        for _ in range(300)
    ]
    tolerance = 5 * np.std(drawn) / np.sqrt(300) + 0.01 * np.mean(drawn)
    assert curve.error(np.array([share]))[0] == pytest.approx(np.mean(drawn), abs=tolerance)


def test_the_share_is_the_inverse_and_never_leaves_the_unit_interval() -> None:
    curve, _ = curve_and_cells(30)
    shares = np.array([0.004, 0.02, 0.3, 0.8, 0.99])
    assert curve.share(curve.error(shares)) == pytest.approx(shares, rel=0.02)
    assert curve.share(np.array([0.0, 1.0])).tolist() == [1.0, 0.0]
    errors = np.linspace(0, 1, 200)
    assert (np.diff(curve.share(errors)) <= 0).all()
    assert np.isnan(curve.share(np.array([np.nan]))).all()


def test_a_fresh_sample_is_worth_a_third_of_the_rows() -> None:
    rng = np.random.default_rng(0)
    curve = SubsampleCurve(50_000)
    rows = rng.integers(0, 20, (2, 50_000))
    counts = [np.bincount(side, minlength=20) for side in rows]
    curve.add(counts[0])
    expected = np.sqrt(2 * 0.05 * 0.95 * 2 / 50_000 / np.pi) / 2 * 20
    assert curve.share(np.array([expected]))[0] == pytest.approx(1 / 3, abs=0.02)


def test_a_table_of_one_cell_has_no_part_that_errs() -> None:
    curve = SubsampleCurve(10)
    curve.add(np.array([10, 0]))
    assert curve.share(np.array([0.0, 0.1])).tolist() == [1.0, 0.0]
