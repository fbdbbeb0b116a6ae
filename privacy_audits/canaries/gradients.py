"""Gradient canaries: records of DP-SGD whose gradients are known, orthogonal and too long.

Beside the network under audit stands a table of weights that ordinary rows do not touch. A canary
is a record whose loss is linear in its own row of that table, so that its gradient is a known
direction of its own, in every step, longer than the clip norm. It is sampled, clipped, summed and
noised with everybody else by :func:`dpsynth.neural.dpsgd.train`; the attacker projects every noisy
sum on the direction.

Why this is the audited code: the loop, the sampler, the clipper, the noise and the optimiser are
the ones of every fit and are told nothing. The table is one more
:class:`~dpsynth.neural.layers.CodeLinear`, the layer with which the networks read codes. An
ordinary row looks up row 0 of it and multiplies the result by 0: its gradient there is 0, its norm
is raised by at most 1e-12 of a squared clip norm, and the rest of its gradient is what it would
have been. A canary's loss in the real network is multiplied by 0 instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dpsynth.errors import UsageError
from dpsynth.neural.clipping import MOST_FEATURES, linear_layers
from dpsynth.neural.layers import CodeLinear
from dpsynth.privacy import NeighbouringRelation, PoissonSampledGaussian

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
CodeArray = npt.NDArray[np.int32]

MOST_CANARIES = MOST_FEATURES - 1
"""Rows that the table of a network may have, less the one of ordinary rows."""

_COLUMNS = 2
"""Columns that every row gets: the number of its canary, from 1, and whether it is mirrored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientCanaries:
    """Public numbers of gradient canaries.

    Parameters
    ----------
    count : int
        Number of canaries m, of which about half enter.
    width : int
        Coordinates of each direction: blocks of random signs that do not overlap.
    pull : float
        Norm of a canary's gradient over the clip norm, before it is clipped. Above 1, so that the
        clipper decides what a canary adds: without it the canary adds ``pull`` times too much.
    """

    count: int = 1000
    width: int = 8
    pull: float = 5.0

    def __post_init__(self) -> None:
        if not 2 <= self.count <= MOST_CANARIES:
            raise UsageError(f"there must be 2 to {MOST_CANARIES} canaries, got {self.count}.")
        if not 1 <= self.width <= MOST_FEATURES:
            raise UsageError(f"width must lie in [1, {MOST_FEATURES}], got {self.width}.")
        if not 1 < self.pull < 1e6:
            raise UsageError(f"pull must lie in (1, 1e6), got {self.pull}.")


class CanaryNetwork(nn.Module):
    """A network under audit and the table that only canaries pull at.

    Parameters
    ----------
    network : nn.Module
        The network under audit.
    row_loss : callable
        Its loss, from codes (n_rows, n_columns) to (n_rows,).
    design : GradientCanaries
        Public numbers.
    clip_norm : float
        Bound of the run.
    copies : int
        Rows that ``row_loss`` passes through the network for each of its rows.
    rng : numpy.random.Generator
        Draws the directions.
    """

    pulls: Tensor

    def __init__(
        self,
        network: nn.Module,
        row_loss: Callable[[Tensor], Tensor],
        design: GradientCanaries,
        *,
        clip_norm: float,
        copies: int = 1,
        rng: np.random.Generator,
    ) -> None:
        super().__init__()
        self.network = network
        self.table = CodeLinear(
            [np.zeros((design.count + 1, 0), dtype=np.float32)],
            [0] * design.width,
            np.ones((1, 1), dtype=bool),
            bias=False,
        )
        signs = rng.choice(np.array([-1.0, 1.0], dtype=np.float32), (design.count, design.width))
        self._directions = signs.astype(np.float64) / np.sqrt(design.width)
        pulls = np.zeros((design.count + 1, design.width), dtype=np.float32)
        pulls[1:] = self._directions * design.pull * clip_norm
        self.register_buffer("pulls", torch.from_numpy(pulls))
        self._row_loss, self._copies, self._clip_norm = row_loss, copies, clip_norm

    def row_loss(self, codes: Tensor) -> Tensor:
        """Return the loss of every row, shape (n_rows,); the last two columns are the canary's."""
        ordinary, numbers, mirrored = codes[:, :-_COLUMNS], codes[:, -_COLUMNS], codes[:, -1]
        loss = self._row_loss(ordinary)
        # A generated partner, where there is one, is an ordinary row.
        shown = torch.zeros(len(codes), self._copies, dtype=codes.dtype, device=codes.device)
        shown[:, 0] = numbers
        own = self.table(shown.view(-1, 1)).view(len(codes), self._copies, -1)[:, 0]
        pulled = (own * self.pulls[numbers]).sum(1) * (1 - 2 * mirrored)
        return torch.where(numbers == 0, loss, torch.zeros_like(loss)) + pulled

    def projections(self, released: FloatArray) -> FloatArray:
        """Return one noisy sum's part along every direction over the clip norm, shape (m,).

        Parameters
        ----------
        released : ndarray, shape (n_parameters,)
            The noisy sum of one step, all parameters in the clipper's order.
        """
        own = [part for layer in linear_layers(self) for part in layer.parameters(recurse=False)]
        ends = np.cumsum([part.numel() for part in own])
        (place,) = [index for index, part in enumerate(own) if part is self.table.table]
        first = ends[place] - self.table.table.numel()
        block = released[first : ends[place]].reshape(-1, self._directions.shape[1])[1:]
        return np.einsum("iw,iw->i", block, self._directions) / self._clip_norm


