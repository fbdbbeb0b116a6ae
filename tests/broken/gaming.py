"""Twins for the distinguishing games: whole data paths with one mistake each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from dpsynth import codec as codec_module
from dpsynth.codec import Codec
from dpsynth.neural import dpsgd
from dpsynth.neural.voting import release_margins
from dpsynth.noise import NoiseSource
from dpsynth.privacy import PATEVote, PoissonSampledGaussian
from dpsynth.table import Table
from tests.broken import clipping, noise, sampling


def half_noise_in_the_codec(table: Table, **kw: Any) -> Any:
    with mock.patch.object(codec_module, "release_counts", noise.half_noise_on_counts):
        return Codec.fit(table, **kw)


def rows_counted_twice(table: Table, **kw: Any) -> Any:
    """Joins the table with itself before counting."""
    values = {name: np.tile(column, 2) for name, column in table.values.items()}
    twice = dataclasses.replace(table, values=values, unit_index=np.tile(table.unit_index, 2))
    return Codec.fit(twice, **kw)


def noise_on_labels(margins: np.ndarray, *, event: PATEVote, noise: NoiseSource) -> np.ndarray:
    """Decides each vote first and adds the noise to the label, -100 or 100 in percent."""
    labels = np.where(np.asarray(margins) > 0, 100, -100)
    return release_margins(labels, event=event, noise=noise)


def _loop_with(**parts: Any) -> Callable[..., PoissonSampledGaussian]:
    def train(*args: Any, **kw: Any) -> PoissonSampledGaussian:
        # A part that keeps a state, such as a sampler, starts anew in every run.
        made = {name: make() for name, make in parts.items()}
        with mock.patch.multiple(dpsgd, **made):
            return dpsgd.train(*args, **kw)

    return train


half_noise_in_the_loop = _loop_with(noisy_sum=lambda: noise.half_noise)
no_clipping = _loop_with(UnitClipper=lambda: clipping.NoClipping)
shuffled = _loop_with(poisson_sample=sampling.Shuffled)
