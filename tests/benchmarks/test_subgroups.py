"""Groups that vanish, swell or change are found; fresh samples and copies are left alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import group_scores, subgroups, training
from benchmarks.discretise import conform_tables
from benchmarks.report import Section
from benchmarks.subgroups import absolute_interval, measure
from tests.benchmarks.conftest import schema_of, shuffled
from tests.benchmarks.test_prediction import figures

SIZE, DISTANCE, GAP = (
    f"subgroups.{name}" for name in ("size.worst", "tvd2.worst", "tstr.worst_gap")
)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_scores, "DRAWS", 60)
    monkeypatch.setattr(training, "MODELS", ("boosting",))


def schema(**changes: object):
    columns = {
        "who": {"kind": "key"},
        "sex": {"kind": "categorical", "categories": ["F", "M"], "role": "protected"},
        "area": {"kind": "categorical", "categories": ["n", "s", "w"], "role": "protected"},
        "x": {"kind": "real", "bounds": [-9, 9]},
        "z": {"kind": "real", "bounds": [-9, 9]},
        "t": {"kind": "boolean", "role": "target"},
    }
    return schema_of({**columns, **changes}, unit={"id": "who", "max_rows": 1})


def people(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, n))
    return pd.DataFrame(
        {
            "who": 1_000_000 * seed + np.arange(n),
            "sex": rng.choice(["F", "M"], n, p=[0.7, 0.3]),
            "area": rng.choice(["n", "s", "w"], n, p=[0.6, 0.3, 0.1]),
            "x": x,
            "z": z,
            "t": x + 0.5 * rng.normal(size=n) > 0.3,
        }
    )


def run(synthetic: pd.DataFrame, *, n: int = 1_200, given=None) -> Section:
    given = given or schema()
    tables = conform_tables(synthetic, people(n, 1), people(n, 2), given)
    trained = training.train(tables, rng=np.random.default_rng(0))
    return measure(tables, rng=np.random.default_rng(0), trained=trained)


def codes(section: Section) -> list[str]:
    return [finding.code for finding in section.findings]


def test_a_fresh_sample_is_within_chance() -> None:
    section = run(people(1_200, 3))
    found = figures(section)
    assert codes(section) == []
    for metric in found.values():
        assert metric.ci_low <= metric.value <= metric.ci_high
        assert metric.direction == "lower"
        assert metric.skill > 0.7
    assert set(found) == {
        SIZE, DISTANCE, GAP, "subgroups.tpr_gap", "subgroups.fpr_gap", "subgroups.parity_gap"
    }  # fmt: skip


def test_the_same_rows_in_any_order_differ_in_nothing() -> None:
    section = run(shuffled(people(1_200, 1)))
    found = figures(section)
    assert found[SIZE].value == 0.0
    assert found[DISTANCE].value < 0  # nearer than two samples are
    for name in (GAP, "subgroups.tpr_gap", "subgroups.fpr_gap", "subgroups.parity_gap"):
        metric = found[name]
        assert metric.value == metric.ci_low == metric.ci_high == metric.floor == 0.0
    assert run(people(1_200, 1)) == section


def test_a_lost_group_is_found() -> None:
    ours = people(1_500, 3)
    section = run(ours[~((ours["sex"] == "M") & (ours["area"] == "s"))])
    worst = section.tables["subgroups"][0]
    assert worst["group"] == "sex = M, area = s"
    assert worst["ratio"] < 0.02
    assert worst["tvd2"] == 1.0
    assert figures(section)[DISTANCE].value == 1.0
    assert figures(section)[SIZE].ci_low > 1.0
    assert codes(section) == ["DPS322"]
    assert "sex × area" in section.findings[0].message
    assert section.worst["subgroups"][0].columns == ("sex = M, area = s",)


def test_a_group_that_swells_is_found() -> None:
    ours = people(1_200, 3)
    rare = np.flatnonzero(ours["area"] == "w")
    ours = pd.concat([ours, ours.iloc[np.tile(rare, 3)]], ignore_index=True)
    section = run(ours)
    found = {row["group"]: row for row in section.tables["subgroups"]}
    assert found["area = w"]["ratio_low"] > 1.5
    assert "DPS322" in codes(section)


def test_the_more_is_wrong_the_larger_the_figure() -> None:
    ours = people(1_500, 3)
    sizes, distances = [], []
    for share in (0.0, 0.3, 0.6):
        rng = np.random.default_rng(0)
        fewer = ours[~((ours["sex"] == "M") & (rng.random(1_500) < share))]
        sizes.append(figures(run(fewer))[SIZE].value)
        wrong = ours.copy()
        rows = (ours["area"] == "w") & (rng.random(1_500) < share)
        wrong.loc[rows, ["x", "t"]] = [-8.0, True]
        distances.append(figures(run(wrong))[DISTANCE].value)
    for values in (sizes, distances):
        assert values == sorted(values)
        assert values[2] > values[0] + 0.1


def test_a_model_that_fails_one_group_is_found() -> None:
    ours = people(1_500, 3)
    rows = ours["sex"] == "M"
    ours.loc[rows, "t"] = ours.loc[rows, "x"] < 0.3
    section = run(ours)
    found = figures(section)
    assert found[GAP].ci_low > 0.3
    assert found["subgroups.tpr_gap"].value > 0.5
    assert found["subgroups.fpr_gap"].value > 0.5
    assert "DPS323" in codes(section)
    rows_by = {row["group"]: row for row in section.tables["subgroups"]}
    assert rows_by["sex = M"]["gap"] > 0.5 > 0.1 > rows_by["sex = F"]["gap"]


def test_labels_that_favour_a_group_show_in_parity() -> None:
    ours = people(1_500, 3)
    ours.loc[ours["sex"] == "M", "t"] = True
    found = figures(run(ours))
    assert found["subgroups.parity_gap"].ci_low > 0.3
    assert found["subgroups.fpr_gap"].ci_low > 0.5


def test_numbers_are_judged_by_relative_error() -> None:
    given = schema(t={"kind": "real", "bounds": [-9, 9], "role": "target"})
    frames = [people(1_000, seed).assign(t=lambda f: f["x"]) for seed in (3, 1, 2)]
    rows = frames[0]["sex"] == "M"
    frames[0].loc[rows, "t"] *= -1
    tables = conform_tables(*frames, given)
    trained = training.train(tables, rng=np.random.default_rng(0))
    section = measure(tables, rng=np.random.default_rng(0), trained=trained)
    assert figures(section)[GAP].value > 1.0
    assert "subgroups.tpr_gap" not in figures(section)


def test_without_protected_columns_or_large_groups_nothing_is_claimed() -> None:
    plain = {"kind": "categorical", "categories": ["F", "M"]}
    section = run(
        people(200, 3),
        n=200,
        given=schema(sex=plain, area={"kind": "categorical", "categories": ["n", "s", "w"]}),
    )
    assert section.metrics == ()
    assert codes(section) == ["DPS321"]
    section = run(people(30, 3), n=30)
    assert section.metrics == ()
    assert codes(section) == ["DPS321"]


def test_without_a_target_sizes_and_marginals_remain() -> None:
    section = run(people(400, 3), n=400, given=schema(t={"kind": "boolean"}))
    assert set(figures(section)) == {SIZE, DISTANCE}


def test_a_protected_target_makes_no_groups_of_its_own_predictions() -> None:
    document = schema().to_dict() | {"evaluation": {"protected": ["t"]}}
    for name in ("sex", "area"):
        del document["columns"][name]["role"]
    section = run(people(400, 3), n=400, given=type(schema()).from_dict(document))
    assert set(figures(section)) == {SIZE, DISTANCE}


def test_the_smallest_tables_do_not_crash() -> None:
    tables = conform_tables(people(2, 3), people(200, 1), people(2, 2), schema())
    trained = training.train(tables, rng=np.random.default_rng(0))
    section = measure(tables, rng=np.random.default_rng(0), trained=trained)
    assert np.isfinite(figures(section)[SIZE].value)
    assert all(
        value is None or isinstance(value, str) or np.isfinite(value)
        for row in section.tables["subgroups"]
        for value in row.values()
    )


def test_messages_carry_names_only() -> None:
    ours = people(1_200, 3)
    section = run(ours[ours["area"] != "s"])
    assert not any(" = " in finding.message for finding in section.findings)


def test_fresh_samples_rarely_raise_an_alarm() -> None:
    """2.5 % of false alarms in all, of fixed tables."""
    alarms = 0
    for seed in range(20):
        frames = [people(600, 10 + 3 * seed + i) for i in range(3)]
        tables = conform_tables(*frames, schema(t={"kind": "boolean"}))
        chosen, _ = subgroups.partitions(tables)
        sizes = [subgroups._sizes(tables, partition) for partition in chosen]
        alarms += bool(subgroups._flag(chosen, sizes))
    assert alarms <= 2


def test_intervals_of_sizes() -> None:
    assert absolute_interval(-0.3, 0.1) == (0.0, 0.3)
    assert absolute_interval(-0.3, -0.1) == (0.1, 0.3)
    assert absolute_interval(0.1, 0.3) == (0.1, 0.3)
