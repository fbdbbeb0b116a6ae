"""Tables that other suites call good, evaluators that flatter, and what ours says of the same data.

Each trap first shows, with the few lines of the mistaken evaluator, that the data of the test would
fool it. What ours says of the same data is the test.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp, wasserstein_distance
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import resample

from benchmarks import (
    copula,
    dependence,
    detection,
    evaluate,
    marginals,
    numbers,
    prediction,
    propensity,
    queries,
)
from benchmarks.discretise import Tables, conform_tables
from benchmarks.report import Metric, UtilityReport
from dpsynth.errors import DataError
from dpsynth.evidence import Verdict
from dpsynth.schema import Schema
from tests.benchmarks.conftest import corrupted, pair_frame, pair_schema, pair_tables, schema_of

WIDE = {"kind": "real", "bounds": [-9, 9]}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "_ITERATIONS", 30)
    monkeypatch.setattr(prediction, "DRAWS", 200)
    monkeypatch.setattr(propensity, "PERMUTATIONS", 20)


def figures(part: object, tables: Tables) -> dict[str, Metric]:
    section = part.measure(tables, rng=np.random.default_rng(0))
    return {metric.name: metric for metric in section.metrics}


def codes(report: UtilityReport) -> set[str]:
    return {finding.code for finding in report.findings}


def frames(law: Callable[[int, int], pd.DataFrame], n: int = 700) -> list[pd.DataFrame]:
    """Synthetic, fitted and held-out rows of one law."""
    return [law(n, seed) for seed in (3, 1, 2)]


def auc(x: np.ndarray, y: np.ndarray, model: object) -> float:
    chance = cross_val_predict(model, x, y, cv=5, method="predict_proba")[:, 1]
    return float(roc_auc_score(y, chance))


# -- comparisons -----------------------------------------------------------------------------------


def test_bins_of_each_table_by_itself_hide_a_table_times_a_thousand() -> None:
    ours, real, held = (pair_frame(1200, seed) for seed in (3, 1, 2))
    scaled = ours.assign(x=ours["x"] * 1000 + 1e6)

    def own_bins(frame: pd.DataFrame) -> np.ndarray:
        bins = pd.cut(frame["x"], np.histogram_bin_edges(frame["x"], 10), include_lowest=True)
        return pd.crosstab(frame["g"], bins.cat.codes, normalize=True).to_numpy()

    assert np.abs(own_bins(scaled) - own_bins(ours)).sum() / 2 == pytest.approx(0.0, abs=1e-9)
    report = evaluate(scaled, real, held, pair_schema())
    assert {"DPS311", "DPS314"} <= codes(report)
    assert report.verdict is Verdict.REVIEW
    assert ("g", "x") in [row.columns for row in report.worst["tvd2"]]
    assert report["tvd2.max"].value > 0.9
    assert report["c2st.boosting.auc"].ci_low > 0.95


def test_a_threshold_on_the_real_correlation_hides_an_invented_one() -> None:
    def law(n: int, seed: int, *, tied: bool = False) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=n)
        return pd.DataFrame({"x": x, "y": x if tied else rng.normal(size=n)})

    real, held, ours = law(1200, 1), law(1200, 2), law(1200, 3, tied=True)
    strong = [abs(real.corr().loc["x", "y"]) > 0.5]
    assert not any(strong)  # the only pair is left out: nothing remains to be wrong
    report = evaluate(ours, real, held, schema_of({"x": WIDE, "y": WIDE}))
    assert "DPS312" in codes(report)
    assert report.verdict is Verdict.REVIEW
    assert report["dependence.spurious"].value > 0.9
    assert report["hellinger.copula"].value > 0.6


def test_one_way_figures_alone_call_independent_columns_perfect() -> None:
    ours, real, held = (pair_frame(1200, seed) for seed in (3, 1, 2))
    report = evaluate(corrupted(ours, 1.0), real, held, pair_schema())
    for name in ("tvd1.mean", "tvd1.max"):
        assert report[name].value <= 1.5 * report[name].floor
    assert "DPS313" in codes(report)
    assert report.verdict is Verdict.REVIEW
    for name in ("tvd2.mean", "dependence.lost", "c2st.boosting.auc", "hellinger.copula"):
        assert report[name].skill == pytest.approx(0.0, abs=0.25), name
    assert report["pmse.tree.ratio"].ci_low > 2.0


def test_averages_do_not_hide_one_column_of_many() -> None:
    names = [f"x{i}" for i in range(20)]

    def law(n: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        return pd.DataFrame(rng.normal(size=(n, 20)), columns=names)

    ours, real, held = frames(law, 800)
    tables = conform_tables(
        ours.assign(x7=ours["x7"] + 2.0), real, held, schema_of(dict.fromkeys(names, WIDE))
    )
    section = marginals.measure(tables, rng=np.random.default_rng(0))
    found = {metric.name: metric for metric in section.metrics}
    assert found["tvd1.mean"].value < 0.15
    assert found["tvd1.max"].value > 0.5
    assert section.worst["tvd1"][0].columns == ("x7",)
    (finding,) = section.findings
    assert finding.message.endswith(": x7.")


def test_two_samples_of_one_law_differ_and_the_floor_says_so() -> None:
    found = figures(marginals, pair_tables(pair_frame(1500, 3)))["tvd3.mean"]
    assert found.value > 0.15
    assert found.value == pytest.approx(found.floor, rel=0.15)


def test_figures_do_not_drift_with_the_number_of_rows() -> None:
    """A p-value calls every large table bad; a figure tells how bad, whatever the rows."""
    found = {}
    p_values = []
    for n in (700, 5600):
        ours, real, held = (pair_frame(n, seed) for seed in (3, 1, 2))
        ours = corrupted(ours, 0.4).assign(y=lambda frame: frame["y"] + 0.15)
        p_values.append(ks_2samp(ours["y"], real["y"]).pvalue)
        tables = conform_tables(ours, real, held, pair_schema())
        parts = (marginals, dependence, queries, numbers, propensity, copula)
        found[n] = {k: v for part in parts for k, v in figures(part, tables).items()}
    assert p_values[0] > 1e-4 > 1e-9 > p_values[1]
    drifting = set()
    for name, small in found[700].items():
        # What sampling adds to the figure of few rows is no more than its floor.
        if not abs(small.value - found[5600][name].value) <= small.floor + 0.02:
            drifting.add(name)
    # What is a test statistic by nature says so, and is computed from a fixed number of rows.
    assert drifting <= {"pmse.tree.ratio", "pmse.linear.ratio"}


def test_columns_are_picked_once() -> None:
    rng = np.random.default_rng(0)
    naive = rng.choice(6, size=(200, 2))
    assert (naive[:, 0] == naive[:, 1]).any()
    columns = {f"x{i}": WIDE for i in range(40)}
    frame = pd.DataFrame(np.zeros((4, 40)), columns=list(columns))
    tables = conform_tables(frame, frame, frame, schema_of(columns))
    chosen = marginals.subsets(40, 2, 500, rng) + marginals.subsets(40, 3, 300, rng)
    chosen += [query.places for query in queries.draw_queries(tables, 1000, rng)]
    assert all(len(set(places)) == len(places) for places in chosen)
    assert len(set(chosen[:500])) == 500


def test_a_shorter_table_is_not_filled_up() -> None:
    ours, real, held = pair_frame(200, 3), pair_frame(1500, 1), pair_frame(1500, 2)
    padded = np.concatenate([ours["x"], np.zeros(1300)])
    assert wasserstein_distance(real["x"], padded) > 5.0
    assert wasserstein_distance(real["x"], ours["x"]) < 1.0
    schema = schema_of({**pair_schema_columns(), "x": {"kind": "real", "bounds": [-10, 40]}})
    report = evaluate(ours, real, held, schema)
    assert report["wasserstein.max"].value < 0.03
    assert report["manifold.coverage"].value > report["manifold.coverage"].floor - 0.05
    assert not codes(report) & {"DPS311", "DPS312", "DPS313", "DPS314"}


def pair_schema_columns() -> dict[str, dict[str, object]]:
    columns = pair_schema().to_dict()["columns"]
    return {name: dict(column) for name, column in columns.items()}


# -- classifiers -----------------------------------------------------------------------------------


def test_a_linear_classifier_is_blind_where_moments_match() -> None:
    def law(n: int, seed: int, *, real: bool = True) -> pd.DataFrame:
        """Uncorrelated with equal means and variances on both sides; a ring, and a cloud."""
        rng = np.random.default_rng(seed)
        angle = rng.uniform(0, 2 * np.pi, n)
        ring = np.column_stack([np.cos(angle), np.sin(angle)]) * np.sqrt(2)
        return pd.DataFrame(ring if real else rng.normal(size=(n, 2)), columns=["x", "y"])

    ours, real, held = law(700, 3, real=False), law(700, 1), law(700, 2)
    x, y = np.concatenate([ours, held]), np.repeat([1, 0], 700)
    assert auc(x, y, LogisticRegression()) < 0.55
    tables = conform_tables(ours, real, held, schema_of({"x": WIDE, "y": WIDE}))
    found = figures(detection, tables)
    assert found["c2st.linear.auc"].value < 0.56
    assert found["c2st.boosting.auc"].ci_low > 0.8
    assert figures(propensity, tables)["pmse.tree.ratio"].ci_low > 5.0


def test_formats_do_not_raise_the_area() -> None:
    def law(n: int, seed: int) -> pd.DataFrame:
        return pd.DataFrame({"n": np.random.default_rng(seed).gamma(2.0, 9.0, n)})

    ours, real, held = frames(law, 900)
    real, held = real.round().astype(int), held.round().astype(int)
    x, y = np.concatenate([ours, held]), np.repeat([1, 0], 900)
    assert auc(x, y, HistGradientBoostingClassifier(max_iter=60, random_state=0)) > 0.9
    schema = schema_of({"n": {"kind": "integer", "bounds": [0, 500]}})
    tables = conform_tables(ours, real, held, schema)
    assert figures(detection, tables)["c2st.boosting.auc"].value < 0.56
    assert figures(propensity, tables)["pmse.tree.ratio"].value < 2.5
    whole = conform_tables(ours.round(), real.astype(float), held.astype(str), schema)
    assert figures(detection, whole)["c2st.boosting.auc"].value < 0.56


# -- prediction ------------------------------------------------------------------------------------


def noise_labels(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    return table.assign(t=rng.choice(["no", "yes"], n))


def label_schema() -> Schema:
    target = {"kind": "categorical", "categories": ["no", "yes"], "role": "target"}
    return schema_of({**dict.fromkeys("abcd", WIDE), "t": target})


def test_rows_drawn_twice_teach_the_answers() -> None:
    """Resampling with replacement before folds are cut puts a row on both sides."""
    ours, real, held = frames(noise_labels, 900)
    twice = resample(real, random_state=0)
    tree = DecisionTreeClassifier(random_state=0)
    x, y = twice[list("abcd")].to_numpy(), (twice["t"] == "yes").to_numpy()
    assert auc(x, y, tree) > 0.7
    tables = conform_tables(ours, real, held, label_schema())
    found = figures(prediction, tables)
    for name, metric in found.items():
        if name.startswith(("tstr", "trtr")) and name.endswith("auroc"):
            assert metric.value == pytest.approx(0.5, abs=0.06), name
    told = figures(detection, tables)["c2st.boosting.auc"]
    assert told.value == pytest.approx(0.5, abs=0.05)


def test_labels_of_noise_have_no_skill_to_retain() -> None:
    """A table whose labels are noise is as useless as a constant, and that is said."""

    def law(n: int, seed: int) -> pd.DataFrame:
        table = noise_labels(n, seed)
        return table.assign(t=np.where(table["a"] + 0.3 * table["b"] > 0, "yes", "no"))

    ours, real, held = frames(law, 1100)
    report = evaluate(ours.assign(t=noise_labels(1100, 9)["t"]), real, held, label_schema())
    assert "DPS315" in codes(report)
    assert report.verdict is Verdict.REVIEW
    assert report["tstr.boosting.auroc"].skill == pytest.approx(0.0, abs=0.25)
    assert report["trtr.boosting.auroc"].value > 0.95


def test_real_rows_are_not_given_more_to_learn_from() -> None:
    ours, real, held = noise_labels(150, 3), noise_labels(900, 1), noise_labels(300, 2)
    found = figures(prediction, conform_tables(ours, real, held, label_schema()))
    assert {found[f"{side}.linear.auroc"].n for side in ("tstr", "trtr")} == {150}


def test_a_class_that_is_missing_is_missed() -> None:
    target = {"kind": "categorical", "categories": ["a", "b", "c"], "role": "target"}
    schema = schema_of({"x": WIDE, "t": target})

    def law(n: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        t = rng.choice(3, n, p=[0.5, 0.4, 0.1])
        return pd.DataFrame({"x": rng.normal(t, 0.4), "t": np.array(list("abc"))[t]})

    ours, real, held = frames(law, 600)
    lost = ours[ours["t"] != "c"]
    section = prediction.measure(
        conform_tables(lost, real, held, schema), rng=np.random.default_rng(0)
    )
    assert "DPS318" in {finding.code for finding in section.findings}
    # Dropping the class from the test as well would show no loss at all.
    gap = next(m for m in section.metrics if m.name == "gap.boosting.average_precision")
    assert gap.value > 0.1


# -- leaks -----------------------------------------------------------------------------------------


def people(n: int, seed: int) -> pd.DataFrame:
    return pair_frame(n, seed).assign(who=[f"{seed}-{i}" for i in range(n)])


def test_a_person_on_both_sides_is_refused() -> None:
    schema = schema_of(
        {"who": {"kind": "key"}, **pair_schema_columns()}, unit={"id": "who", "max_rows": 1}
    )
    real, held = people(400, 1), people(400, 2)
    leaked = pd.concat([held, real[:1]], ignore_index=True)
    with pytest.raises(DataError, match="split the table by unit") as refusal:
        evaluate(pair_frame(400, 3), real, leaked, schema)
    assert refusal.value.code == "DPS345"


def test_held_out_rows_among_the_fitted_ones_are_noticed_without_names() -> None:
    real, held = pair_frame(1200, 1), pair_frame(1200, 2)
    leaked = pd.concat([real, held[:600]], ignore_index=True)
    report = evaluate(pair_frame(1200, 3), leaked, held, pair_schema())
    assert "DPS346" in codes(report)
    assert report.verdict is Verdict.REVIEW


# -- what is not a measure of utility --------------------------------------------------------------


def test_what_flatters_or_mixes_is_not_reported() -> None:
    ours, real, held = frames(noise_labels, 300)
    report = evaluate(ours, real, held, label_schema())
    banned = ("accuracy", "overall", "quality", "p_value", "chi2", "dcr", "nndr", "exact_match")
    names = [metric.name for metric in report.metrics if "balanced" not in metric.name]
    assert not [name for name in names if any(word in name for word in banned)]


# -- an oracle where it is right -------------------------------------------------------------------


def one_column(kind: str) -> tuple[Schema, list[pd.Series]]:
    rngs = [np.random.default_rng(seed) for seed in (3, 1, 2)]
    if kind == "levels":
        schema = schema_of({"v": {"kind": "categorical", "categories": list("abcde")}})
        shares = ([0.1, 0.2, 0.3, 0.2, 0.2], [0.3, 0.2, 0.2, 0.2, 0.1], [0.3, 0.2, 0.2, 0.2, 0.1])
        drawn = [
            pd.Series(rng.choice(list("abcde"), 400, p=p))
            for rng, p in zip(rngs, shares, strict=True)
        ]
        return schema, drawn
    shifts = (0.4, 0.0, 0.0)
    drawn = [pd.Series(rng.normal(m, 1, 400)) for rng, m in zip(rngs, shifts, strict=True)]
    return schema_of({"v": WIDE}), drawn


def of_one_column(kind: str, part: object, name: str) -> tuple[float, pd.Series, pd.Series]:
    schema, (ours, real, held) = one_column(kind)
    tables = conform_tables(*(pd.DataFrame({"v": v}) for v in (ours, real, held)), schema)
    return figures(part, tables)[name].value, real, ours


def test_the_distance_of_levels_is_the_complement_of_the_formula() -> None:
    value, real, ours = of_one_column("levels", marginals, "tvd1.mean")
    p, q = (v.value_counts(normalize=True).sort_index() for v in (real, ours))
    complement = 1.0 - 0.5 * float((p - q).abs().sum())
    assert value == pytest.approx(1.0 - complement)


def test_the_distance_of_numbers_is_the_complement_of_the_formula() -> None:
    value, real, ours = of_one_column("numbers", numbers, "ks.mean")
    at = np.sort(np.concatenate([real, ours]))
    below = [np.searchsorted(np.sort(v), at, side="right") / len(v) for v in (real, ours)]
    complement = 1.0 - float(np.abs(below[0] - below[1]).max())
    assert value == pytest.approx(1.0 - complement)


def test_sdmetrics_agrees_where_it_is_right() -> None:
    single = pytest.importorskip("sdmetrics.single_column", reason="an optional oracle")
    value, real, ours = of_one_column("levels", marginals, "tvd1.mean")
    assert value == pytest.approx(1.0 - single.TVComplement.compute(real, ours))
    value, real, ours = of_one_column("numbers", numbers, "ks.mean")
    assert value == pytest.approx(1.0 - single.KSComplement.compute(real, ours))
