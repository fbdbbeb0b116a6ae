"""What a DP-SGD step costs beside the same non-private step: ``python -m benchmarks.dpsgd_step``.

Both kinds of step alternate in one process on the methods' own networks and on a plain perceptron,
so that the ratio does not depend on what else the machine is doing. Data are random codes: nothing
private is involved.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dpsynth.neural.autoregressive_network import AutoregressiveNetwork
from dpsynth.neural.blocks import BlockOutputs, Blocks
from dpsynth.neural.clipping import UnitClipper
from dpsynth.neural.dpsgd import best_device, few_threads, keep_memory, noisy_sum
from dpsynth.neural.ordinal import WIDTH
from dpsynth.neural.vae import Decoder, Encoder, VAENetwork, VAESettings
from dpsynth.noise import NoiseSource, NormalsAhead

ADULT_BLOCKS = (21, 10, 21, 17, 17, 8, 16, 7, 6, 3, 21, 21, 21, 43, 4)
"""Block sizes of UCI Adult at 20 codes per number."""

ADULT_ORDERED = (0, 2, 4, 10, 11, 12)

NETWORKS = ("dp-autoregressive", "dp-vae", "perceptron")

RowLoss = Callable[[Tensor], Tensor]


class Perceptron(nn.Module):
    """Dense layers 256 and 256 over one-hot rows that learn to return them."""

    def __init__(self, blocks: Blocks, generator: torch.Generator) -> None:
        super().__init__()
        self.blocks = blocks
        sizes = (blocks.width, 256, 256, blocks.width)
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight, generator=generator)
        self.stack = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])

    def row_loss(self, codes: Tensor) -> Tensor:
        """Return the logistic loss of every row, shape (n_rows,)."""
        rows = self.blocks.one_hot(codes)
        loss = functional.binary_cross_entropy_with_logits(self.stack(rows), rows, reduction="none")
        return loss.sum(1)


def make(network: str, generator: torch.Generator, noise: NoiseSource) -> tuple[nn.Module, RowLoss]:
    """Return a network and the loss of its rows."""
    widths = [WIDTH if column in ADULT_ORDERED else 0 for column in range(len(ADULT_BLOCKS))]
    draw = np.random.default_rng(0)
    bases = [
        draw.uniform(-1, 1, shape).astype(np.float32)
        for shape in zip(ADULT_BLOCKS, widths, strict=True)
    ]
    if network == "dp-autoregressive":
        made = AutoregressiveNetwork(bases, [1.0] * len(bases), 64, generator=generator)
    elif network == "dp-vae":
        settings = VAESettings()
        made = VAENetwork(
            Encoder(bases, settings, generator=generator),
            Decoder(BlockOutputs(bases), settings, generator=generator),
            kl_weight=settings.kl_weight,
            noise=noise,
        )
    else:
        made = Perceptron(Blocks(ADULT_BLOCKS), generator)
    return made.to(best_device()), made.row_loss


def measure(
    network: str, *, batch: int, rounds: int, rows_per_unit: int = 1
) -> dict[str, float | str]:
    """Return median milliseconds of both steps and their ratio.

    Parameters
    ----------
    network : str
        One of :data:`NETWORKS`.
    batch : int
        Units in a step.
    rounds : int
        Pairs of steps.
    rows_per_unit : int
        Rows of every unit.
    """
    generator = torch.Generator().manual_seed(0)
    noise = NoiseSource.from_entropy()
    # A network for each kind of step: as in a fit, the clipper listens all the time.
    plainly, plain_loss = make(network, generator, noise)
    module, row_loss = make(network, generator, noise)
    rows = [
        torch.randint(0, k, (batch * rows_per_unit,), generator=generator) for k in ADULT_BLOCKS
    ]
    codes = torch.stack(rows, dim=1).to(best_device())
    optimizers = [torch.optim.Adam(net.parameters(), lr=1e-4) for net in (plainly, module)]

    def plain() -> None:
        optimizers[0].zero_grad()
        plain_loss(codes).mean().backward()
        optimizers[0].step()

    def private() -> None:
        ahead.begin()
        loss = row_loss(codes)
        sums = clipper.clipped_sum(loss, rows_per_unit=rows_per_unit, clip_norm=1.0)
        noised = noisy_sum(sums, sigma=1.0, clip_norm=1.0, noise=ahead)
        for parameter, gradient in zip(clipper.parameters, noised, strict=True):
            parameter.grad = (gradient / batch).to(parameter.dtype)
        optimizers[1].step()

    size = sum(parameter.numel() for parameter in module.parameters())
    keep_memory()
    with (
        few_threads(module),
        UnitClipper(module) as clipper,
        NormalsAhead(noise.sibling(), size) as ahead,
    ):
        times = _alternate([plain, private], rounds, codes)
    return {
        "network": network,
        "batch": batch,
        "rows_per_unit": rows_per_unit,
        "plain_ms": 1e3 * statistics.median(times[0]),
        "private_ms": 1e3 * statistics.median(times[1]),
        "ratio": statistics.median(b / a for a, b in zip(*times, strict=True)),
    }


def _alternate(steps: list[Callable[[], None]], rounds: int, codes: Tensor) -> list[list[float]]:
    times: list[list[float]] = [[] for _ in steps]
    for turn in range(rounds + 3):
        for step, kept in zip(steps, times, strict=True):
            if codes.is_cuda:
                torch.cuda.synchronize()
            start = time.perf_counter()
            step()
            if codes.is_cuda:
                torch.cuda.synchronize()
            if turn >= 3:  # the first rounds warm caches up
                kept.append(time.perf_counter() - start)
    return times


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one JSON line per network and batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--network", choices=NETWORKS, nargs="+", default=NETWORKS)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--rows-per-unit", type=int, default=1)
    chosen = parser.parse_args(arguments)
    for network, batch in itertools.product(chosen.network, chosen.batch):
        result = measure(
            network, batch=batch, rounds=chosen.rounds, rows_per_unit=chosen.rows_per_unit
        )
        print(
            json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in result.items()})
        )


if __name__ == "__main__":
    main()
