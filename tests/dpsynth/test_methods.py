"""Methods by name, and the choice among them."""

from __future__ import annotations

import pytest

import dpsynth as dp
from dpsynth.errors import UsageError
from dpsynth.methods import METHODS, choose, method_class
from tests.conftest import patients_schema

ONE = dp.Budget(epsilon=1.0, delta=1e-6)


def without_target() -> dp.Schema:
    document = patients_schema().to_dict()
    del document["columns"]["died"]["role"]
    return dp.Schema.from_dict(document)


@pytest.mark.parametrize("name", METHODS)
def test_every_name_is_that_of_its_class(name: str) -> None:
    assert method_class(name).method == name


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"pate-gan, mst, independent, or auto"):
        method_class("gan")


def test_the_choice_follows_from_public_quantities() -> None:
    assert choose(patients_schema(), ONE, rows=30_000) == "dp-autoregressive"
    assert choose(patients_schema(), ONE) == "dp-autoregressive"
    assert choose(patients_schema(), ONE, rows=400) == "dp-autoregressive"
    assert choose(without_target(), ONE, rows=400) == "independent"
    small = dp.Budget(epsilon=0.05, delta=1e-6)
    assert choose(without_target(), small, rows=10_000) == "independent"


def test_rows_of_one_unit_do_not_count_as_units() -> None:
    document = patients_schema(id="patient", max_rows=50).to_dict()
    del document["columns"]["died"]["role"]
    schema = dp.Schema.from_dict(document)
    assert choose(schema, ONE, rows=30_000) == "independent"


def test_a_table_that_no_network_takes_gets_a_tree() -> None:
    document = patients_schema().to_dict()
    document["columns"]["ward"]["categories"] = [f"ward {k}" for k in range(5000)]
    schema = dp.Schema.from_dict(document)
    assert choose(schema, ONE, rows=30_000) == "mst"
    dp.MST(schema).plan(ONE, rows=30_000)
    with pytest.raises(UsageError, match="group rare ones"):
        dp.DPAutoregressive(schema).plan(ONE, rows=30_000)
