"""Tables that copy fitted rows are caught (M17); a fresh sample is not.

Seeds are fixed. ``python -m tests.privacy_audits.attacks.study`` repeats this over many.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from privacy_audits.attacks import TableAudit, audit_table
from privacy_audits.estimate import holm
from tests.broken import copying
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema
from tests.privacy_audits.attacks.tables import adult, mixture

CLAIM = dp.Budget(epsilon=1.0, delta=1e-5)


def audit_of(make, twin, seed: int, n: int = 2000) -> TableAudit:
    tables = make(seed, n)
    released = twin(tables, np.random.default_rng(seed + 100))
    return audit_table(
        released,
        tables.fitted,
        tables.held_out,
        tables.schema,
        claim=CLAIM,
        rng=np.random.default_rng(seed),
    )


@pytest.mark.parametrize(
    ("make", "twin", "caught_by"),
    [
        (mixture, copying.smoothed_bootstrap, "dcr"),
        (mixture, copying.five_percent_near_copies, "near-copies"),
        (mixture, copying.memorising_chain, "rare-combinations"),
        (adult, copying.memorising_chain, "exact-copies"),
    ],
)
def test_copies_break_a_hard_rule(make, twin, caught_by):
    assert caught_by in audit_of(make, twin, seed=0).hard_violations


@pytest.mark.parametrize(
    ("make", "twin", "rule"),
    [
        (mixture, copying.one_percent_outlier_copies, "exact-copies"),
        (adult, copying.one_percent_outlier_copies, "exact-copies"),
        (adult, copying.five_percent_near_copies, "near-copies"),
    ],
)
def test_copies_are_certain_before_there_are_enough_to_refute_the_claim(make, twin, rule):
    assert rule in audit_of(make, twin, seed=0).certain_copies
    assert rule in audit_of(make, twin, seed=0, n=4000).hard_violations


@pytest.mark.parametrize("epsilon", [1.0, 2.0, 8.0])
def test_a_noisy_histogram_of_few_cells_keeps_its_claim(epsilon):
    """It shows many cells that one fitted row alone is in, as its claim allows."""
    rng = np.random.default_rng(0)
    names, levels = ["a", "b", "c"], 25
    column = {"kind": "categorical", "categories": [str(k) for k in range(levels)], "source": "x"}
    schema = dp.Schema.from_dict(
        {"table": {"name": "cells", "rows": "private"}, "columns": dict.fromkeys(names, column)}
    )
    rows = rng.integers(0, levels, (6000, 3))
    cells = np.zeros((levels,) * 3, dtype=np.int64)
    np.add.at(cells, tuple(rows[:2000].T), 1)
    noise = [rng.geometric(-np.expm1(-epsilon), cells.shape) for _ in range(2)]
    released = np.argwhere(cells + noise[0] - noise[1] > 0)
    frame = pd.DataFrame(rows.astype(str), columns=names)
    audit = audit_table(
        pd.DataFrame(released.astype(str), columns=names),
        frame.iloc[:2000],
        frame.iloc[2000:],
        schema,
        claim=dp.Budget(epsilon=epsilon, delta=1e-9),
        rng=np.random.default_rng(0),
    )
    assert "exact-copies" in audit.certain_copies
    assert audit.hard_violations == ()
    assert holm(list(audit.p_values.values())).min() > 1e-3


def test_a_bootstrap_of_adult_is_above_what_a_person_would_let_pass():
    """Its area stays below the cap of ε = 1, which is .731: risk, but no refuted claim."""
    audit = audit_of(adult, copying.smoothed_bootstrap, seed=0)
    distance = audit.membership[0]
    assert distance.auc.upper(0.05 / 20) > 0.6
    assert distance.one_run.lower > 0
    assert audit.p_no_influence["dcr"] < 1e-50


def test_a_release_of_one_way_counts_is_not_flagged():
    """ε = 3 on 900 rows: each count shows its rows, no row is copied."""
    schema, frame = patients_schema(), patients_frame(2700).drop(columns="patient")
    synthesizer = dp.Independent(schema).fit(
        frame.iloc[:900], budget=BUDGET, ledger=open_ledger(schema), dataset="patients"
    )
    audit = audit_table(
        synthesizer.sample(900),
        frame.iloc[:900],
        frame.iloc[900:],
        schema,
        claim=BUDGET,
        rng=np.random.default_rng(0),
    )
    assert audit.hard_violations == ()
    assert holm(list(audit.p_values.values())).min() > 1e-3


@pytest.mark.parametrize("make", [mixture, adult])
def test_a_fresh_sample_is_not_flagged(make):
    audit = audit_of(make, copying.fresh_sample, seed=0)
    assert audit.hard_violations == ()
    assert holm(list(audit.p_no_influence.values())).min() > 1e-3
    assert holm(list(audit.p_values.values())).min() > 1e-3
