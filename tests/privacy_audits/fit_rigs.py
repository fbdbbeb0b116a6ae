"""Whole fits on the bench: what their releases add up to, their noise, their samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

import dpsynth as dp
from dpsynth import codec as codec_module
from dpsynth import density as density_module
from dpsynth.codec import CodecSettings
from dpsynth.counts import discover_levels, release_counts
from dpsynth.marginals import measure as measure_module
from dpsynth.marginals import select as select_module
from dpsynth.neural import dpsgd
from dpsynth.neural.ctgan import DPCTGAN, CTGANSettings
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Exponential
from dpsynth.table import load
from tests.conftest import BUDGET, open_ledger, patients_frame, patients_schema
from tests.privacy_audits import rigs

Array = np.ndarray


@contextmanager
def watched(unit: dp.PrivacyUnit) -> Iterator[list[tuple[float, float]]]:
    """Write down sensitivity and noise of every histogram and every draw while the block lasts.

    The cells that one level of a histogram tree opens are one histogram, whoever asks for them.
    """
    seen: list[tuple[float, float]] = []
    rows, refine, choose = float(unit.max_rows), codec_module.refine, select_module.choose

    def counted(counts: Array, *, sigma: float, noise: NoiseSource) -> Array:
        seen.append((rows, sigma))
        return release_counts(counts, sigma=sigma, noise=noise)

    def refined(*args: Any, sigma: float, **kw: Any) -> Any:
        before = len(seen)
        segments = refine(*args, sigma=sigma, **kw)
        opened = seen[before:]
        seen[before:] = [max(opened, key=lambda part: part[0] / part[1])] if opened else []
        return segments

    def chosen(scores: Array, *, event: Exponential, **kw: Any) -> int:
        # A draw of range ε is at most as much zCDP as a Gaussian with μ = ε/2.
        seen.append((event.epsilon / 2, 1.0))
        return choose(scores, event=event, **kw)

    with (
        mock.patch.object(codec_module, "release_counts", counted),
        mock.patch.object(density_module, "release_counts", counted),
        mock.patch.object(measure_module, "release_counts", counted),
        mock.patch.object(codec_module, "refine", refined),
        mock.patch.object(select_module, "choose", chosen),
    ):
        yield seen


def codec_precision(
    fit: Callable[..., Any], frame: pd.DataFrame, schema: dp.Schema
) -> list[tuple[float, float]]:
    """Sensitivity and noise of every histogram that fitting the codec releases."""
    noise = NoiseSource.from_entropy()
    table = load(frame, schema, rng=noise.generator)
    with watched(schema.unit) as seen:
        fit(table, plan=rigs.codec_plan(schema), settings=rigs.SETTINGS, noise=noise)
    return seen


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
