"""Fixtures that every package's tests share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp

BUDGET = dp.Budget(epsilon=3.0, delta=1e-5)


def patients_schema(**unit: object) -> dp.Schema:
    """Every kind of column, public facts only."""
    table = {"name": "patients", "rows": "private"}
    if unit:
        table["unit"] = unit
    columns = {
        "sex": {"kind": "categorical", "categories": ["F", "M"], "other": "M", "source": "book"},
        "ward": {"kind": "categorical", "categories": ["a", "b", "c"], "source": "book"},
        "grade": {"kind": "ordinal", "categories": ["low", "mid", "high"], "source": "book"},
        "age": {"kind": "integer", "bounds": [0, 120], "source": "preset:human_age"},
        "stay": {
            "kind": "real",
            "bounds": [0, 90],
            "decimals": 1,
            "missing": True,
            "source": "policy",
        },
        "admitted": {
            "kind": "datetime",
            "bounds": ["2020-01-01", "2025-12-31"],
            "unit": "day",
            "source": "period",
        },
        "died": {"kind": "boolean", "role": "target", "source": "book"},
    }
    if unit:
        columns = {str(unit["id"]): {"kind": "key"}, **columns}
    return dp.Schema.from_dict({"table": table, "columns": columns})


def patients_frame(n: int = 600, *, seed: int = 0) -> pd.DataFrame:
    """A table that fits the schema; ``patient`` has up to three rows each, others by seed."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 95, n)
    stay = np.round(np.minimum(rng.exponential(6, n), 90), 1)
    stay[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "patient": 1_000_000 * seed + np.arange(n) // 3,
            "sex": rng.choice(["F", "M"], n),
            "ward": rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1]),
            "grade": rng.choice(["low", "mid", "high"], n),
            "age": age,
            "stay": stay,
            "admitted": pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D"),
            "died": rng.random(n) < (age / 200),
        }
    )


@pytest.fixture(autouse=True)
def nobody_has_seen(monkeypatch, tmp_path_factory):
    """Heads of ledgers are noted in a folder of the test's own; call it to forget them."""

    def forget() -> None:
        monkeypatch.setenv("DPSYNTH_STATE", str(tmp_path_factory.mktemp("state")))

    forget()
    return forget


@pytest.fixture
def schema() -> dp.Schema:
    return patients_schema()


@pytest.fixture
def unit_schema() -> dp.Schema:
    return patients_schema(id="patient", max_rows=3)


@pytest.fixture
def frame() -> pd.DataFrame:
    return patients_frame()


def open_ledger(schema: dp.Schema, budget: dp.Budget = BUDGET) -> dp.Ledger:
    """A book in memory that admits one fit of ``budget``."""
    return dp.Ledger.in_memory(dataset="patients", budget=budget, unit=schema.unit)
