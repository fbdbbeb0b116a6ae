"""Ablations: one default changed at a time, measured on rows that were held back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

import dpsynth as dp
from benchmarks import ablation
from benchmarks.frontier.sweep import FIGURES, Outcome
from benchmarks.frontier.tables import PublicTable
from benchmarks.frontier.variants import DEFAULTS, VARIANTS, changed
from tests.conftest import patients_frame, patients_schema

BUDGET = dp.Budget(epsilon=1.0, delta=1e-5)


@pytest.fixture
def table(tmp_path: Path) -> PublicTable:
    place = tmp_path / "patients"
    place.mkdir()
    for name, seed in (("train", 0), ("test", 1)):
        rows = patients_frame(400, seed=seed).drop(columns="patient")
        rows.to_csv(place / f"{name}.csv", index=False)
    patients_schema().write(place / "schema.toml")
    return PublicTable.read(place)


def test_the_split_parts_the_training_rows_and_leaves_the_test_rows(
    table: PublicTable, tmp_path: Path
) -> None:
    table.test.unlink()
    parts = ablation.development(table, tmp_path)
    joined = pd.concat([pd.read_csv(parts.train), pd.read_csv(parts.test)])
    whole = pd.read_csv(table.train)
    columns = list(whole.columns)
    assert joined.sort_values(columns).to_csv(index=False) == whole.sort_values(columns).to_csv(
        index=False
    )
    assert parts.rows == 300
    (tmp_path / "again").mkdir()
    again = ablation.development(table, tmp_path / "again")
    assert again.test.read_bytes() == parts.test.read_bytes()


@pytest.mark.parametrize("method", sorted(VARIANTS))
def test_a_variant_changes_what_it_names_and_nothing_else(method: str) -> None:
    schema = patients_schema()

    def facts(variant: str) -> dict[str, object]:
        model = changed(method, variant, schema, budget=BUDGET, rows=24_000)
        parameters = model.plan(budget=BUDGET, rows=24_000).parameters
        return {**parameters["codec"], **parameters["settings"]}

    before = facts(DEFAULTS)
    for variant, change in VARIANTS[method].items():
        after = facts(variant)
        assert {name for name in after if after[name] != before[name]} == set(change), variant


def test_runs_of_a_repetition_stand_beside_the_defaults(table: PublicTable) -> None:
    runs = ablation.planned([table], methods=["dp-vae"], epsilons=[1.0], delta=1e-5, repetitions=2)
    assert len(set(runs)) == len(runs) == 2 * (1 + len(VARIANTS["dp-vae"]))
    assert runs[0].variant == DEFAULTS
    assert asdict(runs[0])["variant"] == DEFAULTS
    found = [
        Outcome(run=run, figures=dict.fromkeys(FIGURES, 0.1 * n), references={}, seconds=1.0)
        for n, run in enumerate(runs)
    ]
    lines = ablation.markdown(found).splitlines()
    assert lines[2].startswith("| dp-vae | patients | 1 | defaults | 2 | 0.3000 (0.0000–0.6000)")
    assert len(lines) == 2 + 1 + len(VARIANTS["dp-vae"])
