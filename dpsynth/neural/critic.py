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


class Critic(nn.Module):
    """Scores rows of codes, higher where they look real.

    A hidden unit is the absolute value of a sum over the columns. An even function of a sum tells
    how columns go together rather than which codes are frequent, and that the generator knows from
    the counts that were bought.

    Parameters
    ----------
    bases : sequence of ndarray of float32, shape (block size, width of the basis)
        Basis of each column (:mod:`dpsynth.neural.ordinal`); ordered codes share gradients.
    hidden : int
        Number of hidden units.
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
        self.leave = linear(hidden, 1)
        with torch.no_grad():
            # One entry per column of a one-hot row is set: the fan-in is the number of columns.
            bound = (3.0 / len(bases)) ** 0.5
            self.enter.table.uniform_(-bound, bound, generator=generator)
            bound = (3.0 / hidden) ** 0.5
            self.leave.weight.uniform_(-bound, bound, generator=generator)
            self.leave.bias.zero_()

    def forward(self, codes: Tensor) -> Tensor:
        """Return scores, shape (n_rows,), of codes (n_rows, n_columns)."""
        return self.leave(self.enter(codes).abs()).squeeze(1)

    def frozen(self) -> FrozenCritic:
        """Return the critic as it is now, for rows of blocks instead of codes."""
        weights = (self.enter.effective(), self.enter.bias, self.leave.weight, self.leave.bias)
        return FrozenCritic(*(part.detach().clone() for part in weights))  # type: ignore[union-attr]


class FrozenCritic:
    """A copy of a critic's weights that scores one-hot rows; no layer of the critic runs.

    Parameters
    ----------
    enter, enter_bias, leave, leave_bias : Tensor
        What :meth:`Critic.frozen` copies.
    """

    def __init__(
        self, enter: Tensor, enter_bias: Tensor, leave: Tensor, leave_bias: Tensor
    ) -> None:
        self._enter, self._enter_bias = enter, enter_bias
        self._leave, self._leave_bias = leave, leave_bias

    def __call__(self, rows: Tensor) -> Tensor:
        """Return scores, shape (n_rows,), of rows, shape (n_rows, width)."""
        hidden = (rows @ self._enter + self._enter_bias).abs()
        return functional.linear(hidden, self._leave, self._leave_bias).squeeze(1)
