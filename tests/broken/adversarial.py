"""Twins of DP-CTGAN: what conditional GANs do that breaks the guarantee."""

from __future__ import annotations

import copy
import dataclasses
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from dpsynth.neural import dpsgd
from dpsynth.neural.adversary import PairLoss
from dpsynth.neural.clipping import UnitClipper
from dpsynth.neural.conditions import Conditions
from dpsynth.neural.critic import Critic
from dpsynth.neural.ctgan import DPCTGAN
from dpsynth.neural.dpsgd import train
from dpsynth.privacy import PoissonSampledGaussian


class ExactConditions(DPCTGAN):
    """Draws conditions from the exact frequencies, as published."""

    def _fit_codes(self, codes: np.ndarray, unit_index: np.ndarray, **kw):
        sizes = self._codec.sizes
        self.exact = [
            np.bincount(column, minlength=k).astype(float)
            for column, k in zip(codes.T, sizes, strict=True)
        ]
        return super()._fit_codes(codes, unit_index, **kw)

    def _conditions(self) -> Conditions:
        usable = [codes.usable for codes in self._codec.codes.values()]
        return Conditions(self.exact, usable, [1.0] * len(self.exact))


class GeneratesAsManyAsWereSampled(DPCTGAN):
    """Updates the generator on a batch as large as the critic's."""

    def _pairs(self, critic: Critic, *, noise) -> PairLoss:
        pairs = super()._pairs(critic, noise=noise)
        return _Counts(pairs.critic, pairs.generator, pairs.conditions, noise=noise, model=self)

    def _learner(self, critic: Critic, **kw):
        self.learner = super()._learner(critic, **kw)
        return self.learner


class _Counts(PairLoss):
    def __init__(self, *args, model, **kw) -> None:
        super().__init__(*args, **kw)
        self.model = model

    def __call__(self, codes: Tensor) -> Tensor:
        self.model.learner.rows = len(codes)
        return super().__call__(codes)


class OneStreamForAll(DPCTGAN):
    """Partners and updates draw from one stream: how far it is says how many were sampled."""

    def _pairs(self, critic: Critic, *, noise) -> PairLoss:
        pairs = super()._pairs(critic, noise=noise)
        return _SharesStream(
            pairs.critic, pairs.generator, pairs.conditions, noise=noise, model=self
        )

    def _learner(self, critic: Critic, **kw):
        self.learner = super()._learner(critic, **kw)
        return self.learner


class _SharesStream(PairLoss):
    def __init__(self, *args, model, **kw) -> None:
        super().__init__(*args, **kw)
        self.model = model

    def partners(self, codes: Tensor) -> Tensor:
        torch.rand(len(codes), generator=self.model.learner._rng)
        return super().partners(codes)


class PicksRowsByCategory(DPCTGAN):
    """Training by sampling: a column, one of its codes by the logarithm of its exact count, and a
    row that has it."""

    def _fit_codes(self, codes: np.ndarray, unit_index: np.ndarray, **kw):
        def pick(units: int, probability: float, rng: np.random.Generator) -> np.ndarray:
            return np.array([draw(rng) for _ in range(rng.binomial(units, probability))])

        def draw(rng: np.random.Generator) -> int:
            column = codes[:, rng.integers(codes.shape[1])]
            present, counts = np.unique(column, return_counts=True)
            weights = np.log1p(counts)
            code = rng.choice(present, p=weights / weights.sum())
            return int(unit_index[rng.choice(np.flatnonzero(column == code))])

        with mock.patch.object(dpsgd, "poisson_sample", pick):
            return super()._fit_codes(codes, unit_index, **kw)


class FollowsABareCritic(DPCTGAN):
    """The generator learns from a copy of the critic that takes its steps without noise."""

    def _learner(self, critic: Critic, **kw):
        self.bare = copy.deepcopy(critic)
        return super()._learner(self.bare, **kw)

    def _pairs(self, critic: Critic, *, noise) -> PairLoss:
        pairs = super()._pairs(critic, noise=noise)
        return _TrainsBare(
            pairs.critic, pairs.generator, pairs.conditions, noise=noise, bare=self.bare
        )


class _TrainsBare(PairLoss):
    def __init__(self, *args, bare: Critic, **kw) -> None:
        super().__init__(*args, **kw)
        self.bare = bare

    def __call__(self, codes: Tensor) -> Tensor:
        pairs = torch.stack([codes, self.partners(codes)], dim=1).flatten(0, 1)
        real, made = self.bare(pairs).view(-1, 2).unbind(1)
        loss = torch.nn.functional.softplus(made - real).sum()
        parameters = list(self.bare.parameters())
        with torch.no_grad():
            for part, gradient in zip(
                parameters, torch.autograd.grad(loss, parameters), strict=True
            ):
                part -= 0.01 * gradient
        return super().__call__(codes)


class Packed(PairLoss):
    """``pac = 2``: the critic sees two rows as one example."""

    def __call__(self, codes: Tensor) -> Tensor:
        loss = super().__call__(codes)
        return loss * loss.roll(1)


class BatchNormalised(PairLoss):
    """Scores are centred and scaled over the batch."""

    def __call__(self, codes: Tensor) -> Tensor:
        pairs = torch.stack([codes, self.partners(codes)], dim=1).flatten(0, 1)
        scores = self.critic(pairs)
        scores = (scores - scores.mean()) / (scores.std() + 1e-3)
        real, made = scores.view(-1, 2).unbind(1)
        return torch.nn.functional.softplus(made - real)


class ClipsRowAndPartnerApart(UnitClipper):
    """Two bounds per unit, noise for one."""

    def clipped_sum(self, loss: Tensor, *, rows_per_unit: int, clip_norm: float) -> list[Tensor]:
        # Halves: the loss is shared out between row and partner, each of which is one "unit".
        self.copies, copies = 1, self.copies
        halves = loss.repeat_interleave(copies) / copies
        sums = super().clipped_sum(halves, rows_per_unit=rows_per_unit, clip_norm=clip_norm)
        self.copies = copies
        return sums


def two_steps_booked_as_one(
    *args, mechanism: PoissonSampledGaussian, **kw
) -> PoissonSampledGaussian:
    """One optimiser step on real rows and one on generated ones, accounted once."""
    train(*args, mechanism=dataclasses.replace(mechanism, steps=2 * mechanism.steps), **kw)
    return mechanism
