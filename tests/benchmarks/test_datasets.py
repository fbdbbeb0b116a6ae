"""Public tables: they fit the schemas that are shipped for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import datasets
from benchmarks.datasets import PublicTable
from benchmarks.simulators import SIMULATORS
from dpsynth.errors import UsageError
from dpsynth.table import preflight, unit_codes, violations
from tests.conftest import patients_frame, patients_schema


def built_in() -> list[tuple[str, str]]:
    names = [("sklearn", name) for name in datasets.SKLEARN]
    names += [("statsmodels", name) for name in datasets.STATSMODELS]
    return [*names, *(("simulator", name) for name in SIMULATORS)]


@pytest.mark.parametrize(("kind", "name"), built_in())
def test_a_built_in_table_fits_its_schema(kind: str, name: str) -> None:
    if kind == "simulator":
        table = datasets.simulated_table(name, n=500, seed=0)
    else:
        table = getattr(datasets, f"{kind}_table")(name)
    schema = table.schema
    assert list(table.rows.columns) == [column.name for column in schema.columns]
    preflight(table.rows, schema)
    # Decimals say how released numbers are rounded; the tables themselves may have more.
    unrounded = tuple(replace(column, decimals=None) for column in schema.columns)
    assert violations(table.rows, replace(schema, columns=unrounded)) == []
    assert not schema.research
    assert schema.target is not None
    assert table.test is None


def test_people_of_the_health_insurance_experiment_have_several_rows() -> None:
    table = datasets.statsmodels_table("randhie")
    sizes = np.bincount(unit_codes(table.rows, table.schema))
    assert 1 < sizes.max() <= table.schema.unit.max_rows


def test_a_folder_is_a_table_or_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"needs train\.csv"):
        datasets.folder_table(tmp_path)
    for name, seed in (("train", 0), ("test", 1)):
        rows = patients_frame(50, seed=seed).drop(columns="patient")
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    patients_schema().write(tmp_path / "schema.toml")
    table = datasets.folder_table(tmp_path)
    assert isinstance(table, PublicTable)
    assert table.test is not None
    assert len(table.rows) == len(table.test) == 50


def test_a_described_table_gets_its_schema(tmp_path: Path) -> None:
    columns = {
        "age": {"kind": "numeric", "min": 0, "max": 90, "integer": True, "nullable": True},
        "sex": {"kind": "categorical", "categories": ["F", "M"]},
    }
    schema = datasets.schema_of_spec("t", {"target": "sex", "columns": columns})
    assert schema.column("sex").role == "target"
    assert schema.column("age").missing
    bounds = schema.column("age").bounds
    assert bounds is not None
    assert tuple(bounds) == (0, 90)
    (tmp_path / "spec.json").write_text('{"target": "sex"}')
    with pytest.raises(UsageError, match="does not describe a table"):
        datasets.read_schema(tmp_path / "spec.json")
