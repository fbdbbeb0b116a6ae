from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from benchmarks import inference
from benchmarks.discretise import conform_tables
from benchmarks.report import Section
from benchmarks.simulators import Health, Visits
from dpsynth.errors import SchemaError
from dpsynth.evidence import Severity
from tests.benchmarks.conftest import shuffled

HEALTH = Health()


def rows(n: int, seed: int) -> pd.DataFrame:
    return HEALTH.draw(n, np.random.default_rng(seed))


def measured(
    synthetic: pd.DataFrame,
    *,
    real: pd.DataFrame | None = None,
    schema: dp.Schema | None = None,
    holdout: pd.DataFrame | None = None,
) -> Section:
    tables = conform_tables(
        synthetic,
        rows(2_000, 1) if real is None else real,
        rows(1_500, 2) if holdout is None else holdout,
        HEALTH.schema if schema is None else schema,
    )
    return inference.measure(tables, rng=np.random.default_rng(0))


def values(section: Section) -> dict[str, float]:
    return {m.name.removeprefix("inference."): m.value for m in section.metrics}


def codes(section: Section) -> list[str]:
    return [finding.code for finding in section.findings]


def test_the_fit_rows_themselves_agree_wholly() -> None:
    section = measured(rows(2_000, 1))
    assert values(section) == pytest.approx(
        {"overlap": 1.0, "sign": 1.0, "significance": 1.0, "distance": 0.0, "recovered": 1.0}
    )
    assert codes(section) == ["DPS330"]
    for metric in section.metrics:
        assert metric.ci_low is not None
        assert metric.ci_high is not None
        assert metric.ci_low <= metric.value <= metric.ci_high
        assert metric.floor is not None
        assert metric.n == 2_000
        if metric.name != "inference.recovered":
            assert metric.skill == 1.0


def test_fresh_rows_are_about_as_good_as_the_floor() -> None:
    # 20 tables: the mean of each figure lies near the floor that one of them states.
    sections = [measured(rows(1_000, seed)) for seed in range(10, 30)]
    for metric in sections[0].metrics:
        place = metric.name.removeprefix("inference.")
        mean = np.mean([values(section)[place] for section in sections])
        assert mean == pytest.approx(metric.floor, abs=0.12 if place == "distance" else 0.08)
        if place != "recovered":
            # A holdout of another size is brought to the size of the synthetic table.
            held = metric.references["holdout"]
            assert held == pytest.approx(metric.floor, abs=0.5 if place == "distance" else 0.2)


def test_figures_worsen_as_rows_are_shuffled() -> None:
    rng = np.random.default_rng(4)
    table = rows(2_000, 3)
    found = []
    for share in (0.0, 0.3, 0.6, 1.0):
        broken = table.copy()
        moved = np.flatnonzero(rng.random(len(table)) < share)
        for column in ("died", "los_days"):
            broken.loc[moved, column] = rng.permutation(table[column].to_numpy()[moved])
        found.append(values(measured(broken)))
    overlaps, distances = ([part[name] for part in found] for name in ("overlap", "distance"))
    assert overlaps == sorted(overlaps, reverse=True)
    assert distances == sorted(distances)
    assert overlaps[-1] < 0.3 < 0.6 < overlaps[0]


def test_independent_columns_have_no_skill() -> None:
    rng = np.random.default_rng(5)
    table = rows(2_000, 1)
    apart = pd.DataFrame({name: rng.permutation(table[name].to_numpy()) for name in table})
    section = measured(apart)
    for metric in section.metrics[:1] + section.metrics[3:4]:
        assert metric.landmark == "independent"
        assert metric.skill == pytest.approx(0.0, abs=0.15)


def test_the_order_of_rows_does_not_matter() -> None:
    one = measured(rows(900, 6))
    other = measured(
        shuffled(rows(900, 6)), real=shuffled(rows(2_000, 1)), holdout=shuffled(rows(1_500, 2))
    )
    for left, right in zip(one.metrics, other.metrics, strict=True):
        assert (left.value, left.ci_low, left.floor) == (right.value, right.ci_low, right.floor)
    assert one.tables == other.tables


