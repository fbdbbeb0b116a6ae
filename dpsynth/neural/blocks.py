"""One-hot blocks: the tensors that networks read and write, one block per column."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Layout of one-hot blocks.

    Parameters
    ----------
    sizes : tuple of int
        Block size of every column.
    """

    sizes: tuple[int, ...]

    @property
    def width(self) -> int:
        """Sum of the block sizes."""
        return sum(self.sizes)

    def offsets(self, device: torch.device) -> Tensor:
        """First position of every block, shape (n_columns,)."""
        ends = torch.tensor(self.sizes, device=device).cumsum(0)
        return ends - torch.tensor(self.sizes, device=device)

    def one_hot(self, codes: Tensor) -> Tensor:
        """Return one-hot rows, float32, shape (n_rows, width), of codes (n_rows, n_columns)."""
        rows = torch.zeros(len(codes), self.width, device=codes.device)
        return rows.scatter_(1, codes + self.offsets(codes.device), 1.0)

    def cross_entropy(self, logits: Tensor, codes: Tensor) -> Tensor:
        """Return the negative log-likelihood of every row, shape (n_rows,), in nats."""
        parts = logits.split(self.sizes, dim=1)
        total = torch.zeros(len(codes), device=logits.device, dtype=logits.dtype)
        for column, part in enumerate(parts):
            total = total + functional.cross_entropy(part, codes[:, column], reduction="none")
        return total

    def sample(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one code per block (Gumbel-max), shape (n_rows, n_columns)."""
        uniform = torch.rand(logits.shape, generator=generator, device=logits.device)
        noisy = logits - torch.log(-torch.log(uniform.clamp(min=1e-20)))
        return torch.stack([part.argmax(1) for part in noisy.split(self.sizes, dim=1)], dim=1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return softmax per block, shape like ``logits``."""
        return torch.cat([part.softmax(1) for part in logits.split(self.sizes, dim=1)], dim=1)
