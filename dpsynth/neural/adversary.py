"""Critic against generator: the loss that is clipped and noised, and the step without rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dpsynth.neural.chained import ChainedGenerator
from dpsynth.neural.conditions import Conditions
from dpsynth.neural.critic import Critic
from dpsynth.neural.optimise import AveragedAdam
from dpsynth.noise import NoiseSource

_FLOOR = 1e-4
"""Added to shares before their logarithm is taken."""

_CHUNK = 256
"""Rows for which partners are made at a time, whatever the size of the batch."""


class PairLoss:
    """Loss of the critic on a row and a generated partner under the same condition.

    Parameters
    ----------
    critic : Critic
        Learns to score rows above their partners.
    generator : ChainedGenerator
        Makes the partners; it does not learn here.
    conditions : Conditions
        Says which column of a row is given to its partner.
    noise : NoiseSource
        Draws columns, latent normals and partners. The draws of a row belong to its unit's
        contribution. They are handed out by position in the batch, so that they must be as secret
        as the sample itself: given the draws, another unit would shift everybody's.

    Privacy
    -------
    A row and its partner pass through the critic in one pass, standing together, and are clipped
    as one (``copies=2`` of :func:`dpsynth.neural.dpsgd.train`). Whatever the partner tells of its
    row, the condition included, is part of what is clipped. For fixed draws of every unit a step
    is the sampled Gaussian mechanism; the draws are independent of each other and of the rows, so
    that the step is a mixture of such mechanisms with the same weights on both neighbours.
    """

    def __init__(
        self,
        critic: Critic,
        generator: ChainedGenerator,
        conditions: Conditions,
        *,
        noise: NoiseSource,
    ) -> None:
        self.critic, self.generator, self.conditions = critic, generator, conditions
        self.noise = noise

    def __call__(self, codes: Tensor) -> Tensor:
        """Return the loss of every row, shape (n_rows,)."""
        pairs = torch.stack([codes, self.partners(codes)], dim=1).flatten(0, 1)
        real, made = self.critic(pairs).view(-1, 2).unbind(1)
        return functional.softplus(made - real)

    @torch.no_grad()
    def partners(self, codes: Tensor) -> Tensor:
        """Return a generated row for every row, shape like ``codes``."""
        rng, rows = self.noise.generator, len(codes)
        latent = rng.standard_normal((rows, self.generator.latent), dtype=np.float32)
        uniform = rng.random((rows, 1 + codes.shape[1]))
        coins = torch.from_numpy(uniform).to(codes.device)
        inputs = (
            torch.from_numpy(latent).to(codes.device),
            self.conditions.read(codes, coins[:, 0]),
            coins[:, 1:],
        )
        # Last bits of a product may depend on its shape, and a last bit can turn a draw: of all
        # parts of a step only this one could carry a unit's presence over to others' rows.
        padding = -rows % _CHUNK
        padded = [functional.pad(part, (0, 0) * (part.dim() - 1) + (0, padding)) for part in inputs]
        chunks = zip(*(part.split(_CHUNK) for part in padded), strict=True)
        return torch.cat([self.generator.rows(*chunk) for chunk in chunks])[:rows]


class GeneratorLearner:
    """Lets a generator follow a critic, now and then, for a public number of rows.

    Parameters
    ----------
    generator : ChainedGenerator
        Learns, in place.
    critic : Critic
        Its noised weights are read between steps.
    conditions : Conditions
        Law of the conditions, from bought counts.
    shares : sequence of Tensor
        Noisy one-way shares, which the generator is held to.
    rows : int
        Generated rows per update.
    every : int
        Steps of the critic for one update.
    steps : int
        Steps of the critic in all.
    learning_rate : float
        Step size of Adam at the start; it falls linearly to 0.
    marginal_weight : float
        Weight of the divergence from the noisy one-way shares.
    averaged_share : float
        Share of the last steps over which the weights are averaged.
    seed : int
        Of the generated rows. It needs no secrecy.

    Privacy
    -------
    Reads noised weights, bought counts and public numbers: post-processing.
    """

    def __init__(
        self,
        generator: ChainedGenerator,
        critic: Critic,
        conditions: Conditions,
        shares: Sequence[Tensor],
        *,
        rows: int,
        every: int,
        steps: int,
        learning_rate: float,
        marginal_weight: float,
        averaged_share: float,
        seed: int,
    ) -> None:
        self.generator, self.critic, self.conditions = generator, critic, conditions
        device = generator.offsets.device
        self._shares = torch.cat(list(shares)).to(device)
        self.rows, self._every, self._marginal_weight = rows, every, marginal_weight
        self._rng = torch.Generator(device=device).manual_seed(seed)
        self._optimizer = AveragedAdam(
            list(generator.parameters()),
            learning_rate=learning_rate,
            steps=max(1, steps // every),
            averaged_share=averaged_share,
        )

    def __call__(self, taken: int) -> None:
        """Take an update where one is due after ``taken`` steps of the critic."""
        if taken % self._every == 0:
            gradients = torch.autograd.grad(self._loss(), self._optimizer.parameters)
            self._optimizer.step(gradients, taken // self._every - 1)

    def state(self) -> Mapping[str, Tensor]:
        """Return weights and moments. The stream of generated rows may begin anew."""
        return self._optimizer.state()

    def load(self, kept: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`state` returned."""
        self._optimizer.load(kept)

    def _loss(self) -> Tensor:
        generator, device = self.generator, self._shares.device
        latent = torch.randn(self.rows, generator.latent, generator=self._rng, device=device)
        coins = torch.rand(self.rows, generator=self._rng, device=device)
        rows, probabilities = generator.soft_rows(latent, self.conditions.draw(coins), self._rng)
        made = probabilities.mean(0)
        ratio = torch.log(self._shares + _FLOOR) - torch.log(made + _FLOOR)
        divergence = (self._shares * ratio).sum()
        return self._marginal_weight * divergence - self.critic.frozen()(rows).mean()

    def finish(self) -> None:
        """Give the generator the average of its last weights."""
        self._optimizer.finish()
