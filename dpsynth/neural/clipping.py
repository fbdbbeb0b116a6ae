"""Sum of per-unit clipped gradients in one backward pass (book-keeping clipping).

For a linear layer the gradient of one row is the outer product of the gradient at its output and
its input, so that norms of per-unit gradients follow from those two factors and the clipped sum is
one matrix product. No per-sample gradient is ever stored. :mod:`dpsynth.neural.factors` says how
for each kind of layer.

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
from torch import Tensor, nn

from dpsynth.errors import UsageError
from dpsynth.neural.factors import factors_of
from dpsynth.neural.layers import CodeLinear, MaskedLinear

SLACK = 2.0**-10
"""The clip target is ``C * (1 - SLACK)``. The slack covers everything by which a unit's float
contribution may exceed the real-number one: the grid of the noise, the float64 sum and the last
bit of float32 activations, which may depend on the size of the batch (``docs/pitfalls.md``)."""

MOST_FEATURES = 4096
"""Widest layer for which ``_ROUNDING`` bounds the rounding of a squared norm."""

_ROUNDING = 2.0**-38
"""Bounds the float64 error of a unit's squared norm, relative to the square of the sum of its rows'
norms: up to 2^12 features and 2^2 operations on each, at 2^-53."""

Layer = nn.Linear | MaskedLinear | CodeLinear

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


def linear_layers(module: nn.Module) -> list[Layer]:
    """Return the trainable linear layers, in order.

    Raises
    ------
    UsageError
        If a parameter is trained that no linear layer owns, or if a layer may mix rows
        (batch statistics, packing): its per-row gradient would not be per row.
    """
    layers: list[Layer] = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear | MaskedLinear | CodeLinear):
            kind = next(k for k in (nn.Linear, MaskedLinear, CodeLinear) if isinstance(part, k))
            if type(part).forward is not kind.forward:
                raise UsageError(
                    f"layer {name!r} overrides {kind.__name__}.forward.", code="DPS120"
                )
            if any(p.requires_grad for p in part.parameters(recurse=False)):
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
    copies : int
        Rows that pass through the network for each row of the loss, standing together: 2 where a
        row and its generated partner are scored in one pass.

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
    batch that fits into memory. A bound on the rounding is added to every norm, so that no unit is
    clipped too little (:mod:`dpsynth.neural.factors`).
    """

    def __init__(self, module: nn.Module, *, copies: int = 1) -> None:
        self.layers = linear_layers(module)
        self.copies = copies
        if any(max(p.shape) > MOST_FEATURES for la in self.layers for p in la.parameters()):
            raise UsageError(f"a linear layer has more than {MOST_FEATURES} features.")
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
        l2. A unit whose gradient is not finite, or whose activations exceed 1e10, adds nothing.
        """
        if len(self._outputs) != len(self.layers):
            raise UsageError("a linear layer did not run in this step.", code="DPS122")
        order = range(len(self.layers))
        outputs = [self._outputs[i] for i in order]
        if any(len(part) != len(loss) * self.copies for part in outputs):
            raise UsageError(
                "a linear layer saw another number of rows than stated.", code="DPS122"
            )
        at_outputs = torch.autograd.grad(loss.sum(), outputs)
        factors = [
            factors_of(layer, self._inputs[index], gradient, rows_per_unit * self.copies)
            for index, (layer, gradient) in enumerate(zip(self.layers, at_outputs, strict=True))
        ]
        self._forget()
        squares = torch.stack([part.squared_norms(_ROUNDING) for part in factors])
        norm = squares.sum(0).sqrt()
        target = clip_norm * (1 - SLACK)
        scale = (target / norm.clamp(min=1e-300)).clamp(max=1.0)
        scale = torch.where(torch.isfinite(norm), scale, torch.zeros_like(scale))
        # Zero times infinity is not zero: rejected units are taken out, not multiplied.
        kept = None if bool((scale > 0).all()) else scale > 0
        return [total for part in factors for total in part.weighted(scale, kept)]
