"""Gradients of linear layers as factors: norms per unit, and weighted sums over units.

The gradient of a unit is the sum over its rows r of outer products ``b_r a_r^T`` of the gradient at
the output and the input, some entries struck out by a mask. Its squared norm is the sum over pairs
of rows of inner products, which for a mask of groups is
``sum_gh allowed[g, h] B_g(r, s) A_h(r, s)`` with the inner products of the parts of b and a in
each group.

Where every unit has one row, all terms are squares and nothing cancels: the norm is formed in the
network's own precision and raised by a bound on its rounding. Where rows may cancel it is formed in
float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from dpsynth.neural.layers import CodeLinear, Groups, MaskedLinear

_LARGEST = 1e20
"""Squared norm of activations, or of gradients at an output, above which a unit is left out: below
it neither overflow nor underflow of float32 can hide more than ``_HIDDEN`` of a squared norm."""

_HIDDEN = 1e-12

_PIECE = 256
"""Rows that are summed at a time."""

_TERMS = 2.0**13
"""Bounds the roundings in a sum of squares: two factors of up to 2^12 features each."""


class Factors(Protocol):
    """What a layer contributes to the gradient of every unit."""

    def squared_norms(self, rounding: float) -> Tensor:
        """Return the squared norm of every unit, float64, never below the true one.

        ``rounding`` bounds its float64 error relative to the squared sum of the rows' norms, where
        a unit has several. Infinite for units that must be left out.
        """
        ...

    def weighted(self, scale: Tensor, kept: Tensor | None) -> list[Tensor]:
        """Return the scaled sum over units, float64, one per parameter; ``kept`` picks units."""
        ...


def factors_of(
    layer: nn.Linear | MaskedLinear | CodeLinear,
    incoming: Tensor,
    outgoing: Tensor,
    rows_per_unit: int,
) -> Factors:
    """Return the factors of one layer.

    Parameters
    ----------
    layer : nn.Module
        The layer.
    incoming : Tensor, shape (n_rows, in_features), or codes (n_rows, n_columns)
        What it read.
    outgoing : Tensor, shape (n_rows, out_features)
        Gradient of the loss at its output.
    rows_per_unit : int
        Rows of every unit, standing together.
    """
    shape = (-1, rows_per_unit)
    incoming, outgoing = incoming.unflatten(0, shape), outgoing.unflatten(0, shape)
    if rows_per_unit > 1:
        outgoing = outgoing.double()
    if isinstance(layer, CodeLinear):
        return _CodeFactors(layer, incoming, outgoing)
    return _DenseFactors(layer, incoming.to(outgoing.dtype), outgoing)


class _DenseFactors:
    """Factors of a linear layer; shapes (n_units, rows_per_unit, features)."""

    def __init__(self, layer: nn.Linear | MaskedLinear, incoming: Tensor, outgoing: Tensor) -> None:
        self.layer, self.incoming, self.outgoing = layer, incoming, outgoing

    def squared_norms(self, rounding: float) -> Tensor:
        layer = self.layer
        if isinstance(layer, MaskedLinear):
            reaching = _inner_products(self.incoming, layer.incoming_groups)
            leaving = _inner_products(self.outgoing, layer.outgoing_groups)
            products = ((leaving @ layer.allowed.to(leaving.dtype)) * reaching).sum(-1)
        else:
            leaving = _inner_products(self.outgoing, None)
            reaching = _inner_products(self.incoming, None)
            products = (reaching * leaving).sum(-1)
        if layer.bias is not None:
            products = products + leaving.sum(-1)
        if products.shape[1] > 1:
            return _sum_over_pairs(products, rounding)
        return _raised(products, largest=torch.maximum(reaching.sum(-1), leaving.sum(-1)))

    def weighted(self, scale: Tensor, kept: Tensor | None) -> list[Tensor]:
        layer = self.layer
        weight = _zeros(layer.weight)
        bias = None if layer.bias is None else _zeros(layer.bias)
        for incoming, outgoing in _pieces(self.incoming, self.outgoing, scale, kept):
            weight.addmm_(outgoing.T, incoming.double())
            if bias is not None:
                bias += outgoing.sum(0)
        if isinstance(layer, MaskedLinear):
            weight *= layer.mask
        return [weight] if bias is None else [weight, bias]


class _CodeFactors:
    """Factors of a layer that reads codes; codes (n_units, rows_per_unit, n_columns)."""

    def __init__(self, layer: CodeLinear, codes: Tensor, outgoing: Tensor) -> None:
        self.layer, self.codes, self.outgoing = layer, codes, outgoing

    def squared_norms(self, rounding: float) -> Tensor:
        layer = self.layer
        leaving = _inner_products(self.outgoing, layer.outgoing_groups)
        products = ((leaving @ layer.allowed.to(leaving.dtype)) * self._reaching()).sum(-1)
        if layer.bias is not None:
            products = products + leaving.sum(-1)
        if products.shape[1] > 1:
            return _sum_over_pairs(products, rounding)
        return _raised(products, largest=leaving.sum(-1))

    def _reaching(self) -> Tensor:
        """Return inner products of the one-hot blocks and bases of pairs of rows, per column."""
        layer, places = self.layer, self.layer.places(self.codes)
        if places.shape[1] == 1:
            return layer.square[places].to(self.outgoing.dtype).unsqueeze(2)
        same = (self.codes.unsqueeze(1) == self.codes.unsqueeze(2)).double()
        if not len(layer.slopes):
            return same
        basis = layer.compact[places]
        return same + (basis.unsqueeze(1) * basis.unsqueeze(2)).sum(-1)

    def weighted(self, scale: Tensor, kept: Tensor | None) -> list[Tensor]:
        layer = self.layer
        table = _zeros(layer.table)
        bias = None if layer.bias is None else _zeros(layer.bias)
        for codes, outgoing in _pieces(self.codes, self.outgoing, scale, kept):
            for places in layer.places(codes).T:
                table.index_add_(0, places, outgoing)
            if bias is not None:
                bias += outgoing.sum(0)
        table *= layer.mask
        sums = [table, layer.basis.double().T @ table]
        return sums if bias is None else [*sums, bias]


def _inner_products(rows: Tensor, groups: Groups | None) -> Tensor:
    """Return inner products of pairs of a unit's rows per group, shape (units, rows, rows, groups).

    Without groups all features are one.
    """
    parts = [rows] if groups is None else groups.parts(rows)
    if rows.shape[1] == 1:
        return torch.stack([torch.linalg.vector_norm(p, dim=-1) for p in parts], -1)[:, None] ** 2
    return torch.stack([part @ part.transpose(1, 2) for part in parts], dim=-1)


def _sum_over_pairs(products: Tensor, rounding: float) -> Tensor:
    """Return squared norms from the inner products of pairs, shape (units, rows, rows)."""
    total = products.sum((1, 2))
    # Large rows that nearly cancel: the rounding of their inner products is added on top.
    norms = products.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt().sum(1)
    return total.clamp(min=0) + rounding * norms.square()


def _raised(products: Tensor, *, largest: Tensor) -> Tensor:
    """Return squared norms of units of one row, raised by what rounding may have taken off."""
    most = _TERMS * torch.finfo(products.dtype).eps
    raised = products.double() * (1 + most) + _HIDDEN
    return raised.masked_fill(~(largest <= _LARGEST), torch.inf).flatten()


def _zeros(parameter: Tensor) -> Tensor:
    return torch.zeros(parameter.shape, dtype=torch.float64, device=parameter.device)


def _pieces(
    incoming: Tensor, outgoing: Tensor, scale: Tensor, kept: Tensor | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs, and float64 gradients at the output times the unit's scale, some rows a time.

    Large float64 copies of whole batches would cost more than the products: each is fetched from
    the system anew.
    """
    if kept is not None:
        incoming, outgoing, scale = incoming[kept], outgoing[kept], scale[kept]
    units = len(scale) if scale.is_cuda else max(1, _PIECE // outgoing.shape[1])
    for inputs, gradients, factor in zip(
        incoming.split(units), outgoing.split(units), scale.split(units), strict=True
    ):
        weighed = gradients * factor.view(-1, 1, 1)  # the factor is float64, and so is the product
        yield inputs.flatten(0, 1), weighed.flatten(0, 1)
