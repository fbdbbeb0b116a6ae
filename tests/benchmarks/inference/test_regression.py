from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from benchmarks.inference.formulas import Formula, Layout, Rows, read_rows
from benchmarks.inference.regression import Fit, fit
from benchmarks.simulators import Health, Simulator, Visits
from benchmarks.simulators.base import INTERCEPT
from tests.benchmarks.conftest import schema_of

SCHEMA = schema_of(
    {
        "g": {"kind": "categorical", "categories": ["a", "b", "c"]},
        "x": {"kind": "real", "bounds": [-1e9, 1e9]},
        "z": {"kind": "real", "bounds": [-1e9, 1e9]},
        "y": {"kind": "boolean"},
    }
)
LOGISTIC, LINEAR = "y ~ g + x + z", "x ~ g + z"
G = np.arange(20)


def frame(n: int = 1_500, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    out = pd.DataFrame(
        {"g": rng.choice(list("abc"), n), "x": rng.normal(size=n), "z": rng.normal(size=n)}
    )
    out["y"] = rng.random(n) < 1.0 / (1.0 + np.exp(-out["x"] - (out["g"] == "b")))
    return out


def fitted(table: pd.DataFrame, text: str, *, layout: Layout | None = None) -> dict[str, float]:
    formula = Formula.of(text, SCHEMA)
    rows, levels = read_rows(formula, table, SCHEMA, has_units=False)
    layout = layout or Layout.of(formula, levels, rows.complete)
    return dict(zip(layout.names, fit(layout, rows).estimates.tolist(), strict=True))


def missing(found: dict[str, float]) -> set[str]:
    return {name for name, value in found.items() if np.isnan(value)} - {"g[other]"}


@pytest.mark.parametrize("text", [LOGISTIC, LINEAR])
def test_estimates_and_errors_are_those_of_a_plain_regression(text: str) -> None:
    table = frame()
    table["z"] = table["z"] * 1e6 + 3e8  # far from zero: conditioning must not matter
    formula = Formula.of(text, SCHEMA)
    rows, levels = read_rows(formula, table, SCHEMA, has_units=False)
    layout = Layout.of(formula, levels, rows.complete)
    found = fit(layout, rows)
    places = [i for i, name in enumerate(layout.names) if name != "g[other]"]
    design = sm.add_constant(layout.design(rows)[:, places])
    design[:, -1] = (design[:, -1] - 3e8) / 1e6
    family = sm.families.Binomial() if text == LOGISTIC else sm.families.Gaussian()
    naive = sm.GLM(rows.values[:, 0], design, family=family).fit()
    unit = np.ones(len(places))
    unit[-1] = 1e-6
    np.testing.assert_allclose(found.estimates[places], naive.params[1:] * unit, rtol=1e-5)
    np.testing.assert_allclose(found.errors[places], naive.bse[1:] * unit, rtol=1e-5)


CASES = {
    "separated by a number": ({"y": lambda f: f.x > 0}, {"g[b]", "g[c]", "x", "z"}),
    "separated by a level": ({"y": lambda f: f.y | (f.g == "c")}, {"g[c]"}),
    "dependent columns": ({"z": lambda f: 2 * f.x}, {"x", "z"}),
    "a constant covariate": ({"z": lambda f: 0.0 * f.x}, {"z"}),
    "a constant outcome": ({"y": lambda f: f.x < 99}, {"g[b]", "g[c]", "x", "z"}),
    "nothing amiss": ({}, set()),
}


@pytest.mark.parametrize(("changes", "lost"), CASES.values(), ids=CASES)
def test_only_what_the_rows_determine_has_an_estimate(changes, lost) -> None:
    assert missing(fitted(frame().assign(**changes), LOGISTIC)) == lost


def test_a_missing_level_leaves_the_others() -> None:
    table = frame()
    formula = Formula.of(LOGISTIC, SCHEMA)
    rows, levels = read_rows(formula, table, SCHEMA, has_units=False)
    layout = Layout.of(formula, levels, rows.complete)
    without_c = fitted(table[table["g"] != "c"], LOGISTIC, layout=layout)
    assert missing(without_c) == {"g[c]"}
    # Without the reference no level can be compared with it; the numbers are as good as before.
    without_a = fitted(table[table["g"] != "a"], LOGISTIC, layout=layout)
    assert missing(without_a) == {"g[b]", "g[c]"}


def test_exact_formulas_and_few_rows_determine_nothing() -> None:
    assert missing(fitted(frame().assign(z=lambda f: 3 * f.x), LINEAR)) == {"g[b]", "g[c]", "z"}
    assert missing(fitted(frame(4), LOGISTIC)) >= {"x", "z"}
    assert missing(fitted(frame().assign(x=np.nan), LOGISTIC, layout=_layout())) >= {"x", "z"}


def _layout() -> Layout:
    formula = Formula.of(LOGISTIC, SCHEMA)
    rows, levels = read_rows(formula, frame(), SCHEMA, has_units=False)
    return Layout.of(formula, levels, rows.complete)


@pytest.mark.parametrize(("text", "tolerance"), [(LINEAR, 1e-8), (LOGISTIC, 2e-3)])
def test_replicates_are_fits_without_a_group(text: str, tolerance: float) -> None:
    table = frame()
    formula = Formula.of(text, SCHEMA)
    rows, levels = read_rows(formula, table, SCHEMA, has_units=False)
    groups = np.arange(len(table)) % len(G)
    rows = Rows(values=rows.values, units=rows.units, groups=groups)
    layout = Layout.of(formula, levels, rows.complete)
    found = fit(layout, rows, n_groups=len(G))
    for g in (0, 13):
        kept = groups != g
        rest = Rows(values=rows.values[kept], units=rows.units[kept], groups=groups[kept])
        again = fit(layout, rest)
        np.testing.assert_allclose(found.replicates[g, 0], again.estimates, atol=tolerance)
        np.testing.assert_allclose(found.replicates[g, 1], again.errors, rtol=0.02)


def test_rows_of_one_unit_count_once() -> None:
    # Every row four times: an analyst who takes them for people halves the errors.
    table = frame(600)
    formula = Formula.of(LINEAR, SCHEMA)
    rows, levels = read_rows(formula, table, SCHEMA, has_units=False)
    layout = Layout.of(formula, levels, rows.complete)
    once = fit(layout, rows)
    fourfold = Rows(
        values=np.repeat(rows.values, 4, axis=0),
        units=np.repeat(rows.units, 4),
        groups=np.repeat(rows.groups, 4),
    )
    found = fit(layout, fourfold)
    kept = once.found
    np.testing.assert_allclose(found.errors[kept], once.errors[kept], rtol=0.1)
    np.testing.assert_allclose(found.plain_errors[kept], once.errors[kept] / 2, rtol=0.02)


def _covered(simulator: Simulator, n: int, repetitions: int) -> tuple[float, float]:
    """Share of true coefficients in intervals that know the units, and in those that do not."""
    by_unit, plain = [], []
    for seed in range(repetitions):
        table = simulator.draw(n, np.random.default_rng([seed, 9]))
        for text, truth in simulator.truth.items():
            formula = Formula.of(text, simulator.schema)
            rows, levels = read_rows(formula, table, simulator.schema, has_units=True)
            layout = Layout.of(formula, levels, rows.complete)
            found: Fit = fit(layout, rows)
            names = [name for name in truth if name != INTERCEPT]
            places = [layout.names.index(name) for name in names]
            off = np.abs(found.estimates[places] - [truth[name] for name in names])
            by_unit.append(off <= 1.96 * found.errors[places])
            plain.append(off <= 1.96 * found.plain_errors[places])
    return float(np.concatenate(by_unit).mean()), float(np.concatenate(plain).mean())


def test_intervals_on_real_rows_cover_as_they_say() -> None:
    # 120 tables × 13 coefficients; coverage varies by 0.7 points from one such set to the next.
    by_unit, plain = _covered(Health(), 900, 120)
    assert by_unit == plain
    assert 0.93 < by_unit < 0.97


def test_intervals_on_visits_cover_only_if_they_know_the_patients() -> None:
    by_unit, plain = _covered(Visits(shared=0.8), 1_200, 100)
    assert 0.92 < by_unit < 0.97
    assert plain < 0.89
