"""A fitted model is run again with canaries, on its release or in situ."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

import dpsynth as dp
from dpsynth.errors import BudgetError, UsageError
from dpsynth.methods import method_class
from dpsynth.noise import NoiseSource
from dpsynth.privacy import DiscreteGaussian, PATEVote, PoissonSampledGaussian
from dpsynth.synthesizer import Synthesizer
from privacy_audits.canaries import audit_method
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema

ROWS = 1000
SETTINGS = {
    "dp-autoregressive": {"steps": 20, "hidden": 8},
    "dp-ctgan": {"steps": 20, "hidden": 8, "critic_hidden": 8, "latent": 4},
    "dp-vae": {"steps": 20, "hidden": 8},
    "pate-gan": {"steps": 10, "labels": 600, "hidden": 8, "latent": 4, "batch": 32},
    "independent": None,
}
AUDITED = {
    "dp-autoregressive": PoissonSampledGaussian,
    "dp-ctgan": PoissonSampledGaussian,
    "dp-vae": PoissonSampledGaussian,
    "pate-gan": PATEVote,
    "independent": DiscreteGaussian,
}


@lru_cache(maxsize=8)
def fitted(name: str) -> tuple[Synthesizer, pd.DataFrame]:
    kind, schema = method_class(name), patients_schema(id="patient", max_rows=3)
    chosen = SETTINGS[name]
    options = {} if chosen is None else {"settings": kind.settings_type(**chosen)}  # type: ignore[attr-defined]
    model = kind(schema, **options)
    model.fit(
        patients_frame(ROWS),
        budget=BUDGET,
        ledger=open_ledger(schema),
        dataset="patients",
        rows=ROWS,
        noise=NoiseSource.seeded(1),
    )
    return model, model.sample(ROWS, seed=1)


def audit(name: str, seed: int = 3, **options):
    model, released = fitted(name)
    return audit_method(
        model, released, canaries=200, rng=np.random.default_rng(seed), seed=seed, **options
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_every_method_passes_on_its_release(name):
    result = audit(name)
    assert isinstance(result.mechanism, AUDITED[name])
    assert (result.mode, result.canaries, result.runs) == ("surrogate", 200, 1)
    assert not result.violates()
    assert all(b.lower <= result.claim for b in (result.conformance, *result.bounds))
    assert result.conformance.point > 0.25  # the canaries are seen
    assert result.claim <= BUDGET.epsilon


def test_a_seed_fixes_the_audit_and_another_changes_it():
    first, second, other = audit("independent"), audit("independent"), audit("independent", 4)
    assert first == second
    assert first.p_value != other.p_value


def test_a_loaded_model_is_audited_like_the_fitted_one(tmp_path):
    model, released = fitted("independent")
    model.save(tmp_path / "model")
    loaded = dp.load(tmp_path / "model")
    rng = np.random.default_rng(3)
    assert audit_method(loaded, released, canaries=200, rng=rng, seed=3) == audit("independent")


def test_the_model_is_not_touched():
    model, _ = fitted("dp-vae")
    before = {name: part.tobytes() for name, part in model._arrays().items()}
    audit("dp-vae")
    assert {name: part.tobytes() for name, part in model._arrays().items()} == before


@pytest.mark.parametrize("name", ["independent", "dp-vae"])
def test_an_audit_in_situ_is_a_charge_of_its_own(name):
    model, _ = fitted(name)
    ledger = open_ledger(model.schema, dp.Budget(epsilon=BUDGET.epsilon, delta=BUDGET.delta))
    options = {"mode": "in-situ", "ledger": ledger, "dataset": "patients"}
    rng = np.random.default_rng(0)
    few = int(0.01 * model.plan_.parameters["expected_units"])
    with pytest.raises(UsageError, match="1%"):
        audit_method(model, patients_frame(ROWS), canaries=max(40, few + 1), rng=rng, **options)
    model = large(name)
    result = audit_method(model, patients_frame(ROWS), canaries=40, rng=rng, **options)
    assert (result.mode, result.runs) == ("in-situ", 1)
    with pytest.raises(BudgetError):
        audit_method(model, patients_frame(ROWS), canaries=40, rng=rng, **options)


def large(name: str) -> Synthesizer:
    """A model whose declared size admits forty canaries in situ."""
    kind, schema = method_class(name), patients_schema(id="patient", max_rows=3)
    chosen = SETTINGS[name]
    options = {} if chosen is None else {"settings": kind.settings_type(**chosen)}  # type: ignore[attr-defined]
    return kind(schema, **options).fit(
        patients_frame(ROWS),
        budget=BUDGET,
        ledger=open_ledger(schema),
        dataset="patients",
        rows=12_000,
        noise=NoiseSource.seeded(1),
    )


def test_an_audit_in_situ_needs_a_ledger():
    model, _ = fitted("independent")
    with pytest.raises(UsageError, match="charged"):
        audit_method(model, patients_frame(9), rng=np.random.default_rng(0), mode="in-situ")


def test_votes_are_not_audited_in_situ():
    model, released = fitted("pate-gan")
    with pytest.raises(UsageError, match="surrogate"):
        audit_method(
            model,
            released,
            rng=np.random.default_rng(0),
            mode="in-situ",
            ledger=open_ledger(model.schema),
            dataset="patients",
        )


def test_an_unfitted_method_has_no_plan():
    model = method_class("independent")(patients_schema())
    with pytest.raises(UsageError, match="not fitted"):
        audit_method(model, patients_frame(9), rng=np.random.default_rng(0))
