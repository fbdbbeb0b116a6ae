"""Twins of the DP-SGD loop as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from unittest import mock

import numpy as np
from torch import Tensor, nn

from dpsynth.neural import dpsgd
from dpsynth.neural.dpsgd import poisson_sample, train
from dpsynth.neural.optimise import AveragedAdam
from dpsynth.privacy import PoissonSampledGaussian


class RealisedDivisor:
    """Divides the noisy sum by the size of the batch that was drawn.

    Two parts of the loop have to conspire: hand :meth:`sample` and :meth:`divide` to the loop.
    """

    def __init__(self, *, expected: float) -> None:
        self.expected = expected
        self.drawn = 0

    def sample(self, units: int, probability: float, rng: np.random.Generator) -> np.ndarray:
        chosen = poisson_sample(units, probability, rng)
        self.drawn = chosen.size
        return chosen

    def divide(self, released: list[Tensor]) -> list[Tensor]:
        # The loop divides by the expected size afterwards.
        return [part * (self.expected / max(self.drawn, 1)) for part in released]


def realised_divisor() -> dict[str, Callable]:
    """Both parts of a fresh twin, where five units are expected."""
    twin = RealisedDivisor(expected=5.0)
    return {"poisson_sample": twin.sample, "after": twin.divide}


def one_step_more(*args, mechanism: PoissonSampledGaussian, **kw) -> PoissonSampledGaussian:
    """Takes a step that nobody booked."""
    train(*args, mechanism=dataclasses.replace(mechanism, steps=mechanism.steps + 1), **kw)
    return mechanism


def another_event(*args, mechanism: PoissonSampledGaussian, **kw) -> PoissonSampledGaussian:
    """Reports a rate that it did not use."""
    return dataclasses.replace(train(*args, mechanism=mechanism, **kw), sampling_probability=0.5)


class _PrivateLoss:
    """Hears the losses of the rows that a step sees."""

    def __init__(self, row_loss: Callable[[Tensor], Tensor]) -> None:
        self.row_loss, self.value = row_loss, 0.0

    def __call__(self, codes: Tensor) -> Tensor:
        losses = self.row_loss(codes)
        self.value = float(losses.detach().mean())
        return losses


class _HasSettled(Exception):
    pass


def stops_early(
    module: nn.Module,
    row_loss: Callable[[Tensor], Tensor],
    data: dpsgd.UnitRows,
    *,
    mechanism: PoissonSampledGaussian,
    progress: Callable[[int, int], None],
    **kw,
) -> PoissonSampledGaussian:
    """Stops when the loss on the rows rises."""
    loss, taken, last = _PrivateLoss(row_loss), 0, float("inf")

    def watch(done: int, of: int) -> None:
        nonlocal taken, last
        taken = done
        progress(done, of)
        if loss.value > last:
            raise _HasSettled
        last = loss.value

    try:
        return train(module, loss, data, mechanism=mechanism, progress=watch, **kw)
    except _HasSettled:
        return dataclasses.replace(mechanism, steps=taken)


def keeps_the_best(
    module: nn.Module, row_loss: Callable[[Tensor], Tensor], *args, **kw
) -> PoissonSampledGaussian:
    """Ends with the weights whose loss on the rows was least."""
    loss = _PrivateLoss(row_loss)

    class Best(AveragedAdam):
        best = (float("inf"), ())

        def step(self, gradients: Sequence[Tensor], step: int) -> None:
            if loss.value < self.best[0]:
                self.best = (loss.value, tuple(p.detach().clone() for p in self.parameters))
            super().step(gradients, step)

        def finish(self) -> None:
            super().finish()
            for part, kept in zip(self.parameters, self.best[1], strict=False):
                part.data.copy_(kept)

    with mock.patch.object(dpsgd, "AveragedAdam", Best):
        return train(module, loss, *args, **kw)


def rate_by_the_loss(
    module: nn.Module, row_loss: Callable[[Tensor], Tensor], *args, **kw
) -> PoissonSampledGaussian:
    """Takes smaller steps where the loss on the rows is small."""
    loss = _PrivateLoss(row_loss)

    class Scheduled(AveragedAdam):
        def step(self, gradients: Sequence[Tensor], step: int) -> None:
            self._rate = 0.1 / (1 + abs(loss.value))
            super().step(gradients, step)

    with mock.patch.object(dpsgd, "AveragedAdam", Scheduled):
        return train(module, loss, *args, **kw)