def test_what_the_synthetic_rows_do_not_determine_is_lost_and_named() -> None:
    table = rows(2_000, 7)
    gone = table[table["severity"] != "high"]
    section = measured(gone)
    lost = [r for r in section.tables["inference"] if r["recovered"] == "no"]
    assert [r["coefficient"] for r in lost] == ["severity[high]"] * 2
    assert all(r["synthetic"] is None and r["overlap"] == 0.0 for r in lost)
    warned = [f for f in section.findings if f.code == "DPS332"]
    assert len(warned) == 2
    assert all("severity[high]" in f.message and f.severity is Severity.WARNING for f in warned)
    assert values(section)["recovered"] == pytest.approx(11 / 13)


def test_nobody_dies_in_the_synthetic_table() -> None:
    section = measured(rows(2_000, 7).assign(died=False))
    assert values(section)["recovered"] == pytest.approx(6 / 13)
    assert "DPS332" in codes(section)
    assert np.isfinite(values(section)["distance"])


def test_a_table_that_recovers_nothing_has_no_distance() -> None:
    section = measured(rows(2_000, 7).assign(died=False, los_days=3.0))
    assert values(section)["recovered"] == 0.0
    assert values(section)["overlap"] == 0.0
    assert np.isnan(values(section)["distance"])


def test_turned_effects_are_named() -> None:
    table = rows(2_000, 8)
    section = measured(table.assign(los_days=40.0 - table["los_days"]))
    turned = [f for f in section.findings if f.code == "DPS334"]
    assert len(turned) == 1
    assert "age" in turned[0].message
    assert "los_days ~" in turned[0].message


def test_fit_rows_that_determine_nothing_are_no_yardstick() -> None:
    real = rows(2_000, 1)
    twice = replace(HEALTH.schema, formulas=("los_days ~ age + emergency + smoker",))
    section = measured(rows(500, 3), real=real.assign(smoker=real["emergency"]), schema=twice)
    assert codes(section) == ["DPS330", "DPS333"]
    assert [r["coefficient"] for r in section.tables["inference"]] == ["age"]


def test_other_outcomes_are_not_measured_and_say_so() -> None:
    formulas = ("ward ~ age", "los_days ~ age")
    section = measured(rows(900, 3), schema=replace(HEALTH.schema, formulas=formulas))
    assert codes(section).count("DPS331") == 1
    assert {r["formula"] for r in section.tables["inference"]} == {"los_days ~ age"}
    nothing = measured(rows(900, 3), schema=replace(HEALTH.schema, formulas=("ward ~ age",)))
    assert nothing.metrics == ()
    assert codes(nothing) == ["DPS331"]


def test_no_formula_is_no_section_and_a_wrong_one_is_refused() -> None:
    assert measured(rows(50, 3), schema=replace(HEALTH.schema, formulas=())) == Section()
    with pytest.raises(SchemaError):
        measured(rows(50, 3), schema=replace(HEALTH.schema, formulas=("los_days ~ age * sex",)))


def test_units_widen_the_intervals_of_real_rows() -> None:
    visits = Visits(shared=0.9)
    table = visits.draw(2_000, np.random.default_rng(0))
    others = visits.draw(2_000, np.random.default_rng(1))
    others["patient_id"] += 10_000
    with_units = conform_tables(table, table, others, visits.schema)
    section = inference.measure(with_units, rng=np.random.default_rng(0))
    row = next(r for r in section.tables["inference"] if r["coefficient"] == "treated[true]")
    widths = [row[f"{name}_high"] - row[f"{name}_low"] for name in ("fit", "synthetic")]
    assert widths[0] > 1.2 * widths[1]


def test_findings_carry_no_number_of_the_rows() -> None:
    section = measured(rows(2_000, 7).assign(died=False))
    for finding in section.findings:
        assert "2000" not in finding.message
        assert "2,000" not in finding.message
