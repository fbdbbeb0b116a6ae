"""The contract that every part of the utility evaluation obeys, driven from its one list of parts.

Rules are stated once and hold for every metric of every part, those to come included. Where a rule
needs to be told something (which corruption a metric answers to, which ones are symmetric), a part
that says nothing gets the usual one and fails if that does not fit.
"""

from __future__ import annotations

import importlib
import inspect
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import benchmarks
import dpsynth as dp
from benchmarks import detection, prediction, propensity
from benchmarks.discretise import Conformed, Tables, conform_tables
from benchmarks.evaluate import parts, stream
from benchmarks.report import Metric, Section

PARTS = {part.__name__.partition(".")[2]: part for part in parts()}

N = 600
BUDGET = dp.Budget(epsilon=1.0, delta=1e-5)
SENTINELS = ("s3ntinel", "87654321")

SYMMETRIC = (
    r"tvd[123]\.(mean|p95|max)",
    r"queries\.(mean|p95)$",
    r"(ks|wasserstein|tails)\.",
    r"hellinger\.",
)
"""Metrics that do not tell who is synthetic and who is fitted."""
MIRRORED = {
    "dependence.lost": "dependence.spurious",
    "support.invented": "support.dropped",
}
"""Metrics that change places when the tables do."""

REAL = ("trtr.", "dummy.", "reference.")
"""Metrics of learners that never see a synthetic row: what others are held against."""

ANSWERS_TO = {
    "dependence.spurious": "coupled",
    "support.dropped": "collapsed",
    "support.recall": "collapsed",
    "inference.recovered": "collapsed",
    "subgroups.fpr_gap": "biased",
    "subgroups.tpr_gap": "biased",
    "subgroups.parity_gap": "biased",
}
"""The corruption that a metric is there to show, where it is not noise."""

COARSE = ("importance.tau", "inference.overlap", "inference.sign", "ranking.auroc")
"""Metrics over the few columns, coefficients or learners there are: they move in large steps, and
only the ends of the way are held against each other."""

LOOSE = {"tvd3.max": 0.25}
"""How far, in parts of it, a fresh sample may lie from a floor that is known to be off: the one of
marginals takes the pooled shares for the truth, and is too small where cells outnumber rows."""

# -- the tables ------------------------------------------------------------------------------------


def schema() -> dp.Schema:
    """Every kind of column, people with two rows, a target, a protected column, a formula."""
    number = {"kind": "real", "bounds": [-6, 6], "source": "test"}
    return dp.Schema.from_dict(
        {
            "table": {"name": "contract", "unit": {"id": "person", "max_rows": 2}},
            "evaluation": {"protected": ["sex"], "formulas": ["x ~ n + sex + ward + grade"]},
            "columns": {
                "person": {"kind": "key"},
                "sex": {"kind": "categorical", "categories": ["F", "M"], "source": "test"},
                "ward": {
                    "kind": "categorical",
                    "categories": ["a", "b", "c", "d"],
                    "other": "a",
                    "source": "test",
                },
                "grade": {
                    "kind": "ordinal",
                    "categories": ["low", "mid", "high"],
                    "source": "test",
                },
                "n": {"kind": "integer", "bounds": [0, 60], "source": "test"},
                "x": {**number, "decimals": 2, "missing": True},
                "u": number,
                "t": {"kind": "boolean", "role": "target", "source": "test"},
            },
        }
    )


