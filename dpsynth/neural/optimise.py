"""Adam on gradients that were noised already: everything here is post-processing of releases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


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
        self._adam = torch.optim.Adam(self.parameters, lr=learning_rate)
        self._averaged_from = steps - math.floor(averaged_share * steps)
        self._sums = [torch.zeros_like(p) for p in self.parameters]
        self._count = 0

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], step: int) -> None:
        """Take a step along gradients, one per parameter; ``step`` counts from 0."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient.to(parameter.dtype)
        for group in self._adam.param_groups:
            group["lr"] = self._rate * (1 - step / self._steps)
        self._adam.step()
        if step >= self._averaged_from:
            self._count += 1
            for total, parameter in zip(self._sums, self.parameters, strict=True):
                total += parameter

    @torch.no_grad()
    def finish(self) -> None:
        """Put the mean of the last iterates in place of the last one."""
        for total, parameter in zip(self._sums, self.parameters, strict=True):
            parameter.grad = None
            if self._count:
                parameter.copy_(total / self._count)

    def state(self) -> dict[str, Tensor]:
        """Return weights, moments and sums, by name."""
        kept = {"averaged": torch.tensor(float(self._count))}
        for index, (parameter, total) in enumerate(zip(self.parameters, self._sums, strict=True)):
            kept[f"{index}.weight"], kept[f"{index}.sum"] = parameter.detach(), total
            for name, moment in self._adam.state.get(parameter, {}).items():
                kept[f"{index}.adam.{name}"] = moment
        return kept

    @torch.no_grad()
    def load(self, kept: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`state` returned."""
        self._count = int(kept["averaged"])
        for index, (parameter, total) in enumerate(zip(self.parameters, self._sums, strict=True)):
            parameter.copy_(kept[f"{index}.weight"])
            total.copy_(kept[f"{index}.sum"])
            prefix = f"{index}.adam."
            moments = {n.removeprefix(prefix): t for n, t in kept.items() if n.startswith(prefix)}
            if moments:
                # Adam keeps its count of steps on the processor, its moments beside the weights.
                self._adam.state[parameter] = {
                    name: moment.clone().to("cpu" if name == "step" else parameter.device)
                    for name, moment in moments.items()
                }
