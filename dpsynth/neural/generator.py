"""The generator of adversarial methods: latent normals, and one given code, to blocks of codes.

Nothing in this file reads a row: a generator learns from a critic or a student whose weights were
noised, so that training it and drawing from it are post-processing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from dpsynth.neural.blocks import Blocks

_MARGIN = 2.0**-30
"""Keeps draws this far from the ends of the unit interval, whatever the rounding of sums."""

_NEVER = -1e9
"""Logit of a code that is not drawn."""


class BlockGenerator(nn.Module):
    """Two hidden layers from a latent normal and a condition to the logits of all blocks.

    A condition is one code of one column, named by its *place*: the position of the code in the
    concatenated blocks. The block of that column is the condition itself, with certainty.

    Parameters
    ----------
    blocks : Blocks
        Layout of the rows.
    usable : ndarray of bool, shape (width,)
        Codes that may be drawn.
    latent : int
        Dimensions of the latent normal.
    hidden : int
        Width of the hidden layers.
    generator : torch.Generator
        Draws the initial weights.
    """

    usable: Tensor
    offsets: Tensor
    column_of: Tensor

    def __init__(
        self,
        blocks: Blocks,
        usable: npt.NDArray[np.bool_],
        *,
        latent: int,
        hidden: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.blocks, self.latent = blocks, latent
        columns = torch.arange(len(blocks.sizes))
        self.register_buffer("usable", torch.from_numpy(usable.copy()))
        self.register_buffer("offsets", blocks.offsets(columns.device))
        self.register_buffer("column_of", columns.repeat_interleave(torch.tensor(blocks.sizes)))
        self.enter = linear(latent, hidden)
        self.middle = linear(hidden, hidden)
        self.leave = linear(hidden, blocks.width)
        self.condition = nn.Parameter(torch.zeros(blocks.width, hidden))
        self.direct = nn.Parameter(torch.zeros(blocks.width, blocks.width))
        with torch.no_grad():
            for layer, gain in ((self.enter, 2.0), (self.middle, 2.0), (self.leave, 0.01)):
                bound = (3.0 * gain / layer.in_features) ** 0.5
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.zero_()
            self.condition.uniform_(-1.0, 1.0, generator=generator)

    @torch.no_grad()
    def start_from_counts(self, counts: Sequence[npt.NDArray[np.float64]]) -> None:
        """Start the output biases from noisy one-way counts, one array per block."""
        parts = [torch.from_numpy(np.log(part + 1.0)).float() for part in counts]
        self.leave.bias.copy_(torch.cat([part - part.max() for part in parts]))

    def logits(self, latent: Tensor, places: Tensor | None = None) -> Tensor:
        """Return logits, shape (n_rows, width), of latent normals (n_rows, latent).

        Codes that may not be drawn have a logit of -1e9; the block of a given column has its
        given code only. ``places`` holds each row's condition, shape (n_rows,).
        """
        hidden = self.enter(latent)
        if places is not None:
            hidden = hidden + functional.embedding(places, self.condition)
        hidden = torch.relu(self.middle(torch.relu(hidden)))
        logits = self.leave(hidden)
        if places is not None:
            logits = logits + functional.embedding(places, self.direct)
        logits = logits.masked_fill(~self.usable, _NEVER)
        if places is None:
            return logits
        given = self.column_of[places].unsqueeze(1) == self.column_of
        logits = logits.masked_fill(given, _NEVER)
        return logits.scatter(1, places.unsqueeze(1), 0.0)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return softmax per block, shape like ``logits``."""
        parts = logits.split(self.blocks.sizes, dim=1)
        return torch.cat([part.softmax(1) for part in parts], dim=1)

    @torch.no_grad()
    def draw(self, logits: Tensor, uniform: Tensor) -> Tensor:
        """Draw one code per block by inversion, shape (n_rows, n_columns).

        ``uniform`` holds one number in [0, 1) per row and block.
        """
        parts = logits.split(self.blocks.sizes, dim=1)
        drawn = [draw_codes(part, uniform[:, at]) for at, part in enumerate(parts)]
        return torch.stack(drawn, dim=1)


def draw_codes(logits: Tensor, uniform: Tensor) -> Tensor:
    """Draw a code of one column by inversion, shape (n_rows,), of numbers in [0, 1)."""
    cumulative = logits.softmax(1).double().cumsum(1)
    inside = _MARGIN + (1.0 - 2 * _MARGIN) * uniform.double()
    return torch.searchsorted(cumulative, (inside * cumulative[:, -1]).unsqueeze(1)).squeeze(1)


def gumbel(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Return one-hot draws of one column whose gradient is that of a Gumbel softmax.

    References
    ----------
    Jang, Gu, Poole, "Categorical Reparameterization with Gumbel-Softmax", arXiv 1611.01144.
    """
    exponential = torch.empty_like(logits).exponential_(generator=generator)
    noisy = logits - exponential.clamp(min=1e-20).log()
    soft = noisy.softmax(1)
    hard = functional.one_hot(noisy.argmax(1), noisy.shape[1])
    return hard + (soft - soft.detach())


@torch.no_grad()
def rake(
    generator: BlockGenerator,
    counts: Sequence[npt.NDArray[np.float64]],
    latent: Tensor,
    places: Tensor | None = None,
    *,
    rounds: int = 12,
) -> None:
    """Shift the output biases until one-way shares are those of ``counts``.

    Parameters
    ----------
    generator : BlockGenerator
        Changed in place.
    counts : sequence of ndarray of float64
        Noisy rows per code of every column.
    latent, places : Tensor
        Rows over which shares are averaged, as for :meth:`BlockGenerator.logits`.
    rounds : int
        Rounds of iterative proportional fitting.
    """
    wanted = torch.from_numpy(np.concatenate([c / max(c.sum(), 1e-9) for c in counts])).float()
    wanted = wanted.to(latent.device)
    floor = 1.0 / (10.0 * max(float(counts[0].sum()), 1.0))
    for _ in range(rounds):
        shares = generator.probabilities(generator.logits(latent, places)).mean(0)
        generator.leave.bias.add_(torch.log((wanted + floor) / (shares + floor)))


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer without weights: the default ones would read the global generator."""
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    assert isinstance(layer, nn.Linear)
    return layer