def law(seed: int, n: int = N) -> pd.DataFrame:
    """Rows of other people for every seed; ``u`` follows nothing, the rest hangs together."""
    rng = np.random.default_rng([41, seed])
    z = np.repeat(rng.normal(size=(n + 1) // 2), 2)[:n] * 0.5 + rng.normal(size=n)
    x = np.round(z + rng.normal(0, 0.5, n), 2).clip(-6, 6)
    x[rng.random(n) < 0.08] = np.nan
    grade = np.digitize(z + rng.normal(0, 0.6, n), [-0.6, 0.8])
    ward = np.digitize(-z + rng.normal(0, 0.8, n), [-0.5, 0.8, 2.0])
    return pd.DataFrame(
        {
            "person": 10_000 * seed + np.arange(n) // 2,
            "sex": np.where(rng.random(n) < 0.4, "F", "M"),
            "ward": np.array(list("abcd"))[ward],
            "grade": np.array(["low", "mid", "high"])[grade],
            "n": np.round(20 + 6 * z + 3 * rng.normal(size=n)).clip(0, 60).astype(int),
            "x": x,
            "u": rng.normal(size=n).clip(-6, 6),
            "t": rng.random(n) < 1 / (1 + np.exp(-2.5 * z)),
        }
    )


def noise(n: int) -> pd.DataFrame:
    """Rows that know the schema only."""
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "person": np.arange(n),
            "sex": rng.choice(["F", "M"], n),
            "ward": rng.choice(list("abcd"), n),
            "grade": rng.choice(["low", "mid", "high"], n),
            "n": rng.integers(0, 61, n),
            "x": np.where(rng.random(n) < 0.5, np.nan, np.round(rng.uniform(-6, 6, n), 2)),
            "u": rng.uniform(-6, 6, n),
            "t": rng.random(n) < 0.5,
        }
    )


def coupled(n: int) -> pd.DataFrame:
    """Rows in which ``u`` follows the number beside it."""
    rows = law(3, n)
    return rows.assign(u=((rows["n"] - 20) / 8).clip(-6, 6))


def collapsed(n: int) -> pd.DataFrame:
    """One row, again and again."""
    return law(3, n).iloc[[0] * n].reset_index(drop=True)


def biased(n: int) -> pd.DataFrame:
    """Rows in which the target is what sex says, and nothing else."""
    rows = law(3, n)
    return rows.assign(t=rows["sex"] == "M")


CORRUPTIONS: dict[str, Callable[[int], pd.DataFrame]] = {
    "noise": noise,
    "coupled": coupled,
    "collapsed": collapsed,
    "biased": biased,
}
SHARES = (0.0, 0.3, 0.65, 1.0)


def corrupted(kind: str, share: float) -> pd.DataFrame:
    """A fresh sample of which a share was replaced; a larger share replaces the same and more."""
    ours = law(3)
    gone = np.random.default_rng(6).random(N) < share
    return ours.where(~pd.Series(gone), CORRUPTIONS[kind](N)).astype(ours.dtypes)


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sample(frac=1.0, random_state=np.random.RandomState(3))


def marked(seed: int) -> pd.DataFrame:
    """Rows with values that nobody may see."""
    frame = law(seed).astype({"n": float})
    frame.loc[0, "ward"] = SENTINELS[0]
    frame.loc[1, ["n", "u"]] = float(SENTINELS[1])
    return frame


@cache
def tables(scenario: str, share: float = 0.0) -> Tables:
    """Tables on one grid, which no part may write to."""
    ours, fit, held = law(3), law(1), law(2)
    if scenario == "same":
        ours = fit
    elif scenario == "shuffled":
        ours, fit, held = shuffled(ours), shuffled(fit), shuffled(held)
    elif scenario == "marked":
        ours, fit, held = (marked(seed) for seed in (3, 1, 2))
    elif scenario in CORRUPTIONS:
        ours = corrupted(scenario, share)
    elif scenario != "fresh" and scenario != "swapped":
        raise KeyError(scenario)
    found = conform_tables(ours, fit, held, schema())
    if scenario == "swapped":
        found = replace(found, synthetic=found.fit, fit=found.synthetic)
    for table in (found.synthetic, found.fit, found.holdout, found.independent, found.uniform):
        for array in (table.features, table.codes, table.units, table.groups):
            array.setflags(write=False)
    return found


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detection, "_ITERATIONS", 30)
        patch.setattr(prediction, "DRAWS", 200)
        patch.setattr(propensity, "PERMUTATIONS", 20)
        yield


def asks_for_a_budget(part: str) -> bool:
    return "budget" in inspect.signature(PARTS[part].measure).parameters


def measure(part: str, scenario: str, share: float = 0.0) -> Section:
    more = {"budget": BUDGET} if asks_for_a_budget(part) else {}
    return PARTS[part].measure(tables(scenario, share), rng=stream(PARTS[part], 0), **more)


measured = cache(measure)


def figures(part: str, scenario: str = "fresh", share: float = 0.0) -> dict[str, Metric]:
    return {metric.name: metric for metric in measured(part, scenario, share).metrics}


