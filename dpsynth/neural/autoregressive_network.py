"""A masked autoregressive network over blocks of codes, and draws from it column by column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dpsynth.neural.blocks import BlockOutputs
from dpsynth.neural.layers import CodeLinear, MaskedLinear


class AutoregressiveNetwork(nn.Module):
    """Every block of logits is a function of the blocks before it.

    Parameters
    ----------
    bases : sequence of ndarray of float32, shape (block size, width of the basis)
        Basis of each column, in the order in which columns are drawn.
    weights : sequence of float
        Weight of each column's likelihood.
    hidden : int
        Width of the hidden layer; 0 for linear connections alone.
    generator : torch.Generator
        Draws the initial weights.
    """

    def __init__(
        self,
        bases: Sequence[npt.NDArray[np.float32]],
        weights: Sequence[float],
        hidden: int,
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.outputs = BlockOutputs(bases, weights)
        self.spans, widths = self.outputs.spans, self.outputs.widths
        columns = np.arange(len(bases))
        out_groups = np.repeat(columns, widths)
        # A hidden unit of degree k sees the columns up to k and is seen by those after k.
        degrees = np.sort(np.arange(hidden) % max(1, len(bases) - 1))
        self.direct = CodeLinear(bases, out_groups.tolist(), columns[:, None] > columns[None, :])
        self.enter: CodeLinear | None = None
        self.leave: MaskedLinear | None = None
        if not hidden:
            return
        self.enter = CodeLinear(bases, degrees.tolist(), columns[:, None] >= columns[None, :])
        self.leave = MaskedLinear(
            degrees.tolist(), out_groups.tolist(), columns[:, None] > columns[None, :], bias=False
        )
        bound = (3.0 / len(bases)) ** 0.5
        with torch.no_grad():
            self.enter.table.uniform_(-bound, bound, generator=generator)

    def row_loss(self, codes: Tensor) -> Tensor:
        """Return the weighted negative log-likelihood of every row, shape (n_rows,), in nats."""
        outputs = self.direct(codes)
        if self.enter is not None and self.leave is not None:
            outputs = outputs + self.leave(torch.relu(self.enter(codes)))
        return self.outputs.negative_log_likelihood(outputs, codes)

    @torch.no_grad()
    def sample(self, n: int, draw: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Draw codes column by column, shape (n, n_columns)."""
        direct, outputs = self.direct.effective(), _repeated(self.direct.bias, n)
        enter = leave = hidden = None
        if self.enter is not None and self.leave is not None:
            enter, leave = self.enter.effective(), self.leave.effective()
            hidden = _repeated(self.enter.bias, n)
        drawn = torch.zeros(n, len(self.spans), dtype=torch.int64)
        for column, (start, end) in enumerate(self.spans):
            reached = outputs[:, start:end]
            if hidden is not None and leave is not None:
                reached = reached + torch.relu(hidden) @ leave[start:end].T
            codes = draw(column, self.outputs.logits(reached, column))
            drawn[:, column] = codes
            place = codes + self.direct.offsets[column]
            outputs = outputs + direct[place]
            if hidden is not None and enter is not None:
                hidden = hidden + enter[place]
        return drawn


def _repeated(bias: Tensor | None, n: int) -> Tensor:
    assert bias is not None
    return bias.repeat(n, 1)


class Draw:
    """Draws codes of one column after the other; given columns keep their code.

    Parameters
    ----------
    generator : torch.Generator
        Where the draws come from.
    usable : sequence of Tensor of bool
        Codes that may be emitted, per column in the order of drawing.
    given : mapping of int to int
        Code by column.
    temperature : float
        Divides the logits.
    rows : int
        Number of rows.

    Attributes
    ----------
    log_weights : Tensor, shape (rows,)
        Log-likelihood of what was given, given what was drawn before it.
    """

    def __init__(
        self,
        generator: torch.Generator,
        usable: Sequence[Tensor],
        given: Mapping[int, int],
        temperature: float,
        rows: int,
    ) -> None:
        self._generator, self.usable, self._given = generator, usable, given
        self._temperature = temperature
        self.log_weights = torch.zeros(rows)

    def __call__(self, column: int, logits: Tensor) -> Tensor:
        """Return codes of a column, shape (rows,), drawn from its logits."""
        logits = logits.masked_fill(~self.usable[column], -1e9) / self._temperature
        if column in self._given:
            code = self._given[column]
            self.log_weights += logits.log_softmax(1)[:, code]
            return torch.full((len(logits),), code)
        uniform = torch.rand(logits.shape, generator=self._generator)
        return (logits - torch.log(-torch.log(uniform.clamp(min=1e-20)))).argmax(1)
