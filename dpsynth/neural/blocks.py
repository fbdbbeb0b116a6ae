"""One-hot blocks: the tensors that networks read and write, one block per column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
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

    def sample(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one code per block (Gumbel-max), shape (n_rows, n_columns)."""
        uniform = torch.rand(logits.shape, generator=generator, device=logits.device)
        noisy = logits - torch.log(-torch.log(uniform.clamp(min=1e-20)))
        return torch.stack([part.argmax(1) for part in noisy.split(self.sizes, dim=1)], dim=1)


class BlockOutputs(nn.Module):
    """Outputs of a network as logits: per column one free logit per code, then slopes of a basis.

    Has no parameters: the layer before it owns them.

    Parameters
    ----------
    bases : sequence of ndarray of float32, shape (block size, width of the basis)
        Basis of each column; width 0 for none.
    weights : sequence of float, optional
        Weight of each column's likelihood; 1 by default.

    Attributes
    ----------
    sizes : list of int
        Block sizes.
    spans : list of (int, int)
        First output of each column, and the one after its last.
    """

    def __init__(
        self,
        bases: Sequence[npt.NDArray[np.float32]],
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.sizes = [len(part) for part in bases]
        self.weights = [1.0] * len(bases) if weights is None else list(weights)
        self.widths = [sum(part.shape) for part in bases]
        ends = np.cumsum(self.widths)
        self.spans = list(zip((ends - self.widths).tolist(), ends.tolist(), strict=True))
        for index, part in enumerate(bases):
            self.register_buffer(f"basis_{index}", torch.from_numpy(part.T.copy()))

    @property
    def width(self) -> int:
        """Number of outputs."""
        return sum(self.widths)

    def logits(self, outputs: Tensor, column: int) -> Tensor:
        """Return the logits of a column, shape (n_rows, block size), from its span of outputs."""
        size, basis = self.sizes[column], self.get_buffer(f"basis_{column}")
        free = outputs[:, :size]
        return free + outputs[:, size:] @ basis if len(basis) else free

    def all_logits(self, outputs: Tensor) -> list[Tensor]:
        """Return the logits of every column from all outputs, shape (n_rows, width)."""
        parts = outputs.split(self.widths, dim=1)
        return [self.logits(part, column) for column, part in enumerate(parts)]

    def negative_log_likelihood(self, outputs: Tensor, codes: Tensor) -> Tensor:
        """Return the weighted sum over columns for every row, shape (n_rows,), in nats."""
        total = torch.zeros(len(codes), device=outputs.device, dtype=outputs.dtype)
        for column, logits in enumerate(self.all_logits(outputs)):
            loss = functional.cross_entropy(logits, codes[:, column], reduction="none")
            total = total + self.weights[column] * loss
        return total
