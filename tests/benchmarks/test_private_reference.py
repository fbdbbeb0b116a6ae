"""Privately trained models: public facts only, the declared ε, and sane limits."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from benchmarks import private_reference, training
from benchmarks.discretise import conform_tables
from benchmarks.private_reference import Block, best, blocks, measure, public_only
from benchmarks.report import Section
from dpsynth.privacy import Budget
from tests.benchmarks.conftest import schema_of
from tests.benchmarks.test_prediction import figures, task_frame, task_schema

NUMBER = {"kind": "real", "bounds": [-20, 20], "role": "target"}


@pytest.fixture(autouse=True)
def what_it_is_compared_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "MODELS", ("linear",))


def budget(epsilon: float) -> Budget:
    return Budget(epsilon=epsilon, delta=1e-6)


def tables(n: int = 600, schema=None, **changes: object):
    frames = [task_frame(n, seed).assign(**changes) for seed in (3, 1, 2)]
    return conform_tables(*frames, schema or task_schema())


def run(given, epsilon: float | None, seed: int = 0) -> Section:
    trained = training.train(given, rng=np.random.default_rng(0))
    return measure(
        given,
        rng=np.random.default_rng(seed),
        trained=trained,
        budget=None if epsilon is None else budget(epsilon),
    )


def test_without_noise_worth_the_name_it_is_the_linear_model() -> None:
    """Enormous ε: the median of the fits comes close to TRTR."""
    found = figures(run(tables(2_000), 1e6))
    metric = found["reference.dp-logistic.auroc"]
    assert metric.value == pytest.approx(metric.floor, abs=0.01)
    assert metric.skill > 0.97
    assert found["reference.dp-bayes.auroc"].value > 0.9
    number = figures(run(tables(2_000, task_schema(NUMBER), t=lambda f: f["score"]), 1e7))
    metric = number["reference.dp-linear.r2"]
    assert metric.value == pytest.approx(metric.floor, abs=0.02)


def test_with_nothing_to_spend_it_is_no_better_than_a_constant() -> None:
    found = figures(run(tables(400), 1e-3))
    for name in ("dp-logistic", "dp-bayes"):
        metric = found[f"reference.{name}.auroc"]
        assert metric.ci_low < 0.6
        assert metric.value < 0.8 < metric.floor
    number = figures(run(tables(400, task_schema(NUMBER), t=lambda f: f["score"]), 1e-3))
    assert number["reference.dp-linear.r2"].value < 0.05


def test_scores_rise_with_the_budget() -> None:
    given = tables(1_000)
    values = [figures(run(given, e))["reference.dp-logistic.auroc"].value for e in (0.01, 1, 100)]
    assert values == sorted(values)
    assert values[2] > values[0] + 0.1


def test_the_interval_is_the_range_of_the_fits() -> None:
    found = figures(run(tables(300), 1.0))
    for metric in found.values():
        assert metric.ci_low <= metric.value <= metric.ci_high
        assert metric.landmark == "dummy"
    assert (
        found["reference.dp-logistic.auroc"].ci_low < found["reference.dp-logistic.auroc"].ci_high
    )
    assert figures(run(tables(300), 1.0)) == found
    assert figures(run(tables(300), 1.0, seed=1)) != found


def test_it_says_that_it_is_no_release() -> None:
    section = run(tables(200), 1.0)
    assert [finding.code for finding in section.findings] == ["DPS324"]
    assert "not booked" in section.findings[0].message
    section = run(tables(200), None)
    assert section.metrics == ()
    assert [finding.code for finding in section.findings] == ["DPS335"]


def test_a_fact_read_off_the_rows_is_an_error() -> None:
    from diffprivlib.models import GaussianNB, LogisticRegression
    from diffprivlib.utils import PrivacyLeakWarning

    x, y = np.random.default_rng(0).random((20, 2)), np.arange(20) % 2
    for learner in (LogisticRegression(), GaussianNB()):
        with pytest.raises(PrivacyLeakWarning), public_only():
            learner.fit(x, y)
    with public_only(), warnings.catch_warnings(record=True):
        warnings.warn("other", UserWarning, stacklevel=1)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list:
    """What diffprivlib is given."""
    from diffprivlib.models import GaussianNB, LinearRegression, LogisticRegression

    calls = []
    for model in (GaussianNB, LinearRegression, LogisticRegression):
        keep = model.fit

        def fit(self, x, y, keep=keep):
            calls.append((self, x.copy(), y.copy()))
            return keep(self, x, y)

        monkeypatch.setattr(model, "fit", fit)
    return calls


@pytest.mark.parametrize("target", [None, NUMBER])
def test_no_row_is_longer_than_the_noise_assumes(recorded: list, target: dict | None) -> None:
    given = tables(200, task_schema(target), **({"t": lambda f: f["score"]} if target else {}))
    given.fit.features[:5, 1] = [np.nan, -9, 9, 1e300, -1e300]
    run(given, 1.0)
    assert recorded
    for learner, x, _ in recorded:
        kind = type(learner).__name__
        if kind == "LogisticRegression":
            assert not learner.fit_intercept
            assert np.linalg.norm(x, axis=1).max() <= learner.data_norm + 1e-12
            continue
        low, high = learner.bounds if kind == "GaussianNB" else learner.bounds_X
        assert ((x >= low) & (x <= high)).all()
        if kind == "LinearRegression":
            assert (np.abs(low) >= np.abs(high)).all()


def test_the_scale_of_the_noise_does_not_depend_on_rows(recorded: list) -> None:
    for factor in (1.0, 0.1):
        run(tables(150, x=lambda f, by=factor: f["x"] * by), 1.0)
    half = len(recorded) // 2
    for (one, *_), (other, *_) in zip(recorded[:half], recorded[half:], strict=True):
        assert one.epsilon == other.epsilon
        if hasattr(one, "data_norm"):
            assert one.data_norm == other.data_norm == 1.0
        else:
            np.testing.assert_array_equal(one.bounds, other.bounds)


def test_the_budget_of_a_person_is_divided_among_their_rows(recorded: list) -> None:
    rows = []
    for unit in (
        {},
        {"unit": {"id": "who", "max_rows": 2}},
        {"unit": {"id": "who", "max_rows": 4, "relation": "replace_one"}},
    ):
        recorded.clear()
        run(tables(200, task_schema(**unit)), 1.0)
        spent = {type(learner).__name__: learner.epsilon for learner, *_ in recorded}
        rows.append((spent["LogisticRegression"], spent["GaussianNB"], len(recorded[0][1])))
    # Two made-up rows; everybody has four rows of their own, of which two may stay.
    assert rows == [(1.0, 1.0, 202), (0.5, 0.5, 102), (0.25, 0.125, 202)]


def test_a_class_without_rows_is_no_obstacle(recorded: list) -> None:
    target = {"kind": "categorical", "categories": ["l", "m", "h"], "role": "target"}
    schema = task_schema(target)
    frames = [
        task_frame(200, seed).assign(t=lambda f: np.where(f["score"] < 0, "l", "m"))
        for seed in (3, 1, 2)
    ]
    section = run(conform_tables(*frames, schema), 10.0)
    assert all(set(y) == {0, 1, 2} for _, _, y in recorded)
    assert np.isfinite([metric.value for metric in section.metrics]).all()


def test_discovered_facts_are_left_out_and_said() -> None:
    columns = {
        "c": {"kind": "categorical", "categories": "discover", "source": "dp"},
        "x": {"kind": "real", "bounds": [-9, 9]},
        "t": {"kind": "boolean", "role": "target"},
    }
    given = tables(200, schema_of(columns))
    assert blocks(given, without=2) == ([Block(place=1, bounds=(-9, 9))], ["c"])
    section = run(given, 1.0)
    assert [finding.code for finding in section.findings] == ["DPS324", "DPS336"]
    assert "c:" in section.findings[1].message
    for free in (
        columns | {"x": {"kind": "real", "bounds": "discover", "source": "dp"}},
        columns | {"t": columns["c"] | {"role": "target"}, "c": {"kind": "boolean"}},
    ):
        names = {"t": lambda f: f["t"].astype(str), "c": lambda f: f["c"]}
        section = run(tables(200, schema_of(free), **names), 1.0)
        assert section.metrics == ()
        assert [finding.code for finding in section.findings] == ["DPS336"]


def test_columns_with_very_many_levels_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_reference, "WIDEST", 3)
    given = tables(50)
    found, left = blocks(given, without=given.target)
    assert [block.place for block in found] == [1]
    assert left == ["c"]


def test_features_are_public_functions_of_a_row() -> None:
    given = tables(30)
    given.fit.features[:3, 1] = [np.nan, 9.0, -4.5]
    given.fit.codes[0, 0] = given.sizes[0] - 2
    level = Block(place=0, levels=4).encode(given.fit)
    assert level[0].sum() == 0
    np.testing.assert_array_equal(level[1:].sum(axis=1), 1)
    number = Block(place=1, bounds=(-9.0, 9.0), missing=True).encode(given.fit)
    np.testing.assert_allclose(number[:3], [[0, 1], [1, 0], [-0.5, 0]])
    assert (Block(place=1, bounds=(2.0, 2.0)).encode(given.fit) == 0).all()


def test_the_best_is_chosen_by_its_direction() -> None:
    section = run(tables(200), 1.0)
    found, chosen = figures(section), best(section)
    pair = [found[f"reference.{name}.auroc"].value for name in ("dp-bayes", "dp-logistic")]
    assert chosen["auroc"] == max(pair)
    pair = [found[f"reference.{name}.brier"].value for name in ("dp-bayes", "dp-logistic")]
    assert chosen["brier"] == min(pair)


def test_one_row_more_or_less_moves_what_is_fitted_little(recorded: list) -> None:
    """The same noise on neighbouring tables: coefficients differ by less than the noise moves."""
    given = tables(400)
    run(given, 1.0)
    place = given.target
    given.fit.codes[0, place] = 1 - given.fit.codes[0, place]
    given.fit.features[0, place] = given.fit.codes[0, place]
    run(given, 1.0)
    fits = [m.coef_[0] for m, *_ in recorded if type(m).__name__ == "LogisticRegression"]
    one, other = np.array(fits[:5]), np.array(fits[5:])
    assert 0 < np.abs(one - other).max() < 0.2 * np.ptp(one, axis=0).max()


def test_targets_outside_the_schema_are_not_learnt() -> None:
    frame = pd.DataFrame({"c": ["a"] * 60, "x": np.arange(60) / 10, "t": ["l", "m", "?"] * 20})
    target = {"kind": "categorical", "categories": ["l", "m"], "role": "target"}
    given = conform_tables(frame, frame, frame, task_schema(target))
    section = run(given, 5.0)
    assert np.isfinite([metric.value for metric in section.metrics]).all()
