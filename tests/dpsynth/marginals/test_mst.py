"""The method as a whole: what it finds when there is little noise, and what it refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.errors import UsageError
from dpsynth.marginals.mst import CHOICE, TARGET_PAIRS, TREE_PAIRS, MSTSettings
from dpsynth.noise import NoiseSource
from dpsynth.privacy import DiscreteGaussian, Exponential

MUCH = dp.Budget(epsilon=100.0, delta=1e-5)
LEVELS = ["p", "q", "r"]


def schema_of(columns: int, *, target: bool) -> dp.Schema:
    facts = {
        f"c{k}": {"kind": "categorical", "categories": LEVELS, "source": "book"}
        for k in range(columns)
    }
    if target:
        facts["c0"]["role"] = "target"
    return dp.Schema.from_dict({"table": {"name": "t", "rows": "private"}, "columns": facts})


def chain(columns: int, rows: int, *, back: int) -> pd.DataFrame:
    """Column k is mostly that ``back`` columns before it."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, (rows, columns))
    for k in range(back, columns):
        kept = rng.random(rows) < 0.8
        codes[kept, k] = codes[kept, k - back]
    return pd.DataFrame({f"c{k}": np.array(LEVELS)[codes[:, k]] for k in range(columns)})


def fitted(schema: dp.Schema, frame: pd.DataFrame, budget: dp.Budget = MUCH) -> dp.MST:
    ledger = dp.Ledger.in_memory(dataset="t", budget=budget, unit=schema.unit)
    noise = NoiseSource.seeded(5)
    return dp.MST(schema).fit(frame, budget=budget, ledger=ledger, dataset="t", noise=noise)


def edges_of(model: dp.MST) -> set[frozenset[int]]:
    return {frozenset((c, p)) for c, (p, _) in enumerate(model._tree.parents) if p >= 0}


def test_with_little_noise_the_planted_tree_is_chosen() -> None:
    model = fitted(schema_of(5, target=False), chain(5, 4000, back=2))
    assert {frozenset(edge) for edge in [(0, 2), (2, 4), (1, 3)]} <= edges_of(model)


def test_with_little_noise_pairs_of_the_sample_are_those_of_the_rows() -> None:
    frame = chain(4, 6000, back=1)
    model = fitted(schema_of(4, target=False), frame)
    drawn = model.sample(60_000, seed=1)
    for a in frame:
        for b in frame:
            real = pd.crosstab(frame[a], frame[b], normalize=True).to_numpy()
            found = pd.crosstab(drawn[a], drawn[b], normalize=True).to_numpy()
            assert np.abs(real - found).sum() < 0.03, (a, b)


def test_a_target_is_a_parent_of_all_and_its_pairs_are_kept() -> None:
    # c1 and c2 depend on the target c0 and on nothing else: their tree says nothing.
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 3, (6000, 4))
    for k in (1, 2, 3):
        kept = rng.random(6000) < 0.6
        codes[kept, k] = codes[kept, 0]
    frame = pd.DataFrame({f"c{k}": np.array(LEVELS)[codes[:, k]] for k in range(4)})
    model = fitted(schema_of(4, target=True), frame)
    assert [target for _, target in model._tree.parents] == [-1, 0, 0, 0]
    drawn = model.sample(60_000, seed=1)
    for name in ("c1", "c2", "c3"):
        real = pd.crosstab(frame["c0"], frame[name], normalize=True).to_numpy()
        found = pd.crosstab(drawn["c0"], drawn[name], normalize=True).to_numpy()
        assert np.abs(real - found).sum() < 0.03, name


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("target", [True, False])
def test_tables_of_few_columns_are_fitted(columns: int, target: bool) -> None:
    frame = chain(columns, 500, back=1)
    model = fitted(schema_of(columns, target=target), frame, dp.Budget(epsilon=1.0, delta=1e-5))
    assert model.sample(50).shape == (50, columns)


def test_the_budget_is_split_by_settings_and_the_number_of_columns_alone() -> None:
    schema = schema_of(6, target=True)
    plan = dp.MST(schema).plan(dp.Budget(epsilon=1.0, delta=1e-5))
    spent = {}
    for charge in plan.charges:
        event = charge.mechanism
        if isinstance(event, Exponential):
            spent[charge.step] = event.count * event.epsilon**2 / 4
        else:
            assert isinstance(event, DiscreteGaussian)
            spent[charge.step] = event.count * event.sensitivity**2 / event.sigma**2
    whole = sum(spent.values())
    assert spent["one-way counts"] / whole == pytest.approx(0.2)
    assert spent[CHOICE] / whole == pytest.approx(MSTSettings().choice_share)
    assert spent[TARGET_PAIRS] / spent[TREE_PAIRS] == pytest.approx(5 / 4)
    assert dp.MST(schema).plan(dp.Budget(epsilon=1.0, delta=1e-5), rows=10**6).charges == (
        plan.charges
    )


def test_settings_travel_with_the_plan() -> None:
    schema = schema_of(3, target=False)
    settings = MSTSettings(choice_share=0.3)
    plan = dp.MST(schema, settings=settings).plan(MUCH)
    again = dp.MST._rebuild(schema, plan)
    assert again.settings == settings
    assert dataclasses.asdict(settings) == plan.parameters["settings"]


@pytest.mark.parametrize(
    "wrong",
    [{"codec_share": 0.0}, {"codec_share": 0.6, "choice_share": 0.4}, {"penalty": -1.0}],
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        MSTSettings(**wrong)


def test_nothing_of_the_rows_is_left_in_the_model() -> None:
    model = fitted(schema_of(3, target=False), chain(3, 777, back=1))
    kept = [thing for thing in vars(model).values() if isinstance(thing, np.ndarray)]
    assert kept == []
    assert all(777 not in array.shape for array in model._arrays().values())
