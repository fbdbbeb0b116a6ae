"""Linear layers with missing connections, and linear layers that read codes.

Which connections exist is stated per group of inputs and group of outputs, so that norms of
gradients follow from sums over groups (:mod:`dpsynth.neural.clipping`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional


class Groups:
    """Features in groups.

    Parameters
    ----------
    groups : sequence of int, length n_features
        Group of each feature; the features of a group stand together, in the order of the groups.
    count : int
        Number of groups; some may be empty.
    """

    def __init__(self, groups: Sequence[int], count: int) -> None:
        if any(a > b for a, b in pairwise(groups)):
            raise ValueError("the features of a group stand together, in the order of the groups.")
        self.sizes: list[int] = np.bincount(np.asarray(groups, dtype=int), minlength=count).tolist()

    def parts(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return the features of each group, cut from the last dimension."""
        return rows.split(self.sizes, dim=-1)


class MaskedLinear(nn.Module):
    """``x @ weight.T + bias`` where some weights are zero for good.

    Parameters
    ----------
    in_groups : sequence of int, length in_features
        Group of each input, ascending.
    out_groups : sequence of int, length out_features
        Group of each output, ascending.
    allowed : ndarray of bool, shape (n_out_groups, n_in_groups)
        Which group of inputs reaches which group of outputs.
    bias : bool
        Whether there is a bias.

    Attributes
    ----------
    weight : Parameter, shape (out_features, in_features)
        Zero at first. Entries without a connection are never read; they only collect noise.
    """

    mask: Tensor
    allowed: Tensor

    def __init__(
        self,
        in_groups: Sequence[int],
        out_groups: Sequence[int],
        allowed: npt.NDArray[np.bool_],
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features = len(in_groups), len(out_groups)
        mask = torch.from_numpy(allowed[np.ix_(np.asarray(out_groups), np.asarray(in_groups))])
        self.register_buffer("mask", mask.to(torch.float32))
        self.incoming_groups = Groups(in_groups, allowed.shape[1])
        self.outgoing_groups = Groups(out_groups, allowed.shape[0])
        self.register_buffer("allowed", torch.from_numpy(allowed).double())
        self.weight = nn.Parameter(torch.zeros(self.out_features, self.in_features))
        self.bias = nn.Parameter(torch.zeros(self.out_features)) if bias else None

    def effective(self) -> Tensor:
        """Return the weights of the connections that exist, shape like :attr:`weight`."""
        return self.weight * self.mask

    def forward(self, incoming: Tensor) -> Tensor:
        """Return outputs, shape (n_rows, out_features)."""
        return functional.linear(incoming, self.effective(), self.bias)


class CodeLinear(nn.Module):
    """A linear layer on one-hot blocks and on a basis of each block, read as codes.

    Equal to a :class:`MaskedLinear` whose inputs are the one-hot blocks and, beside each, the row
    of a fixed basis that belongs to the code; but it looks weights up instead of multiplying.

    Parameters
    ----------
    bases : sequence of ndarray of float32, shape (block size, width of the basis)
        Fixed basis of each column; width 0 for none.
    out_groups : sequence of int, length out_features
        Group of each output, ascending.
    allowed : ndarray of bool, shape (n_out_groups, n_columns)
        Which column reaches which group of outputs.
    bias : bool
        Whether there is a bias.

    Attributes
    ----------
    table : Parameter, shape (sum of block sizes, out_features)
        Weights of the one-hot blocks.
    slopes : Parameter, shape (sum of basis widths, out_features)
        Weights of the bases.
    """

    basis: Tensor
    compact: Tensor
    offsets: Tensor
    square: Tensor
    mask: Tensor
    allowed: Tensor

    def __init__(
        self,
        bases: Sequence[npt.NDArray[np.float32]],
        out_groups: Sequence[int],
        allowed: npt.NDArray[np.bool_],
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        sizes = [len(part) for part in bases]
        self.n_columns, self.out_features = len(bases), len(out_groups)
        columns = np.repeat(np.arange(len(bases)), sizes)
        mask = torch.from_numpy(allowed[np.ix_(np.asarray(out_groups), columns)].T.copy())
        basis = torch.block_diag(*[torch.from_numpy(part) for part in bases])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self.register_buffer("basis", basis.reshape(sum(sizes), -1))
        # The same without the zeros of other columns, for products of codes of one column.
        widest = max(part.shape[1] for part in bases)
        compact = [np.pad(part, ((0, 0), (0, widest - part.shape[1]))) for part in bases]
        self.register_buffer("compact", torch.from_numpy(np.concatenate(compact)).double())
        self.register_buffer("offsets", torch.from_numpy(starts))
        self.register_buffer("square", self.basis.double().square().sum(1) + 1.0)
        self.register_buffer("mask", mask.to(torch.float32))
        self.outgoing_groups = Groups(out_groups, allowed.shape[0])
        self.register_buffer("allowed", torch.from_numpy(allowed).double())
        self.table = nn.Parameter(torch.zeros(sum(sizes), self.out_features))
        self.slopes = nn.Parameter(torch.zeros(self.basis.shape[1], self.out_features))
        self.bias = nn.Parameter(torch.zeros(self.out_features)) if bias else None

    def effective(self) -> Tensor:
        """Return the weights of all codes, bases included, shape (sum of block sizes, out)."""
        return (self.table + self.basis @ self.slopes) * self.mask

    def places(self, codes: Tensor) -> Tensor:
        """Return the row of every code in the table, shape like ``codes``."""
        return codes + self.offsets

    def forward(self, codes: Tensor) -> Tensor:
        """Return outputs, shape (n_rows, out_features), of codes (n_rows, n_columns)."""
        out = functional.embedding_bag(self.places(codes), self.effective(), mode="sum")
        return out if self.bias is None else out + self.bias