def of_real_rows_alone(metric: Metric) -> bool:
    """Whether the synthetic table has no part in it: then it must not move, and meets no floor."""
    return metric.name.startswith(REAL)


def require(rule: str, part: str, broken: Mapping[str, object]) -> None:
    """Fail for what breaks a rule."""
    assert not broken, f"{part}, {rule}: {broken}"


def as_text(section: Section) -> str:
    """Everything a section says, in one order; NaN equals itself."""
    return json.dumps(
        {
            "metrics": [[metric.name, metric.to_dict()] for metric in section.metrics],
            "worst": {name: [str(row) for row in rows] for name, rows in section.worst.items()},
            "findings": [str(finding) for finding in section.findings],
            "tables": {name: [dict(row) for row in rows] for name, rows in section.tables.items()},
        },
        default=str,
    )


every_part = pytest.mark.parametrize("part", PARTS)


# -- the rules -------------------------------------------------------------------------------------


def test_the_list_of_parts_is_whole() -> None:
    """A module that measures and is not listed would be in no report, and in no rule below."""
    folder = Path(benchmarks.__file__).parent
    listed = [part.measure for part in PARTS.values()]
    for path in folder.rglob("*.py"):
        if not re.search(r"^def measure\(\s*tables: Tables", path.read_text(), re.MULTILINE):
            continue
        place = ".".join(("benchmarks", *path.relative_to(folder).with_suffix("").parts))
        module = importlib.import_module(place.removesuffix(".__init__"))
        asked = inspect.signature(module.measure).parameters.values()
        # One that asks for more, or that a listed part imports, is a part of a part.
        if {p.name for p in asked if p.default is p.empty} == {"tables", "rng"} and not any(
            known is module for part in PARTS.values() for known in vars(part).values()
        ):
            assert module.measure in listed, place


def test_names_of_metrics_and_details_are_used_once() -> None:
    names = [metric.name for part in PARTS for metric in measured(part, "fresh").metrics]
    details = [name for part in PARTS for name in measured(part, "fresh").tables]
    worst = [name for part in PARTS for name in measured(part, "fresh").worst]
    for found in (names, details, worst):
        assert sorted(found) == sorted(set(found))


@every_part
def test_every_metric_says_what_it_is(part: str) -> None:
    found = figures(part)
    assert found or measured(part, "fresh").tables
    broken = {}
    for name, metric in found.items():
        told = (
            name == name.lower() and " " not in name,
            metric.direction in ("lower", "higher"),
            metric.tier in ("A", "B"),
            metric.n is not None and 0 < metric.n <= 2 * N,
            math.isfinite(metric.value),
        )
        if not all(told):
            broken[name] = told
    require("says", part, broken)


@every_part
def test_every_metric_has_an_interval_around_its_value(part: str) -> None:
    broken = {}
    for name, metric in figures(part).items():
        low, high = metric.ci_low, metric.ci_high
        if low is None or high is None or not low <= metric.value <= high:
            broken[name] = (low, metric.value, high)
        elif not high - low < math.inf:
            broken[name] = "an interval without end"
    require("interval", part, broken)


@every_part
def test_every_metric_has_a_floor_and_its_landmark(part: str) -> None:
    broken = {}
    for name, metric in figures(part).items():
        if of_real_rows_alone(metric):
            continue
        if metric.floor is None or not math.isfinite(metric.floor):
            broken[name] = "no floor"
        elif not all(math.isfinite(value) for value in metric.references.values()):
            broken[name] = "a reference that is not defined"
        elif metric.landmark is not None and metric.reference is None:
            broken[name] = "no figure of the landmark"
    require("references", part, broken)


def worse(metric: Metric, than: float) -> float:
    """How much worse the value is than another."""
    return metric.value - than if metric.direction == "lower" else than - metric.value


def width(metric: Metric) -> float:
    if metric.ci_low is None or metric.ci_high is None:
        return 0.0
    return metric.ci_high - metric.ci_low


