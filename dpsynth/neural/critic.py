"""The critic of a DP-GAN: one score per row, no statistics over rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from dpsynth.neural.generator import linear
from dpsynth.neural.layers import CodeLinear

_SLOPE = 0.2
"""Slope of the activations below 0."""


class Critic(nn.Module):
    """Scores rows of codes, higher where they look real.

    Parameters
    ----------
    bases : sequence of ndarray of float32, shape (block size, width of the basis)
        Basis of each column (:mod:`dpsynth.neural.ordinal`); ordered codes share gradients.
    hidden : int
        Width of the hidden layers.
    generator : torch.Generator
        Draws the initial weights.
    """

    def __init__(
        self,
        bases: Sequence[npt.NDArray[np.float32]],
        hidden: int,
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.enter = CodeLinear(bases, [0] * hidden, np.ones((1, len(bases)), dtype=bool))
        self.middle = linear(hidden, hidden)
        self.leave = linear(hidden, 1)
        with torch.no_grad():
            # One entry per column of a one-hot row is set: the fan-in is the number of columns.
            bound = (3.0 / len(bases)) ** 0.5
            self.enter.table.uniform_(-bound, bound, generator=generator)
            for layer in (self.middle, self.leave):
                bound = (3.0 / hidden) ** 0.5
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.zero_()

    def forward(self, codes: Tensor) -> Tensor:
        """Return scores, shape (n_rows,), of codes (n_rows, n_columns)."""
        hidden = functional.leaky_relu(self.enter(codes), _SLOPE)
        hidden = functional.leaky_relu(self.middle(hidden), _SLOPE)
        return self.leave(hidden).squeeze(1)

    def frozen(self) -> FrozenCritic:
        """Return the critic as it is now, for rows of blocks instead of codes."""
        weights = [self.enter.effective(), self.enter.bias, self.middle.weight, self.middle.bias]
        weights += [self.leave.weight, self.leave.bias]
        return FrozenCritic([part.detach().clone() for part in weights])  # type: ignore[union-attr]


class FrozenCritic:
    """A copy of a critic's weights that scores one-hot rows; no layer of the critic runs.

    Parameters
    ----------
    weights : list of Tensor
        What :meth:`Critic.frozen` copies.
    """

    def __init__(self, weights: list[Tensor]) -> None:
        self._weights = weights

    def __call__(self, rows: Tensor) -> Tensor:
        """Return scores, shape (n_rows,), of rows, shape (n_rows, width)."""
        enter, enter_bias, middle, middle_bias, leave, leave_bias = self._weights
        hidden = functional.leaky_relu(rows @ enter + enter_bias, _SLOPE)
        hidden = functional.leaky_relu(functional.linear(hidden, middle, middle_bias), _SLOPE)
        return functional.linear(hidden, leave, leave_bias).squeeze(1)
