"""Density, coverage, precision and recall against brute force, and the errors of other suites."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import manifold
from benchmarks.discretise import Tables, conform_tables
from benchmarks.manifold import LEVELS, NEIGHBOURS, Cloud, measure
from benchmarks.report import Metric, Section
from tests.benchmarks.conftest import schema_of


def cloud(real: np.ndarray, made: np.ndarray) -> Cloud:
    around = manifold._squared(real, real)
    np.fill_diagonal(around, np.inf)
    return Cloud(real, made, around, manifold._squared(real, made))


def points(n: int, seed: int, *, width: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width))


def naive(real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """The formulas, one point at a time."""
    radius = []
    for i, point in enumerate(real):
        others = np.linalg.norm(np.delete(real, i, axis=0) - point, axis=1)
        radius.append(np.sort(others)[NEIGHBOURS - 1])
    balls = [[np.linalg.norm(y - x) <= r for y in made] for x, r in zip(real, radius, strict=True)]
    nearest = [int(np.argmin(np.linalg.norm(made - x, axis=1))) for x in real]
    inner = np.linalg.norm(real - real.mean(axis=0), axis=1)
    outer = np.linalg.norm(made - real.mean(axis=0), axis=1)
    middle = np.linalg.norm(made - made.mean(axis=0), axis=1)
    precise, recalled = [], []
    for level in LEVELS:
        precise.append(np.mean(outer <= np.quantile(inner**2, level) ** 0.5))
        edge = np.quantile(middle**2, level) ** 0.5
        recalled.append(np.mean([balls[i][j] and middle[j] <= edge for i, j in enumerate(nearest)]))
    return {
        "density": np.sum(balls) / (NEIGHBOURS * len(made)),
        "coverage": np.mean(np.any(balls, axis=1)),
        "alpha_precision": 1 - 2 * np.mean(np.abs(np.array(precise) - LEVELS)),
        "beta_recall": 1 - 2 * np.mean(np.abs(np.array(recalled) - LEVELS)),
    }


@pytest.mark.parametrize(("n", "m"), [(60, 60), (60, 25), (25, 60)])
def test_figures_are_those_of_the_formulas_whatever_the_sizes(n: int, m: int) -> None:
    """Other suites demand equal lengths, fill up with zero rows, or index across the sides."""
    real, made = points(n, 1), points(m, 2) * 1.3 + 0.2
    found = cloud(real, made).figures()
    assert found == pytest.approx(naive(real, made))
    order = np.random.default_rng(0).permutation(m)
    assert cloud(real, made[order]).figures() == pytest.approx(found)


@pytest.mark.parametrize("seed", range(3))
def test_points_are_left_out_as_if_they_had_never_been_there(seed: int) -> None:
    rng = np.random.default_rng(seed)
    real, made = points(70, seed), np.round(points(50, seed + 9), 1)
    whole = cloud(real, made)
    for _ in range(4):
        gone, lost = rng.random(70) < 0.2, rng.random(50) < 0.2
        assert whole.without_real(gone) == pytest.approx(cloud(real[~gone], made).figures())
        assert whole.without_synthetic(lost) == pytest.approx(cloud(real, made[~lost]).figures())


def test_two_samples_of_one_law_are_near_what_theory_says() -> None:
    found = cloud(points(900, 1), points(900, 2)).figures()
    assert found["density"] == pytest.approx(1.0, abs=0.1)
    assert found["coverage"] == pytest.approx(1 - 2.0**-NEIGHBOURS, abs=0.02)
    assert found["alpha_precision"] > 0.95
    assert found["beta_recall"] > 0.9


def test_equal_rows_lie_at_distance_zero() -> None:
    """Balls of radius 0, where rows repeat, hold their own copies and nothing else."""
    real = np.repeat(np.random.default_rng(0).random((3, 7)), NEIGHBOURS + 1, axis=0)
    assert cloud(real, real[::2]).figures()["coverage"] == 1.0
    assert cloud(real, real + 1e-3).figures()["coverage"] == 0.0


# -- whole tables ----------------------------------------------------------------------------------

SCHEMA = schema_of(
    {
        "g": {"kind": "categorical", "categories": ["a", "b"]},
        "x": {"kind": "real", "bounds": [-5, 9]},
        "y": {"kind": "real", "bounds": [-5, 9]},
    }
)


def frame(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 2, n)
    x = rng.normal(4.0 * group, 0.7)
    return pd.DataFrame({"g": np.array(["a", "b"])[group], "x": x, "y": rng.normal(x, 0.3)})


def run(ours: pd.DataFrame) -> Section:
    tables: Tables = conform_tables(ours, frame(700, 1), frame(600, 2), SCHEMA)
    return measure(tables, rng=np.random.default_rng(0))


def figures(ours: pd.DataFrame) -> dict[str, Metric]:
    return {metric.name.partition(".")[2]: metric for metric in run(ours).metrics}


def test_a_fresh_sample_is_at_the_floor() -> None:
    for metric in figures(frame(650, 3)).values():
        assert metric.ci_low <= metric.value <= metric.ci_high
        assert metric.ci_low - 0.05 <= metric.floor <= metric.ci_high + 0.05
        assert metric.n == 600
        assert metric.tier == "B"


def test_a_group_that_is_missing_is_not_recalled() -> None:
    whole = frame(1200, 3)
    found = figures(whole[whole["g"] == "a"])
    assert found["coverage"].value < 0.6
    assert found["beta_recall"].value < 0.6
    assert found["density"].value > 0.9


def test_rows_far_from_people_are_not_precise() -> None:
    found = figures(frame(650, 3).assign(y=lambda rows: -rows["y"]))
    assert found["density"].value < 0.6
    assert found["alpha_precision"].ci_high < found["alpha_precision"].floor


def test_columns_that_stand_alone_are_the_landmark() -> None:
    rng = np.random.default_rng(0)
    ours = frame(650, 3)
    apart = pd.DataFrame({name: rng.permutation(ours[name].to_numpy()) for name in ours})
    metric = figures(apart)["density"]
    assert metric.reference == pytest.approx(metric.value, abs=0.1)
    assert metric.skill == pytest.approx(0.0, abs=0.15)


def test_fewer_rows_than_neighbours_are_not_measured() -> None:
    assert run(frame(NEIGHBOURS, 3)).metrics == ()
    assert len(run(frame(NEIGHBOURS + 1, 3)).metrics) == 4