@every_part
def test_a_fresh_sample_is_at_the_floor(part: str) -> None:
    """No further than the width of its interval, which is four standard errors."""
    broken = {
        name: (metric.floor, metric.value, metric.ci_low, metric.ci_high)
        for name, metric in figures(part).items()
        if metric.floor is not None
        and metric.ci_low is not None
        and not of_real_rows_alone(metric)
        and abs(worse(metric, metric.floor))
        > max(width(metric), LOOSE.get(name, 0.0) * metric.floor) + 1e-9
    }
    require("floor", part, broken)


@every_part
def test_the_fitted_rows_themselves_are_no_worse_than_the_floor(part: str) -> None:
    broken = {
        name: (metric.floor, metric.value)
        for name, metric in figures(part, "same").items()
        if metric.floor is not None
        and not of_real_rows_alone(metric)
        and worse(metric, metric.floor) > width(metric) / 2 + 1e-9
    }
    require("identity", part, broken)


@every_part
def test_symmetric_metrics_do_not_ask_who_is_who(part: str) -> None:
    one, other = figures(part), figures(part, "swapped")
    broken = {}
    for name, metric in one.items():
        mirror = {**MIRRORED, **{b: a for a, b in MIRRORED.items()}}.get(name)
        twin = mirror or (name if any(re.match(p, name) for p in SYMMETRIC) else None)
        if twin and metric.value != pytest.approx(other[twin].value, rel=1e-9, abs=1e-12):
            broken[name] = (metric.value, other[twin].value)
    require("symmetric", part, broken)


def test_what_is_declared_symmetric_exists() -> None:
    names = [name for part in PARTS for name in figures(part)]
    for pattern in (*SYMMETRIC, *MIRRORED, *MIRRORED.values(), *LOOSE):
        assert any(re.match(pattern, name) for name in names), pattern


@every_part
def test_the_order_of_rows_does_not_matter(part: str) -> None:
    assert as_text(measured(part, "fresh")) == as_text(measured(part, "shuffled"))


@every_part
def test_the_same_seed_gives_the_same_figures_whatever_ran_before(part: str) -> None:
    np.random.seed(17)  # noqa: NPY002
    assert as_text(measure(part, "fresh")) == as_text(measured(part, "fresh"))


def test_a_part_does_not_change_the_figures_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured part by part above is what the evaluation says, however many there are."""
    alone = {part: figures(part) for part in PARTS if not asks_for_a_budget(part)}
    for count in (2, len(PARTS)):
        chosen = list(PARTS)[:count]
        monkeypatch.setattr(
            sys.modules["benchmarks.evaluate"],
            "parts",
            lambda chosen=chosen: map(PARTS.get, chosen),
        )
        report = benchmarks.evaluate(law(3), law(1), law(2), schema())
        for part in alone.keys() & set(chosen):
            for name, metric in alone[part].items():
                assert report[name].to_dict() == metric.to_dict()


@every_part
def test_it_gets_worse_the_more_is_wrong(part: str) -> None:
    broken: dict[str, object] = {}
    for name, fresh in figures(part).items():
        kind = ANSWERS_TO.get(name, "noise")
        path = [figures(part, kind, share).get(name) for share in SHARES]
        values = [metric.value if metric else math.nan for metric in path]
        if of_real_rows_alone(fresh):
            if values != [fresh.value] * len(values):
                broken[name] = ("moves with the synthetic table", values)
            continue
        sign = 1.0 if fresh.direction == "lower" else -1.0
        path_down = sign * np.array(values)
        steps = np.diff(path_down)
        way = path_down[-1] - path_down[0]
        # A step back of less than a fifth of the whole way is sampling.
        if name in COARSE:
            if not way > 0:
                broken[name] = values
        elif not way > width(fresh) / 2 or not (steps > -0.2 * way).all():
            broken[name] = values
    require("monotone", part, broken)


@every_part
def test_no_text_carries_a_value_of_a_cell(part: str) -> None:
    section = measured(part, "marked")
    text = as_text(section)
    for sentinel in SENTINELS:
        assert sentinel not in text
    for finding in section.findings:
        assert not any(character.isdigit() for character in finding.message)
    assert not any(sentinel in repr(section) for sentinel in SENTINELS)


def test_tables_are_read_only_here() -> None:
    """So that a part which writes to its input fails above."""
    table: Conformed = tables("fresh").fit
    with pytest.raises(ValueError, match="read-only"):
        table.codes[0, 0] = 1