def enter(
    codes: CodeArray,
    unit_index: IntArray,
    bits: BoolArray,
    *,
    relation: NeighbouringRelation,
) -> tuple[CodeArray, IntArray]:
    """Return the rows with the canaries that the coins let in as units of their own.

    Parameters
    ----------
    codes : ndarray of int32, shape (n_rows, n_columns)
        Rows of the run.
    unit_index : ndarray of int64, shape (n_rows,)
        Unit of each row.
    bits : ndarray of bool, shape (m,)
        Coins. Under ``add_remove`` a canary is in or absent; under ``replace_one`` it enters with
        its direction or against it.
    relation : NeighbouringRelation
        Relation of the event.

    Returns
    -------
    codes : ndarray of int32, shape (n_rows + canaries, n_columns + 2)
    unit_index : ndarray of int64
    """
    is_replaced = relation == NeighbouringRelation.REPLACE_ONE
    numbers = np.arange(bits.size) if is_replaced else np.flatnonzero(bits)
    marked = np.zeros((len(codes) + numbers.size, codes.shape[1] + _COLUMNS), dtype=np.int32)
    marked[: len(codes), :-_COLUMNS] = codes
    marked[len(codes) :, -_COLUMNS] = numbers + 1
    marked[len(codes) :, -1] = ~bits[numbers]
    first = int(unit_index.max()) + 1 if unit_index.size else 0
    units = np.concatenate([unit_index, first + np.arange(numbers.size)])
    return marked, units.astype(np.int64)


def step_scores(
    projections: FloatArray, mechanism: PoissonSampledGaussian, *, move: float = 1.0
) -> FloatArray:
    """Return the log-likelihood ratio of "in" against "out" of single steps.

    Parameters
    ----------
    projections : ndarray, shape (..., m)
        Noisy sums along the directions over the clip norm.
    mechanism : PoissonSampledGaussian
        The event that was booked: its rate and its noise are those of the test.
    move : float
        What a canary adds along its direction where it is sampled.

    Notes
    -----
    With x ~ N(0, σ²) outside and N(1, σ²) with chance q inside, the ratio of a step is
    log(1 - q + q exp((2x - 1)/2σ²)); steps add up. Under ``replace_one`` the canary that is not
    "in" enters against its direction: the ratio for -x is taken off.
    """
    q, sigma = mechanism.sampling_probability, mechanism.noise_multiplier

    def ratio(x: FloatArray) -> FloatArray:
        gain = (2.0 * x - move) * move / (2.0 * sigma**2)
        if q == 1.0:
            return gain
        return np.logaddexp(np.log1p(-q), np.log(q) + gain)

    if mechanism.relation == NeighbouringRelation.REPLACE_ONE:
        return ratio(projections) - ratio(-projections)
    return ratio(projections)
