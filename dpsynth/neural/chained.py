"""A generator that makes its columns one after the other, each with a view of those before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from dpsynth.neural.blocks import Blocks
from dpsynth.neural.generator import BlockGenerator, draw_codes, gumbel


class ChainedGenerator(BlockGenerator):
    """A :class:`BlockGenerator` whose logits also depend on the codes drawn before, linearly.

    A generator that draws all columns from one latent point at once has to tie them together
    through that point alone; here the last column is a regression on all the others.

    Parameters
    ----------
    blocks : Blocks
        Layout of the rows.
    usable : ndarray of bool, shape (width,)
        Codes that may be drawn.
    order : sequence of int
        Columns in the order in which they are made.
    latent : int
        Dimensions of the latent normal.
    hidden : int
        Width of the hidden layers.
    generator : torch.Generator
        Draws the initial weights.
    """

    later: Tensor

    def __init__(
        self,
        blocks: Blocks,
        usable: npt.NDArray[np.bool_],
        order: Sequence[int],
        *,
        latent: int,
        hidden: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__(blocks, usable, latent=latent, hidden=hidden, generator=generator)
        self.order = list(order)
        self.spans = [
            (start, start + size)
            for start, size in zip(self.offsets.tolist(), blocks.sizes, strict=True)
        ]
        self.follow = nn.Parameter(torch.zeros(blocks.width, blocks.width))
        rank = torch.tensor(np.argsort(self.order))[self.column_of]
        self.register_buffer("later", (rank.unsqueeze(1) < rank).float())

    def walk(
        self, latent: Tensor, places: Tensor, make: Callable[[int, Tensor], Tensor]
    ) -> list[Tensor]:
        """Make all columns in order; return what ``make`` returned, column by column.

        ``make`` takes a column and its logits, shape (n_rows, block size), and returns codes,
        shape (n_rows,), or rows of the block, shaped like the logits.
        """
        logits = self.logits(latent, places)
        follow = self.follow * self.later
        made: dict[int, Tensor] = {}
        for column in self.order:
            start, end = self.spans[column]
            part = make(column, logits[:, start:end])
            if part.dim() == 1:
                logits = logits + functional.embedding(part + start, follow)
            else:
                logits = logits + part @ follow[start:end]
            made[column] = part
        return [made[column] for column in range(len(self.order))]

    @torch.no_grad()
    def rows(self, latent: Tensor, places: Tensor, uniform: Tensor) -> Tensor:
        """Draw codes, shape (n_rows, n_columns), one number in [0, 1) for each."""
        made = self.walk(
            latent, places, lambda column, logits: draw_codes(logits, uniform[:, column])
        )
        return torch.stack(made, dim=1)

    def soft_rows(
        self, latent: Tensor, places: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return one-hot rows with a gradient, and the probabilities they were drawn with.

        Both have the shape (n_rows, width).
        """
        probabilities: dict[int, Tensor] = {}

        def make(column: int, logits: Tensor) -> Tensor:
            probabilities[column] = logits.softmax(1)
            return gumbel(logits, generator)

        made = self.walk(latent, places, make)
        ordered = [probabilities[column] for column in range(len(self.order))]
        return torch.cat(made, dim=1), torch.cat(ordered, dim=1)

    @torch.no_grad()
    def rake(
        self,
        shares: Sequence[Tensor],
        latent: Tensor,
        places: Tensor,
        uniform: Tensor,
        *,
        floor: float,
        rounds: int = 12,
    ) -> None:
        """Shift the output biases, column after column, until shares are those that were bought.

        Parameters
        ----------
        shares : sequence of Tensor
            Wanted share of every code of every column, with ``floor`` added.
        latent, places, uniform : Tensor
            Rows over which shares are averaged, as for :meth:`rows`.
        floor : float
            Share below which nothing is compared.
        rounds : int
            Rounds per column.
        """

        def make(column: int, logits: Tensor) -> Tensor:
            shift = torch.zeros(logits.shape[1])
            for _ in range(rounds):
                made = (logits + shift).softmax(1).mean(0) + floor
                shift += torch.log(shares[column] / made)
            start, end = self.spans[column]
            self.leave.bias[start:end] += shift
            return draw_codes(logits + shift, uniform[:, column])

        self.walk(latent, places, make)
