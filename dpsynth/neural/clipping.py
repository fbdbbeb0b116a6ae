"""Sum of per-unit clipped gradients in one backward pass (book-keeping clipping).

For a linear layer the gradient of one row is the outer product of the gradient at its output and
its input, so that norms of per-unit gradients follow from those two factors and the clipped sum is
one matrix product. No per-sample gradient is ever stored.

References
----------
Bu, Wang, Zha, Karypis, "Differentially Private Optimization on Small/Large Models at Half the
Cost" (book-keeping), arXiv 2210.00038.
Li, Tramèr, Liang, Hashimoto (ghost clipping), arXiv 2110.05679.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import torch
from opacus.grad_sample.linear import compute_linear_norm_sample
from torch import Tensor, nn

from dpsynth.errors import UsageError

SLACK = 2.0**-10
"""The clip target is ``C * (1 - SLACK)``. The slack covers everything by which a unit's float
contribution may exceed the real-number one: the grid of the noise, the float64 sum and the last
bit of float32 activations, which may depend on the size of the batch (``docs/pitfalls.md``)."""

_MOST_FEATURES = 4096
"""Widest layer for which ``_ROUNDING`` bounds the rounding of a squared norm."""

_ROUNDING = 2.0**-38
"""Bounds the float64 error of a unit's squared norm, relative to the square of the sum of its rows'
norms: up to 2^12 features and 2^2 operations on each, at 2^-53."""

_PER_ROW_LAYERS = (
    nn.Linear,
    nn.ReLU,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.Softplus,
    nn.Identity,
    nn.Sequential,
    nn.ModuleList,
    nn.ModuleDict,
)


def linear_layers(module: nn.Module) -> list[nn.Linear]:
    """Return the trainable linear layers, in order.

    Raises
    ------
    UsageError
        If a parameter is trained that no linear layer owns, or if a layer may mix rows
        (batch statistics, packing): its per-row gradient would not be per row.
    """
    layers = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear):
            if type(part).forward is not nn.Linear.forward:
                raise UsageError(f"layer {name!r} overrides nn.Linear.forward.", code="DPS120")
            if part.weight.requires_grad:
                layers.append(part)
        elif type(part).__module__.startswith("torch.") and not isinstance(part, _PER_ROW_LAYERS):
            raise UsageError(
                f"layer {name!r} ({type(part).__name__}) is not known to treat rows one by one.",
                code="DPS120",
                fix="use linear layers and element-wise activations.",
            )
    owned = {id(p) for layer in layers for p in layer.parameters(recurse=False)}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and id(parameter) not in owned:
            raise UsageError(
                f"parameter {name!r} belongs to no linear layer and cannot be clipped.",
                code="DPS121",
            )
    return layers


class UnitClipper:
    """Records inputs and outputs of linear layers and forms the clipped sum of gradients.

    Parameters
    ----------
    module : nn.Module
        Network of linear layers and element-wise activations; each layer runs once per step.

    Raises
    ------
    UsageError
        For a layer so wide that the rounding of its norm would not be bounded.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> net = nn.Linear(2, 1)
    >>> with UnitClipper(net) as clipper:
    ...     loss = net(torch.ones(4, 2)).squeeze(1)
    ...     sums = clipper.clipped_sum(loss, rows_per_unit=2, clip_norm=1.0)
    >>> [tuple(s.shape) for s in sums]
    [(1, 2), (1,)]

    Notes
    -----
    The weighted sum is formed in float64: its error stays below 1e-9 of the clip norm for any
    batch that fits into memory. Norms are formed in float64 as well; where rows of one unit may
    cancel, a bound on the rounding is added to the norm, so that no unit is clipped too little.
    """

    def __init__(self, module: nn.Module) -> None:
        self.layers = linear_layers(module)
        if any(max(la.in_features, la.out_features) > _MOST_FEATURES for la in self.layers):
            raise UsageError(f"a linear layer has more than {_MOST_FEATURES} features.")
        self.parameters = [p for layer in self.layers for p in layer.parameters(recurse=False)]
        self._inputs: dict[int, Tensor] = {}
        self._outputs: dict[int, Tensor] = {}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> UnitClipper:
        self._handles = [
            layer.register_forward_hook(self._recorder(index))
            for index, layer in enumerate(self.layers)
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._forget()

    def _forget(self) -> None:
        self._inputs.clear()
        self._outputs.clear()

    def _recorder(self, index: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def record(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            del layer
            if index in self._outputs:
                raise UsageError("a linear layer ran twice in one step.", code="DPS122")
            self._inputs[index] = inputs[0].detach()
            self._outputs[index] = output

        return record

    def clipped_sum(self, loss: Tensor, *, rows_per_unit: int, clip_norm: float) -> list[Tensor]:
        """Return the sum over units of their clipped gradients.

        Parameters
        ----------
        loss : Tensor, shape (n_units * rows_per_unit,)
            Loss of each row; the rows of a unit stand together, missing rows have loss 0.
        rows_per_unit : int
            Rows of every unit after padding.
        clip_norm : float
            Most l2 norm, over all parameters, of what one unit adds.

        Returns
        -------
        list of Tensor
            One float64 sum per parameter, in the order of :attr:`parameters`.

        Privacy
        -------
        Adding or removing one unit (all its rows) changes the result by at most ``clip_norm`` in
        l2. A unit whose gradient is not finite adds nothing.
        """
        if len(self._outputs) != len(self.layers):
            raise UsageError("a linear layer did not run in this step.", code="DPS122")
        order = range(len(self.layers))
        outputs = [self._outputs[i] for i in order]
        at_outputs = torch.autograd.grad(loss.sum(), outputs)
        factors = []
        for index, gradient in zip(order, at_outputs, strict=True):
            incoming = self._inputs[index]
            if rows_per_unit > 1:
                # Rows of a unit may cancel, so that only float64 bounds the error of its norm.
                shape = (-1, rows_per_unit)
                incoming = incoming.double().unflatten(0, shape)
                gradient = gradient.double().unflatten(0, shape)
            factors.append((incoming, gradient))
        self._forget()
        scale = self._scale(factors, clip_norm * (1 - SLACK))
        return self._weighted(factors, scale)

    def _scale(self, factors: list[tuple[Tensor, Tensor]], target: float) -> Tensor:
        squares: list[Tensor] = []
        for layer, (incoming, outgoing) in zip(self.layers, factors, strict=True):
            # Accumulated in float64, so that tiny activations do not vanish when squared.
            rows_in = torch.linalg.vector_norm(incoming, dim=-1, dtype=torch.float64)
            rows_out = torch.linalg.vector_norm(outgoing, dim=-1, dtype=torch.float64)
            parts = [rows_in * rows_out] + ([] if layer.bias is None else [rows_out])
            if outgoing.dim() == 2:
                squares.extend(part.square() for part in parts)
                continue
            norms = compute_linear_norm_sample(layer, [incoming], outgoing)
            squares.extend(norm.square() for norm in norms.values())
            # Large rows that nearly cancel: the rounding of their inner products is added on top.
            squares.extend(_ROUNDING * part.sum(1).square() for part in parts)
        norm = torch.stack(squares).sum(0).sqrt()
        scale = (target / norm.clamp(min=1e-300)).clamp(max=1.0)
        return torch.where(torch.isfinite(norm), scale, torch.zeros_like(scale))

    def _weighted(self, factors: list[tuple[Tensor, Tensor]], scale: Tensor) -> list[Tensor]:
        if not bool((scale > 0).all()):
            # Zero times infinity is not zero: rejected units are taken out, not multiplied.
            kept = scale > 0
            scale = scale[kept]
            factors = [(incoming[kept], outgoing[kept]) for incoming, outgoing in factors]
        sums: list[Tensor] = []
        for layer, (incoming, outgoing) in zip(self.layers, factors, strict=True):
            coefficient = scale.view(-1, *[1] * (outgoing.dim() - 1)).expand(
                *outgoing.shape[:-1], 1
            )
            coefficient, incoming, outgoing = (
                part.flatten(0, -2).double() for part in (coefficient, incoming, outgoing)
            )
            if layer.in_features < layer.out_features:
                sums.append(outgoing.T @ (incoming * coefficient))
            else:
                sums.append((outgoing * coefficient).T @ incoming)
            if layer.bias is not None:
                sums.append((outgoing.T @ coefficient).squeeze(1))
        return sums
