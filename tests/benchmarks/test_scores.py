"""Weighted scores against scikit-learn, intervals against repetition."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    mean_absolute_error,
    r2_score,
    recall_score,
    roc_auc_score,
)

from benchmarks.scores import (
    Classified,
    Ranked,
    Regressed,
    auc_interval,
    auc_with_variance,
    percentile_interval,
    unit_weights,
    whole,
)

RNG = np.random.default_rng(0)


def test_ranked_scores_agree_with_scikit_learn_under_weights_and_ties() -> None:
    positive = RNG.random(300) < 0.3
    scores = np.round(RNG.random(300) + 0.3 * positive, 1)
    weights = RNG.integers(0, 4, (5, 300)).astype(float)
    area, average = Ranked(scores, positive).score(weights)
    for i, w in enumerate(weights):
        assert area[i] == pytest.approx(roc_auc_score(positive, scores, sample_weight=w))
        assert average[i] == pytest.approx(
            average_precision_score(positive, scores, sample_weight=w)
        )


def test_a_constant_score_is_worth_nothing() -> None:
    positive = np.arange(10) < 3
    area, average = Ranked(np.ones(10), positive).score(np.ones((1, 10)))
    assert area[0] == 0.5
    assert average[0] == pytest.approx(0.3)
    weights = np.array([positive, ~positive], dtype=float)
    assert np.isnan(Ranked(RNG.random(10), positive).score(weights)[0]).all()


def test_two_classes_agree_with_scikit_learn() -> None:
    truth = RNG.integers(0, 2, 200)
    second = RNG.random(200)
    outcome = Classified(np.column_stack([1 - second, second]), truth, [1])
    found = {name: values[0] for name, values in outcome.scores(np.ones((1, 200))).items()}
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, second))
    assert found["average_precision"] == pytest.approx(average_precision_score(truth, second))
    assert found["brier"] == pytest.approx(brier_score_loss(truth, second))


def test_several_classes_agree_with_scikit_learn() -> None:
    truth = RNG.integers(0, 3, 200)
    chances = RNG.dirichlet(np.ones(3), 200)
    outcome = Classified(chances, truth, [0, 1, 2])
    found = {name: values[0] for name, values in outcome.scores(np.ones((1, 200))).items()}
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, chances, multi_class="ovr"))
    one_hot = np.eye(3)[truth]
    assert found["average_precision"] == pytest.approx(average_precision_score(one_hot, chances))
    assert found["brier"] == pytest.approx(((chances - one_hot) ** 2).sum(axis=1).mean())


def test_balanced_accuracy_agrees_with_scikit_learn_under_weights() -> None:
    truth = RNG.integers(0, 3, 200)
    chances = RNG.dirichlet(np.ones(4), 200)
    weights = RNG.integers(0, 4, (3, 200)).astype(float)
    found = Classified(chances, truth, [0, 1, 2]).scores(weights)["balanced_accuracy"]
    for value, w in zip(found, weights, strict=True):
        rows = np.repeat(np.arange(200), w.astype(int))
        expected = np.mean(
            [(chances[rows].argmax(axis=1) == k)[truth[rows] == k].mean() for k in range(3)]
        )
        assert value == pytest.approx(expected)
    two = Classified(chances, truth, [0, 1, 2], [0, 2]).scores(np.ones((1, 200)))
    said = chances.argmax(axis=1)
    assert two["balanced_accuracy"][0] == pytest.approx(
        recall_score(truth, said, labels=[0, 2], average="macro")
    )


def test_chosen_rows_score_like_rows_with_all_the_weight() -> None:
    truth = RNG.integers(0, 3, 200)
    rows = np.flatnonzero(RNG.random(200) < 0.5)
    mask = np.zeros((1, 200))
    mask[0, rows] = 1.0
    chances = RNG.dirichlet(np.ones(3), 200)
    for outcome in (
        Classified(chances, truth, [0, 1, 2]),
        Regressed(chances[:, 0], truth.astype(float)),
    ):
        masked = outcome.scores(mask)
        for name, value in whole(outcome.take(rows)).items():
            assert value == pytest.approx(masked[name][0])


def test_numbers_agree_with_scikit_learn_under_weights() -> None:
    truth = RNG.normal(1e6, 1, 200)
    predicted = truth + RNG.normal(size=200)
    weights = RNG.integers(0, 4, (3, 200)).astype(float)
    found = Regressed(predicted, truth).scores(weights)
    for i, w in enumerate(weights):
        assert found["r2"][i] == pytest.approx(
            r2_score(truth, predicted, sample_weight=w), rel=1e-6
        )
        assert found["mae"][i] == pytest.approx(
            mean_absolute_error(truth, predicted, sample_weight=w)
        )
    constant = Regressed(np.zeros(5), np.ones(5)).scores(np.ones((1, 5)))
    assert np.isnan(constant["r2"][0])


def test_bootstrap_draws_whole_units() -> None:
    units = np.array([2, 0, 2, 1, 2, 0])
    weights = unit_weights(units, 50, np.random.default_rng(0))
    for unit in range(3):
        assert (np.ptp(weights[:, units == unit], axis=1) == 0).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert len(np.unique(weights, axis=0)) > 5


def test_percentiles_leave_out_what_is_not_defined() -> None:
    draws = np.array([np.nan, *np.linspace(0, 1, 41)])
    assert percentile_interval(draws) == pytest.approx((0.025, 0.975))
    assert np.isnan(percentile_interval(np.array([np.nan]))).all()


def auc_draws(rows: int, people: int, repeats: int) -> tuple[np.ndarray, np.ndarray]:
    """AUCs and estimated variances over repetitions; ``rows`` rows of each of ``people``."""
    found = []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        person = np.repeat(rng.normal(size=2 * people), rows)
        positive = np.repeat([True, False], people * rows)
        scores = person + 0.2 * rng.normal(size=len(person)) + 0.5 * positive
        units = np.repeat(np.arange(2 * people), rows)
        found.append(auc_with_variance(scores, positive, units))
        if seed == 0:
            assert found[0][0] == pytest.approx(roc_auc_score(positive, scores))
    areas, variances = np.array(found).T
    return areas, variances


@pytest.mark.parametrize("rows", [1, 5])
def test_the_variance_of_auc_is_that_of_repetition(rows: int) -> None:
    areas, variances = auc_draws(rows, people=60, repeats=300)
    assert variances.mean() == pytest.approx(areas.var(), rel=0.2)


def test_intervals_cover_and_stay_inside() -> None:
    areas, variances = auc_draws(1, people=60, repeats=300)
    truth = areas.mean()
    ends = [auc_interval(a, v, 60) for a, v in zip(areas, variances, strict=True)]
    covered = np.mean([low <= truth <= high for low, high in ends])
    assert 0.91 <= covered <= 0.985
    assert 0.99 < auc_interval(0.99, 0.0001, 60)[1] < 1.0
    low, high = auc_interval(1.0, 0.0, 60)
    assert 0.9 < low < high == 1.0
    assert auc_interval(0.0, 0.0, 60) == pytest.approx((0.0, 1.0 - low))
    assert np.isnan(auc_interval(0.7, float("nan"), 1)).all()
