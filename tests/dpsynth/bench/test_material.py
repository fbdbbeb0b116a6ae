"""Tables of a sweep: whole units, apart, the same for the same seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from dpsynth.bench.configuration import TableSpec
from dpsynth.bench.material import prepare
from tests.conftest import patients_frame, patients_schema


@pytest.fixture
def spec(tmp_path: Path) -> TableSpec:
    patients_frame(1200).to_csv(tmp_path / "all.csv", index=False)
    patients_schema(id="patient", max_rows=3).write(tmp_path / "schema.toml")
    return TableSpec(
        label="patients",
        kind="csv",
        path=tmp_path / "all.csv",
        schema=tmp_path / "schema.toml",
        holdout=0.3,
    )


def test_a_split_keeps_people_apart_and_has_its_coins(spec: TableSpec, tmp_path: Path) -> None:
    material = prepare(spec, seed=0, folder=tmp_path / "tables")
    fitted, held_out = pd.read_csv(material.fit), pd.read_csv(material.holdout)
    assert len(fitted) + len(held_out) == 1200
    assert not set(fitted["patient"]) & set(held_out["patient"])
    # 400 people, each held out with chance 0.3: five standard deviations are 46.
    assert abs(held_out["patient"].nunique() - 120) < 46
    assert material.coins is not None
    material.coins.check(fitted=len(fitted), held_out=len(held_out))
    assert material.rows == int(float(f"{len(fitted):.2g}"))
    assert 0 < material.least < 120


def test_seeds_split_otherwise_and_repeat_themselves(spec: TableSpec, tmp_path: Path) -> None:
    first = prepare(spec, seed=0, folder=tmp_path / "one")
    again = prepare(spec, seed=0, folder=tmp_path / "two")
    other = prepare(spec, seed=1, folder=tmp_path / "one")
    assert first.digest == again.digest
    assert first.fit.read_bytes() == again.fit.read_bytes()
    assert other.digest != first.digest


def test_a_cut_takes_whole_people(spec: TableSpec, tmp_path: Path) -> None:
    material = prepare(replace(spec, rows=301), seed=0, folder=tmp_path / "tables")
    both = pd.concat([pd.read_csv(material.fit), pd.read_csv(material.holdout)])
    assert len(both) == 300
    assert set(both.groupby("patient").size()) == {3}


def test_test_rows_are_the_ones_that_came_with_the_table(spec: TableSpec, tmp_path: Path) -> None:
    patients_frame(200, seed=1).to_csv(tmp_path / "test.csv", index=False)
    given = replace(spec, path=None, train=spec.path, test=tmp_path / "test.csv", rows=600)
    material = prepare(given, seed=0, folder=tmp_path / "tables")
    assert material.coins is None
    assert len(pd.read_csv(material.fit)) == 600
    assert material.holdout.read_text() == (tmp_path / "test.csv").read_text()


def test_simulated_rows_are_drawn_afresh_for_every_seed(tmp_path: Path) -> None:
    spec = TableSpec(label="health", kind="simulator", name="health", n=300)
    first, other = (prepare(spec, seed=seed, folder=tmp_path) for seed in (0, 1))
    rows = [
        pd.concat([pd.read_csv(m.fit), pd.read_csv(m.holdout)]).astype(str).agg(",".join, axis=1)
        for m in (first, other)
    ]
    assert set(rows[0]) != set(rows[1])
