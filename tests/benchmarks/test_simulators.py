from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from benchmarks.simulators import SIMULATORS, Health, Simulator, Survey, Visits
from benchmarks.simulators.base import INTERCEPT, linear_predictor, rounded
from dpsynth.errors import UsageError
from dpsynth.table import unit_codes, violations

EACH = pytest.mark.parametrize("simulator", SIMULATORS.values(), ids=SIMULATORS)


def design(frame: pd.DataFrame, names: list[str]) -> np.ndarray:
    """One column per coefficient, by the rule that the truth's names follow."""
    return np.column_stack([linear_predictor(frame, {name: 1.0}) for name in names])


@EACH
def test_rows_fit_the_schema_and_it_round_trips(simulator: Simulator) -> None:
    schema = simulator.schema
    frame = simulator.draw(20_000, np.random.default_rng(0))
    assert list(frame.columns) == [column.name for column in schema.columns]
    assert violations(frame, schema) == []
    assert type(schema).from_dict(schema.to_dict()) == schema
    assert {column.source for column in schema.modelled} == {"simulator"}
    assert 6 <= len(schema.modelled) <= 12
    assert schema.target is not None


@EACH
def test_every_declared_level_occurs(simulator: Simulator) -> None:
    frame = simulator.draw(20_000, np.random.default_rng(1))
    for column in simulator.schema.modelled:
        if column.is_discrete:
            shown = frame[column.name].astype(str).str.lower()
            assert set(shown) == {str(level).lower() for level in column.categories or ()}


@EACH
def test_the_same_generator_gives_the_same_rows(simulator: Simulator) -> None:
    one, two = (simulator.draw(500, np.random.default_rng(5)) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)
    assert not one.equals(simulator.draw(500, np.random.default_rng(6)))
    assert len(simulator.draw(1, np.random.default_rng(0))) == 1


@EACH
def test_a_regression_on_many_rows_finds_the_truth(simulator: Simulator) -> None:
    # Every coefficient within 5 standard errors: with this seed no chance, with another < 2e-5.
    frame = simulator.draw(400_000, np.random.default_rng(11))
    units = unit_codes(frame, simulator.schema)
    for formula, truth in simulator.truth.items():
        outcome = frame[formula.partition("~")[0].strip()]
        family = sm.families.Binomial() if outcome.dtype == bool else sm.families.Gaussian()
        model = sm.GLM(outcome.to_numpy(dtype=float), design(frame, list(truth)), family=family)
        found = model.fit(cov_type="cluster", cov_kwds={"groups": units})
        z = (found.params - np.array(list(truth.values()))) / found.bse
        assert np.abs(z).max() < 5.0
        # The largest error bar is small beside the effects, or the test would show nothing.
        slopes = [i for i, name in enumerate(truth) if name != INTERCEPT]
        assert (found.bse[slopes] < 0.05).all()


@pytest.mark.parametrize("simulator", [Health(noise_days=14), Survey(noise=3.0), Visits(shared=1)])
def test_no_outcome_ever_meets_its_bounds(simulator: Simulator) -> None:
    """The worst case of the formula plus the worst case of the noise, not a sample."""
    width = {"los_days": 14.0, "log_wage": 3.0, "systolic": 50.0}
    for formula, truth in simulator.truth.items():
        outcome = simulator.schema.column(formula.partition("~")[0].strip())
        if not outcome.is_numeric:
            continue
        low = high = truth[INTERCEPT]
        by_column: dict[str, list[float]] = {}
        for name, value in truth.items():
            column = name.partition("[")[0]
            if name == INTERCEPT:
                continue
            if simulator.schema.column(column).is_numeric:
                bounds = simulator.schema.column(column).bounds
                by_column[column] = [value * float(bound) for bound in bounds or ()]
            else:
                by_column.setdefault(column, [0.0]).append(value)
        low += sum(min(effects) for effects in by_column.values())
        high += sum(max(effects) for effects in by_column.values())
        span = width[outcome.name]
        least = low - span * (1.2 / 5.2 if outcome.name == "los_days" else 0.5)
        most = high + span
        assert isinstance(outcome.bounds, tuple)
        assert outcome.bounds[0] <= least
        assert most <= outcome.bounds[1]


def test_rounding_keeps_the_mean() -> None:
    rng = np.random.default_rng(2)
    values = np.full(200_000, 1.237)
    out = rounded(values, 1, rng)
    assert set(out) == {1.2, 1.3}
    # Standard error 1.1e-4; rounding to the nearest would be off by 0.037.
    assert abs(out.mean() - 1.237) < 6e-4


def test_rows_of_a_patient_are_alike_and_at_most_four() -> None:
    frame = Visits().draw(20_000, np.random.default_rng(3))
    groups = frame.groupby("patient_id")
    assert groups.size().max() == 4
    for column in ("sex", "age", "site", "treated"):
        assert (groups[column].nunique() == 1).all()
    truth = Visits().truth
    pressure = next(iter(truth))
    residual = frame["systolic"] - linear_predictor(frame, truth[pressure])
    between = residual.groupby(frame["patient_id"]).mean().std()
    loose = Visits(shared=0.0).draw(20_000, np.random.default_rng(3))
    alone = loose["systolic"] - linear_predictor(loose, truth[pressure])
    share = between / residual.std()
    share_alone = alone.groupby(loose["patient_id"]).mean().std() / alone.std()
    assert share > 0.85 > 0.75 > share_alone


@pytest.mark.parametrize(
    "build",
    [
        lambda: Health(noise_days=15.0),
        lambda: Survey(noise=-1.0),
        lambda: Visits(shared=1.5),
    ],
)
def test_settings_that_would_break_the_truth_are_refused(build) -> None:
    with pytest.raises(UsageError, match="must lie in"):
        build()
