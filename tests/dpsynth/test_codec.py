"""The codec: what it charges, what it finds, and the way there and back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.codec import Codec, CodecSettings, block_sizes, codec_charges
from dpsynth.errors import IntegrityError
from dpsynth.privacy import Plan, PlannedCharge
from dpsynth.table import load
from tests.conftest import BUDGET, patients_frame, patients_schema


def plan_for(schema: dp.Schema, settings: CodecSettings, *, sigma: float = 2.0) -> Plan:
    charges = codec_charges(schema, settings, sigma=sigma, failure_delta=1e-7)
    return Plan(method="test", unit=schema.unit, budget=BUDGET, charges=charges)


def fit(
    schema: dp.Schema, data: pd.DataFrame, settings: CodecSettings | None = None, **kw: float
) -> tuple[Codec, object]:
    settings = settings or CodecSettings()
    table = load(data, schema, rng=np.random.default_rng(0))
    plan = plan_for(schema, settings, **kw)
    codec, ran = Codec.fit(table, plan=plan, settings=settings, noise=dp.NoiseSource.from_entropy())
    assert ran == plan.charges
    return codec, table


def test_block_sizes_follow_from_the_schema_alone(schema: dp.Schema) -> None:
    settings = CodecSettings(numeric_codes=20)
    codec, _ = fit(schema, patients_frame(), settings)
    assert codec.sizes == block_sizes(schema, settings)


def test_counts_are_charged_once_per_histogram(schema: dp.Schema) -> None:
    (charge,) = codec_charges(schema, CodecSettings(), sigma=3.0, failure_delta=1e-7)
    # Four discrete columns, age and one level each; stay (901 tenths) and days (2,192) take two.
    assert charge.mechanism.count == 4 + 1 + 2 + 2
    assert charge.mechanism.sensitivity == 1


def test_a_plan_that_booked_another_number_of_histograms_is_refused(schema: dp.Schema) -> None:
    settings = CodecSettings()
    table = load(patients_frame(), schema, rng=np.random.default_rng(0))
    honest = plan_for(schema, settings)
    less = type(honest.charges[0].mechanism)(
        relation="add_remove", sigma=2.0, sensitivity=1, count=8
    )
    short = Plan(
        method="test",
        unit=schema.unit,
        budget=BUDGET,
        charges=(PlannedCharge(step=honest.charges[0].step, mechanism=less),),
    )
    with pytest.raises(IntegrityError, match="DPS110"):
        Codec.fit(table, plan=short, settings=settings, noise=dp.NoiseSource.from_entropy())


def test_a_plan_for_units_with_fewer_rows_is_refused() -> None:
    settings = CodecSettings()
    fewer, more = (patients_schema(id="patient", max_rows=most) for most in (1, 3))
    table = load(patients_frame(), more, rng=np.random.default_rng(0))
    with pytest.raises(IntegrityError, match="DPS110"):
        Codec.fit(
            table,
            plan=plan_for(fewer, settings),
            settings=settings,
            noise=dp.NoiseSource.from_entropy(),
        )


def test_marginals_survive_the_round_trip(schema: dp.Schema) -> None:
    data = patients_frame(8000)
    codec, table = fit(schema, data)
    again = codec.decode(codec.encode(table), np.random.default_rng(1))
    assert again["sex"].value_counts(normalize=True)["F"] == pytest.approx(
        data["sex"].eq("F").mean(), abs=1e-9
    )
    assert again["stay"].isna().mean() == pytest.approx(data["stay"].isna().mean(), abs=1e-9)
    assert abs(again["age"].mean() - data["age"].mean()) < 0.5
    for share in (0.1, 0.5, 0.9):
        assert again["stay"].quantile(share) == pytest.approx(data["stay"].quantile(share), abs=0.5)
    assert again["admitted"].min() >= pd.Timestamp("2020-01-01")
    assert again["died"].dtype == bool


def test_decoding_shows_no_staircase() -> None:
    schema = dp.Schema.from_dict(
        {
            "table": {"name": "smooth", "rows": "private"},
            "columns": {"x": {"kind": "real", "bounds": [0, 1], "source": "test"}},
        }
    )
    values = np.random.default_rng(0).beta(2, 5, 40_000)
    codec, table = fit(schema, pd.DataFrame({"x": values}), CodecSettings(numeric_codes=16))
    again = codec.decode(codec.encode(table), np.random.default_rng(1))["x"].to_numpy()
    edges = np.linspace(0.05, 0.7, 66)
    ours, theirs = np.histogram(again, edges)[0], np.histogram(values, edges)[0]
    # Inside a bin of about 2,500 values a staircase would be off by far more than the sampling.
    assert np.abs(ours - theirs).mean() < 3 * np.sqrt(theirs.mean())


def test_the_noisy_number_of_rows_is_close(schema: dp.Schema) -> None:
    codec, _ = fit(schema, patients_frame(3000), sigma=5.0)
    assert codec.rows == pytest.approx(3000, abs=60)
    assert codec.rows != 3000


def test_values_outside_the_list_fill_the_reserved_level_only_when_they_are_many() -> None:
    schema = patients_schema()
    data = patients_frame(3000)
    few, _ = fit(schema, data)
    assert not few.codes["ward"].usable[3]
    data["ward"] = data["ward"].astype(object).where(np.arange(3000) % 2 == 0, "elsewhere")
    many, _ = fit(schema, data)
    assert many.codes["ward"].usable[3]


def test_state_round_trip(schema: dp.Schema) -> None:
    codec, table = fit(schema, patients_frame())
    again = Codec.from_state(schema, codec.state())
    assert np.array_equal(again.encode(table), codec.encode(table))
    assert again.state() == codec.state()


def test_repr_carries_no_counts(schema: dp.Schema) -> None:
    codec, _ = fit(schema, patients_frame(600))
    assert "600" not in repr(codec)
