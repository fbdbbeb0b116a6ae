"""Twins of DP-CTGAN: what conditional GANs do that breaks the guarantee."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

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
