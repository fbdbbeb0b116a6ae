"""Train on synthetic, test on real: right where it must be, defined everywhere else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from benchmarks import prediction
from benchmarks.discretise import Tables, conform_tables
from benchmarks.models import Inputs, fitted, linear
from benchmarks.report import Metric, Section
from tests.benchmarks.conftest import schema_of, shuffled

SCORES = ("auroc", "average_precision", "balanced_accuracy", "brier")
MODELS = ("boosting", "linear", "network")


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "DRAWS", 200)


def task_schema(target: dict | None = None, **table: object):
    columns = {
        "c": {"kind": "categorical", "categories": ["a", "b", "c"]},
        "x": {"kind": "real", "bounds": [-9, 9], "missing": True},
        "t": target or {"kind": "boolean", "role": "target"},
    }
    if table:
        columns = {"who": {"kind": "key"}, **columns}
    return schema_of(columns, **table)


def task_frame(n: int, seed: int, *, noise: float = 0.3) -> pd.DataFrame:
    """``t`` follows ``x`` and ``c``."""
    rng = np.random.default_rng(seed)
    c, x = rng.integers(0, 3, n), rng.normal(size=n)
    t = x + 0.5 * c + noise * rng.normal(size=n)
    return pd.DataFrame(
        {
            "who": 1_000_000 * seed + np.arange(n) // 4,
            "c": np.array(["a", "b", "c"])[c],
            "x": x,
            "score": t,
            "t": t > 0.5,
        }
    )


def tables(synthetic: pd.DataFrame, schema=None, *, n: int = 400) -> Tables:
    return conform_tables(synthetic, task_frame(n, 1), task_frame(n, 2), schema or task_schema())


def run(given: Tables) -> Section:
    return prediction.measure(given, rng=np.random.default_rng(0))


def figures(section: Section) -> dict[str, Metric]:
    return {metric.name: metric for metric in section.metrics}


def test_a_fresh_sample_teaches_as_much_as_real_rows() -> None:
    section = run(tables(task_frame(400, 3)))
    found = figures(section)
    for model in MODELS:
        assert found[f"trtr.{model}.auroc"].value > 0.9
        assert found[f"gap.{model}.auroc"].value == pytest.approx(0.0, abs=0.03)
        for score in SCORES:
            gap = found[f"gap.{model}.{score}"]
            assert gap.ci_low <= gap.value <= gap.ci_high
            assert found[f"tstr.{model}.{score}"].floor == found[f"trtr.{model}.{score}"].value
    assert found["dummy.auroc"].value == 0.5
    assert section.findings == ()


def test_the_same_rows_have_no_gap_in_any_order() -> None:
    found = figures(run(tables(shuffled(task_frame(400, 1)))))
    for name, metric in found.items():
        if name.startswith("gap."):
            assert metric.value == metric.ci_low == metric.ci_high == 0.0


def test_retained_skill_lies_between_a_constant_and_real_rows() -> None:
    worse = task_frame(400, 3)
    rows = np.random.default_rng(0).random(400) < 0.35
    worse.loc[rows, "t"] = ~worse.loc[rows, "t"]
    found = figures(run(tables(worse)))
    for model in MODELS:
        metric = found[f"tstr.{model}.auroc"]
        real = found[f"trtr.{model}.auroc"]
        assert metric.skill == pytest.approx((metric.value - 0.5) / (real.value - 0.5))
        assert 0 < metric.skill < 1
        assert found[f"gap.{model}.auroc"].skill == pytest.approx(metric.skill)
        assert real.skill == 1.0


def test_every_figure_has_an_interval_and_a_floor() -> None:
    for name, metric in figures(run(tables(task_frame(400, 3)))).items():
        assert metric.ci_low <= metric.value <= metric.ci_high, name
        assert metric.floor is not None
        assert metric.tier == ("B" if name.startswith("ranking") else "A")


def test_the_private_models_stand_beside_what_they_are_compared_with() -> None:
    given = tables(task_frame(300, 3))
    section = prediction.measure(
        given, rng=np.random.default_rng(0), private={"auroc": 0.7, "brier": 0.2}
    )
    found = figures(section)
    assert found["tstr.network.auroc"].references == {"dummy": 0.5, "dp-trained": 0.7}
    gap = found["gap.linear.auroc"]
    assert gap.references["dp-trained"] == pytest.approx(found["trtr.linear.auroc"].value - 0.7)
    assert "dp-trained" not in found["tstr.linear.average_precision"].references


def test_agreement_of_ranks_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = rng.integers(0, 4, (2, 4)).astype(float)
        if np.ptp(one) and np.ptp(other):
            expected = spearmanr(one, other).statistic
            assert prediction.rank_agreement(one, other) == pytest.approx(expected)
    assert prediction.rank_agreement(np.full(4, 0.5), np.arange(4.0)) == 0.0


def test_positive_gaps_are_losses_for_every_score() -> None:
    worse = task_frame(400, 3)
    rows = np.random.default_rng(0).random(400) < 0.35
    worse.loc[rows, "t"] = ~worse.loc[rows, "t"]
    section = run(tables(worse))
    found = figures(section)
    for score in SCORES:
        assert found[f"gap.boosting.{score}"].ci_low > 0
        assert found[f"gap.boosting.{score}"].direction == "lower"
    assert [finding.code for finding in section.findings] == ["DPS315"]


def test_the_loss_grows_with_corruption() -> None:
    gaps = []
    for share in (0.0, 0.35, 0.7):
        worse = task_frame(400, 3)
        rows = np.random.default_rng(0).random(400) < share
        worse.loc[rows, "t"] = np.random.default_rng(1).permutation(
            worse.loc[rows, "t"].to_numpy(copy=True)
        )
        gaps.append(figures(run(tables(worse)))["gap.boosting.brier"].value)
    assert gaps == sorted(gaps)
    assert gaps[-1] > gaps[0] + 0.05


def test_labels_that_follow_nothing_are_worth_a_half() -> None:
    """Resampling before splitting would report 0.77 on such labels."""
    frames = []
    for seed in (3, 1, 2):
        rng = np.random.default_rng(seed)
        frames.append(task_frame(500, seed).assign(t=rng.random(500) < 0.5))
    repeated = frames[1].sample(500, replace=True, random_state=np.random.RandomState(0))
    found = figures(run(conform_tables(repeated, *frames[1:], task_schema())))
    for name in (
        "tstr.boosting.auroc", "trtr.boosting.auroc", "trtr.linear.auroc", "trtr.network.auroc"
    ):  # fmt: skip
        assert found[name].value == pytest.approx(0.5, abs=0.08)
        assert found[name].ci_low < 0.5 < found[name].ci_high


def test_figures_are_those_of_a_model_trained_by_hand() -> None:
    given = tables(task_frame(400, 3))
    place = given.target
    inputs = Inputs.of(given, without=place)
    model = fitted(
        linear(inputs),
        inputs.matrix(given.synthetic.features),
        given.synthetic.codes[:, place],
    )
    scores = model.predict_proba(inputs.matrix(given.holdout.features))[:, 1]
    expected = roc_auc_score(given.holdout.codes[:, place], scores)
    assert figures(run(given))["tstr.linear.auroc"].value == pytest.approx(expected, abs=1e-3)


def test_both_train_on_as_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []

    def recorded(model, features, target):
        rows.append(len(target))
        return fitted(model, features, target)

    monkeypatch.setattr("benchmarks.models.fitted", recorded)
    found = figures(run(tables(task_frame(150, 3))))
    assert rows == [150] * 6
    assert {found[f"{name}.boosting.auroc"].n for name in ("tstr", "trtr")} == {150}
    ours = task_frame(150, 3).astype({"t": object})
    ours.loc[:49, "t"] = None
    found = figures(
        run(tables(ours, task_schema({"kind": "boolean", "role": "target", "missing": True})))
    )
    assert found["trtr.boosting.auroc"].n == 100


@pytest.mark.parametrize("value", [True, None])
def test_a_synthetic_target_of_one_class_scores_a_half(value: object) -> None:
    section = run(tables(task_frame(300, 3).assign(t=pd.Series([value] * 300, dtype=object))))
    found = figures(section)
    for model in MODELS:
        assert found[f"tstr.{model}.auroc"].value == 0.5
        assert found[f"tstr.{model}.balanced_accuracy"].value == 0.5
        assert found[f"trtr.{model}.auroc"].value > 0.9
        assert found[f"gap.{model}.auroc"].ci_low > 0.3
        assert found[f"tstr.{model}.auroc"].skill == 0.0
    assert found["ranking.auroc"].value == 0.0
    assert section.findings[0].code == "DPS316"


def test_a_missing_class_is_said_and_counted_against_the_table() -> None:
    target = {"kind": "categorical", "categories": ["l", "m", "h"], "role": "target"}

    def three(seed: int) -> pd.DataFrame:
        frame = task_frame(400, seed)
        return frame.assign(t=np.select([frame["score"] < 0, frame["score"] < 1], ["l", "m"], "h"))

    schema = task_schema(target)
    good = run(conform_tables(three(3), three(1), three(2), schema))
    ours = three(3)
    section = run(conform_tables(ours[ours["t"] != "h"], three(1), three(2), schema))
    assert good.findings == ()
    assert "DPS318" in [finding.code for finding in section.findings]
    assert not any(" h " in finding.message for finding in section.findings)
    loss = [figures(part)["tstr.boosting.auroc"].value for part in (good, section)]
    assert loss[1] < loss[0] - 0.1


def test_numbers_are_predicted_too() -> None:
    schema = task_schema({"kind": "real", "bounds": [-20, 20], "role": "target"})
    frames = [task_frame(400, seed).assign(t=lambda f: f["score"]) for seed in (3, 1, 2)]
    found = figures(run(conform_tables(*frames, schema)))
    assert found["tstr.linear.r2"].value > 0.85
    assert found["gap.linear.r2"].value == pytest.approx(0.0, abs=0.03)
    assert found["tstr.boosting.mae"].direction == "lower"
    assert abs(found["dummy.r2"].value) < 0.05
    constant = [frames[0].assign(t=1.0), *frames[1:]]
    section = run(conform_tables(*constant, schema))
    assert figures(section)["tstr.boosting.r2"].value < 0.05
    assert [finding.code for finding in section.findings] == ["DPS316", "DPS315"]
    empty = figures(run(conform_tables(frames[0].assign(t=np.nan), *frames[1:], schema)))
    assert np.isfinite(empty["tstr.linear.mae"].value)


def test_intervals_widen_where_people_have_several_rows() -> None:
    def people(seed: int) -> pd.DataFrame:
        frame = task_frame(400, seed, noise=2.0)
        return frame.groupby("who").transform("first").assign(who=1_000 * seed + frame["who"])

    frames = [people(seed) for seed in (3, 1, 2)]
    width = {}
    for name, schema in {
        "people": task_schema(unit={"id": "who", "max_rows": 4}),
        "rows": task_schema(),
    }.items():
        metric = figures(run(conform_tables(*frames, schema)))["trtr.linear.auroc"]
        width[name] = metric.ci_high - metric.ci_low
    assert width["people"] > 1.5 * width["rows"]


@pytest.mark.parametrize("role", ["fit", "holdout"])
def test_where_real_rows_show_one_class_nothing_is_claimed(role: str) -> None:
    parts = {"fit": task_frame(50, 1), "holdout": task_frame(50, 2)}
    parts[role] = parts[role].assign(t=False)
    section = run(conform_tables(task_frame(50, 3), parts["fit"], parts["holdout"], task_schema()))
    assert section.metrics == ()
    assert [finding.code for finding in section.findings] == ["DPS319"]


def test_without_target_or_features_nothing_is_claimed() -> None:
    frame = task_frame(50, 1)
    for schema in (
        schema_of({"x": {"kind": "real", "bounds": [-9, 9]}}),
        schema_of({"t": {"kind": "boolean", "role": "target"}}),
    ):
        section = run(conform_tables(frame, frame, frame, schema))
        assert section.metrics == ()
        assert [finding.code for finding in section.findings] == ["DPS319"]


def test_the_smallest_tables_do_not_crash() -> None:
    two = task_frame(40, 3).sort_values("score").iloc[[0, -1]]
    found = figures(run(conform_tables(two, two, two, task_schema())))
    assert np.isfinite(found["tstr.boosting.auroc"].value)
