"""Whole fits under audit, of every method, with noise that is not calibrated."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any
from unittest import mock

import dpsynth as dp
from dpsynth.codec import CodecSettings, codec_charges
from dpsynth.marginals.mst import MST, MSTSettings
from dpsynth.neural.autoregressive import AutoregressiveSettings, DPAutoregressive
from dpsynth.neural.base import TRAINING, DPSGDSettings
from dpsynth.neural.ctgan import DPCTGAN, CTGANSettings
from dpsynth.neural.pategan import PATEGAN, VOTES, PATEGANSettings
from dpsynth.neural.vae import DPVAE, VAESettings
from dpsynth.neural.voting import vote_event
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Plan, PlannedCharge
from dpsynth.scoring import TwoWayScore
from dpsynth.selection import PrivateSearch
from dpsynth.synthesizer import Synthesizer
from dpsynth.transcript import Transcript
from tests.conftest import BUDGET, open_ledger, patients_frame

UNITS = 80

# More than any of these fits costs: they are about what is released, not about its price.
AMPLE = dp.Budget(epsilon=1e6, delta=1e-4)

SETTINGS: dict[type[Synthesizer], Any] = {
    dp.Independent: None,
    MST: MSTSettings(),
    DPVAE: VAESettings(steps=6, hidden=4, latent=2, sampling_probability=0.5),
    DPCTGAN: CTGANSettings(
        steps=6, critic_steps=2, hidden=8, critic_hidden=6, latent=3, generator_rows=40
    ),
    DPAutoregressive: AutoregressiveSettings(steps=6),
    PATEGAN: PATEGANSettings(labels=30, rounds=3, steps=6, hidden=8, latent=3, batch=32),
}

METHODS = list(SETTINGS)


def plan_of(method: type[Synthesizer], schema: dp.Schema) -> Plan:
    """What a fit would plan."""
    settings, codec = SETTINGS[method], CodecSettings()
    charges = codec_charges(schema, codec, sigma=9.0, failure_delta=1e-6)
    parameters: dict[str, Any] = {"expected_units": UNITS, "codec": codec.state()}
    if settings is not None:
        parameters["settings"] = asdict(settings)
    if isinstance(settings, DPSGDSettings):
        event = settings.training(UNITS).event(noise_multiplier=1.3, unit=schema.unit)
        charges += (PlannedCharge(step=TRAINING, mechanism=event),)
    if isinstance(settings, MSTSettings):
        charges += MST(schema, settings=settings)._pairs_at(3.0)
    if isinstance(settings, PATEGANSettings):
        parameters["teachers"] = 40
        event = vote_event(noise_multiplier=7.0, votes=settings.labels, unit=schema.unit)
        charges += (PlannedCharge(step=VOTES, mechanism=event),)
    return Plan(
        method=method.method,
        unit=schema.unit,
        budget=AMPLE,
        charges=charges,
        parameters=parameters,
        schema_sha256=schema.digest(),
    )


def audited_fit(
    method: type[Synthesizer],
    schema: dp.Schema,
    *,
    noise: type[NoiseSource] = NoiseSource,
    seed: int | None = 1,
    rows: int = 90,
    plan: Plan | None = None,
    twin: type[Synthesizer] | None = None,
    parts: Mapping[str, object] | None = None,
) -> tuple[Synthesizer, Transcript]:
    """Fit under audit; parts of the package are exchanged by their full names."""
    model, transcript = (twin or method)(schema), Transcript()
    given = plan or plan_of(method, schema)
    with mock.patch.object(type(model), "plan", return_value=given), ExitStack() as stack:
        for name, part in (parts or {}).items():
            stack.enter_context(mock.patch(name, part))
        model.fit(
            patients_frame(rows),
            budget=AMPLE,
            ledger=open_ledger(schema, AMPLE),
            dataset="patients",
            noise=noise.audited(transcript, seed=seed),
        )
    return model, transcript


def audited_search(schema: dp.Schema, *, seed: int = 4) -> tuple[Synthesizer, Transcript]:
    """A search over two candidates under audit."""
    transcript = Transcript()
    search = PrivateSearch(
        [dp.Independent(schema), dp.Independent(schema)],
        score=TwoWayScore(sample_rows=60),
        mean_trials=4.0,
    )
    model = search.fit(
        patients_frame(60),
        budget=BUDGET,
        ledger=open_ledger(schema),
        dataset="patients",
        noise=NoiseSource.audited(transcript, seed=seed),
    )
    return model, transcript
