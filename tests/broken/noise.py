"""Twins of the releases whose noise is wrong."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dpsynth.counts import release_counts
from dpsynth.neural.dpsgd import noisy_sum
from dpsynth.noise import NoiseSource, NormalsAhead


def half_noise(sums: list[Tensor], *, sigma: float, **kw) -> list[Tensor]:
    return noisy_sum(sums, sigma=0.5 * sigma, **kw)


def nine_tenths_of_the_noise(sums: list[Tensor], *, sigma: float, **kw) -> list[Tensor]:
    return noisy_sum(sums, sigma=0.9 * sigma, **kw)


def double_noise(sums: list[Tensor], *, sigma: float, **kw) -> list[Tensor]:
    """No leak, but not the booked event either."""
    return noisy_sum(sums, sigma=2.0 * sigma, **kw)


def noise_cut_off(sums: list[Tensor], *, sigma: float, clip_norm: float, **kw) -> list[Tensor]:
    """Noise "without outliers": a bounded output gives the exact value away at its edge."""
    reach = 3 * sigma * clip_norm
    noised = noisy_sum(sums, sigma=sigma, clip_norm=clip_norm, **kw)
    return [
        exact + (out - exact).clamp(-reach, reach) for exact, out in zip(sums, noised, strict=True)
    ]


def noise_off_the_grid(
    sums: list[Tensor], *, sigma: float, clip_norm: float, noise: NoiseSource
) -> list[Tensor]:
    """Plain floating-point noise: the low-order bits depend on the exact value."""
    return [
        part + torch.from_numpy(noise.generator.standard_normal(part.shape)) * sigma * clip_norm
        for part in sums
    ]


def same_noise_in_every_release(sums: list[Tensor], *, noise: NoiseSource, **kw) -> list[Tensor]:
    """A fixed seed: the difference of two releases is exact."""
    del noise
    return noisy_sum(sums, noise=NoiseSource.seeded(20), **kw)


class DrawnOnce(NormalsAhead):
    """What was drawn ahead is not drawn anew: every step has the noise of the first."""

    def begin(self) -> None:
        if self._drawn is None:
            super().begin()
        self._next = 0

    def standard_normal(self, count: int) -> np.ndarray:
        return super().standard_normal(count).copy()  # the loop scales what it is handed


def one_draw_for_all_coordinates(
    sums: list[Tensor], *, sigma: float, clip_norm: float, noise: NoiseSource
) -> list[Tensor]:
    draw = float(noise.generator.standard_normal())
    return [part + draw * sigma * clip_norm for part in sums]


def no_noise_on_empty_batches(sums: list[Tensor], **kw) -> list[Tensor]:
    """The empty batch is "nothing to protect", and its bare zero says that it was empty."""
    return noisy_sum(sums, **kw) if any(part.any() for part in sums) else sums


def half_noise_on_counts(counts: np.ndarray, *, sigma: float, noise: NoiseSource) -> np.ndarray:
    return release_counts(counts, sigma=0.5 * sigma, noise=noise)


def nine_tenths_on_counts(counts: np.ndarray, *, sigma: float, noise: NoiseSource) -> np.ndarray:
    return release_counts(counts, sigma=0.9 * sigma, noise=noise)


def zero_cells_stay_zero(counts: np.ndarray, *, sigma: float, noise: NoiseSource) -> np.ndarray:
    """Shows which cells are empty."""
    return np.where(counts == 0, 0, release_counts(counts, sigma=sigma, noise=noise))


def laplace_on_counts(counts: np.ndarray, *, sigma: float, noise: NoiseSource) -> np.ndarray:
    """Right scale on the right lattice, heavier tails: Laplace where a Gaussian was booked."""
    draws = noise.generator.laplace(scale=sigma / np.sqrt(2), size=len(counts))
    return np.asarray(counts) + np.rint(draws).astype(np.int64)


def same_noise_on_every_histogram(
    counts: np.ndarray, *, sigma: float, noise: NoiseSource
) -> np.ndarray:
    del noise
    return release_counts(counts, sigma=sigma, noise=NoiseSource.seeded(20))


def half_noise_everywhere() -> dict[str, object]:
    """Parts of whole fits, by their full names."""
    return {
        "dpsynth.codec.release_counts": half_noise_on_counts,
        "dpsynth.neural.dpsgd.noisy_sum": half_noise,
    }
