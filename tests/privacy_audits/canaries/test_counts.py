"""Count canaries: own cells in every declared histogram, and their score."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth import codec as codec_module
from dpsynth.codec import COUNTS, Codec, CodecSettings, codec_charges
from dpsynth.errors import UsageError
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Plan, PrivacyUnit
from dpsynth.schema import Column, Kind
from dpsynth.table import load
from dpsynth.transcript import Transcript
from privacy_audits.canaries import reference
from privacy_audits.canaries.counts import CountCanaries

SIGMA = 3.0
BITS = np.array([True, False, False, True, True])


def schema(**unit: object) -> dp.Schema:
    columns = {
        "bmi": {"kind": "real", "bounds": "discover", "source": "dp"},
        "code": {"kind": "categorical", "categories": ["7", "12.0"], "source": "book"},
        "age": {"kind": "integer", "bounds": [0, 120], "source": "book"},
        "place": {"kind": "categorical", "categories": "discover", "source": "dp"},
        "sex": {"kind": "categorical", "categories": ["canary", "M"], "other": "M", "source": "b"},
        "died": {"kind": "boolean", "source": "book"},
    }
    made = dp.Schema.from_dict({"table": {"name": "t", "rows": "private"}, "columns": columns})
    return replace(made, unit=PrivacyUnit(**unit))  # type: ignore[arg-type]


def frame(rows: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "bmi": rng.normal(25, 3, rows),
            "code": rng.choice([7, 12], rows),
            "age": rng.integers(0, 100, rows),
            "place": rng.choice(["here", "there"], rows),
            "sex": rng.choice(["canary", "M", "unknown"], rows),
            "died": rng.random(rows) < 0.5,
        }
    )


def exact_counts(counts, *, sigma, noise):
    noise.transcript.write("release_counts", query=counts, released=counts, sigma=sigma)
    return np.asarray(counts)


def run(design: CountCanaries, released=codec_module.release_counts, *, rows=None):
    table = design.enter(
        load(frame() if rows is None else rows, design.extended(), rng=np.random.default_rng(0))
    )
    settings, transcript = CodecSettings(), Transcript()
    charges = codec_charges(table.schema, settings, sigma=SIGMA, failure_delta=1e-6)
    plan = Plan(
        method="independent",
        unit=table.schema.unit,
        budget=dp.Budget(epsilon=1.0, delta=1e-5),
        charges=charges,
        parameters={},
        schema_sha256=table.schema.digest(),
    )
    with mock.patch.object(codec_module, "release_counts", released):
        noise = NoiseSource.audited(transcript, seed=1)
        Codec.fit(table, plan=plan, settings=settings, noise=noise)
    return design.scores(transcript.measurements, plan.mechanism(COUNTS))


@pytest.mark.parametrize("relation", ["add_remove", "replace_one"])
def test_without_noise_every_histogram_counts_a_canary_once(relation):
    scores = run(CountCanaries(schema=schema(relation=relation), bits=BITS), exact_counts)
    once = 3 / (2 * SIGMA**2) * (1 if relation == "add_remove" else 2)
    np.testing.assert_allclose(scores, np.where(BITS, once, -once))


def test_the_schema_with_canaries_is_valid_and_has_no_other_histogram():
    plain = schema()
    design = CountCanaries(schema=plain, bits=BITS)
    extended = design.extended()
    extended.check()
    charges = [
        codec_charges(s, CodecSettings(), sigma=SIGMA, failure_delta=1e-6)
        for s in (plain, extended)
    ]
    assert charges[0] == charges[1]
    assert extended.column("code").levels[:4] == ("7", "12", "13", "14")
    assert extended.column("sex").levels[2] == "canary_ 0"


def test_a_unit_of_several_rows_moves_its_cells_by_all_of_them():
    made = schema()
    unit = PrivacyUnit(column="id", max_rows=3)
    key = Column(name="id", kind=Kind.KEY)
    keyed = replace(made, unit=unit, columns=(key, *made.columns))
    rows = frame().assign(id=np.arange(40) // 2)
    scores = run(CountCanaries(schema=keyed, bits=BITS), exact_counts, rows=rows)
    np.testing.assert_allclose(scores, np.where(BITS, 1.0, -1.0) * 3 * 9 / (2 * SIGMA**2))


def test_noise_of_a_run_and_of_the_simulation_separate_alike():
    bits = np.random.default_rng(5).random(600) < 0.5
    design = CountCanaries(schema=schema(), bits=bits)
    seen = reference.separation(run(design), bits)
    booked = codec_charges(schema(), CodecSettings(), sigma=SIGMA, failure_delta=1e-6)[-1]
    simulated = design.reference(booked.mechanism, np.random.default_rng(6))
    assert simulated.mean() == pytest.approx(np.sqrt(3) / SIGMA, abs=0.06)
    assert seen == pytest.approx(simulated.mean(), abs=5 * simulated.std())


def test_a_schema_without_declared_levels_has_no_place():
    columns = {"age": {"kind": "integer", "bounds": [0, 120], "source": "book"}}
    numeric = dp.Schema.from_dict({"table": {"name": "t", "rows": "private"}, "columns": columns})
    with pytest.raises(UsageError, match="no place"):
        CountCanaries(schema=numeric, bits=BITS)
