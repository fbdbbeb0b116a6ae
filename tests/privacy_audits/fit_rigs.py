"""Whole fits on the bench: what their releases add up to, their noise, their samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

import dpsynth as dp
from dpsynth import codec as codec_module
from dpsynth import density as density_module
from dpsynth.codec import CodecSettings
from dpsynth.counts import discover_levels, release_counts
from dpsynth.neural import dpsgd
from dpsynth.neural.ctgan import DPCTGAN, CTGANSettings
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Mechanism
from dpsynth.table import load
from dpsynth.transcript import Transcript
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema
from tests.privacy_audits import rigs

Array = np.ndarray


def codec_transcript(
    fit: Callable[..., Any], frame: pd.DataFrame, schema: dp.Schema
) -> tuple[Transcript, Sequence[Mechanism]]:
    """What fitting the codec releases, and what was booked for it."""
    plan, transcript = rigs.codec_plan(schema), Transcript()
    noise = NoiseSource.audited(transcript)
    table = load(frame, schema, rng=noise.generator)
    fit(table, plan=plan, settings=rigs.SETTINGS, noise=noise)
    return transcript, plan.mechanisms


def noise_of_fit(make: Callable[[], NoiseSource]) -> list[Array]:
    """Noise of the counts and of the levels of one whole fit, and of four steps of DP-SGD.

    ``make`` stands where the fit keys its own noise.
    """
    document = patients_schema().to_dict()
    del document["columns"]["stay"], document["columns"]["admitted"]
    for name in ("ward", "grade"):
        document["columns"][name] = {
            "kind": "categorical",
            "categories": "discover",
            "missing": True,
            "source": "dp",
        }
    schema = dp.Schema.from_dict(document)
    frame = patients_frame(600)
    wide = [f"level {i:04d}" for i in range(150)]
    frame = pd.concat([frame] * 20, ignore_index=True).assign(
        ward=np.resize(wide, 12_000), grade=np.resize(wide[::-1], 12_000)
    )
    noises: list[Array] = []

    def counted(counts: Array, *, sigma: float, noise: NoiseSource) -> Array:
        noisy = release_counts(counts, sigma=sigma, noise=noise)
        noises.append(noisy - np.asarray(counts))
        return noisy

    def listed(values: Array, **kw: Any) -> tuple:
        exact = dict(zip(*np.unique(values.astype(str), return_counts=True), strict=True))
        levels, noisy = discover_levels(values, **kw)
        noises.append(noisy - np.array([exact[level] for level in levels]))
        return levels, noisy

    with (
        mock.patch.object(codec_module, "release_counts", counted),
        mock.patch.object(density_module, "release_counts", counted),
        mock.patch.object(codec_module, "discover_levels", listed),
        mock.patch.object(NoiseSource, "from_entropy", make),
    ):
        dp.Independent(schema, codec=CodecSettings(discovered_levels=200)).fit(
            frame, budget=BUDGET, ledger=open_ledger(schema), dataset="patients"
        )
    return [noise for noise in noises if noise.size >= 128]


SAMPLED = 120
"""Units of the table of :func:`sampled_units`."""


def sampled_units(
    method: type[DPCTGAN], *, seed: int, steps: int, probability: float
) -> list[Array]:
    """Numbers of the units that a whole fit of DP-CTGAN looked at in each step."""
    schema = patients_schema(id="patient", max_rows=3)
    settings = CTGANSettings(
        steps=steps,
        critic_steps=steps,
        hidden=4,
        critic_hidden=3,
        latent=2,
        sampling_probability=probability,
        generator_rows=4,
    )
    plan = rigs.neural_plan(schema, settings, method.method, noise_multiplier=20.0)
    batches: list[Array] = []
    inner = dpsgd._clipped_sum

    def watched(clipper: Any, row_loss: Any, data: Any, chosen: Array, clip_norm: float) -> list:
        batches.append(chosen)
        return inner(clipper, row_loss, data, chosen, clip_norm)

    frame = patients_frame(3 * SAMPLED, seed=seed)
    # Few units have the rare codes: whoever asks for codes meets them again and again.
    for column, (usual, rare) in {"sex": "FM", "ward": "ac", "grade": ("low", "high")}.items():
        frame[column] = np.where(frame["patient"] % (SAMPLED // 2) == 7, rare, usual)
    model = method(schema, settings=settings, codec=rigs.SETTINGS)
    given = mock.patch.object(DPCTGAN, "plan", return_value=plan)
    with rigs.exchanged({"_clipped_sum": watched}), given:
        model.fit(
            frame,
            budget=BUDGET,
            ledger=open_ledger(schema),
            dataset="patients",
            noise=NoiseSource.from_entropy(),
        )
    return batches
