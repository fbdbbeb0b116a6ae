"""Adam on gradients that were noised already: everything here is post-processing of releases."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

_DECAY, _DECAY_OF_SQUARES, _LEAST = 0.9, 0.999, 1e-8


class AveragedAdam:
    """Adam whose step size falls linearly to 0, and the mean of its last iterates.

    Parameters
    ----------
    parameters : sequence of Parameter
        Changed in place.
    learning_rate : float
        Step size at the start.
    steps : int
        Number of steps.
    averaged_share : float
        Share of the last steps whose weights are averaged; 0 for none.

    Privacy
    -------
    Its state is a function of the gradients that it was given; noised ones make it free.

    Notes
    -----
    The steps are those of ``torch.optim.Adam``, whose first use imports a compiler for seconds and
    whose state is no plain tensors.

    References
    ----------
    Kingma and Ba, "Adam", arXiv 1412.6980.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        *,
        learning_rate: float,
        steps: int,
        averaged_share: float,
    ) -> None:
        self.parameters = list(parameters)
        self._rate, self._steps = learning_rate, steps
        self._averaged_from = steps - math.floor(averaged_share * steps)
        # Of gradients, of their squares, and of the last iterates.
        self._first, self._second, self._sums = (
            [torch.zeros_like(p) for p in self.parameters] for _ in range(3)
        )
        self._taken, self._averaged = 0, 0

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], step: int) -> None:
        """Take a step along gradients, one per parameter; ``step`` counts from 0."""
        self._taken += 1
        rate = self._rate * (1 - step / self._steps) / (1 - _DECAY**self._taken)
        unbiased = 1 / math.sqrt(1 - _DECAY_OF_SQUARES**self._taken)
        for parameter, gradient, first, second in zip(
            self.parameters, gradients, self._first, self._second, strict=True
        ):
            gradient = gradient.to(parameter.dtype)
            first.lerp_(gradient, 1 - _DECAY)
            second.mul_(_DECAY_OF_SQUARES).addcmul_(gradient, gradient, value=1 - _DECAY_OF_SQUARES)
            parameter.addcdiv_(first, second.sqrt().mul_(unbiased).add_(_LEAST), value=-rate)
        if step >= self._averaged_from:
            self._averaged += 1
            for total, parameter in zip(self._sums, self.parameters, strict=True):
                total += parameter

    @torch.no_grad()
    def finish(self) -> None:
        """Put the mean of the last iterates in place of the last one."""
        if self._averaged:
            for total, parameter in zip(self._sums, self.parameters, strict=True):
                parameter.copy_(total / self._averaged)

    def state(self) -> dict[str, Tensor]:
        """Return weights, moments and sums, by name."""
        kept = {"taken": torch.tensor([float(self._taken), float(self._averaged)])}
        for index, parts in enumerate(self._parts()):
            kept |= {f"{index}.{name}": part.detach() for name, part in parts.items()}
        return kept

    @torch.no_grad()
    def load(self, kept: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`state` returned."""
        self._taken, self._averaged = (int(count) for count in kept["taken"])
        for index, parts in enumerate(self._parts()):
            for name, part in parts.items():
                part.copy_(kept[f"{index}.{name}"])

    def _parts(self) -> Iterator[dict[str, Tensor]]:
        for weight, first, second, total in zip(
            self.parameters, self._first, self._second, self._sums, strict=True
        ):
            yield {"weight": weight, "first": first, "second": second, "sum": total}
