"""What a DP-SGD step costs beside the same non-private step: ``python -m benchmarks.dpsgd_step``.

Both kinds of step alternate in one process on the VAE's own network, so that the ratio does not
depend on what else the machine is doing. Data are random codes: nothing private is involved.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dpsynth.neural.blocks import Blocks
from dpsynth.neural.clipping import UnitClipper
from dpsynth.neural.dpsgd import best_device, noisy_sum
from dpsynth.neural.vae import VAENetwork, VAESettings
from dpsynth.noise import NoiseSource

ADULT_BLOCKS = (33, 10, 33, 17, 17, 8, 16, 7, 6, 3, 33, 33, 33, 43, 4)
"""Block sizes of UCI Adult under the default codec."""


def measure(*, batch: int, rounds: int, rows_per_unit: int = 1) -> dict[str, float]:
    """Return median milliseconds of both steps and their ratio.

    Parameters
    ----------
    batch : int
        Units in a step.
    rounds : int
        Pairs of steps.
    rows_per_unit : int
        Rows of every unit.
    """
    device = best_device()
    generator = torch.Generator().manual_seed(0)
    noise = NoiseSource.from_entropy()
    network = VAENetwork(Blocks(ADULT_BLOCKS), VAESettings(), generator=generator, noise=noise).to(
        device
    )
    rows = [
        torch.randint(0, k, (batch * rows_per_unit,), generator=generator) for k in ADULT_BLOCKS
    ]
    codes = torch.stack(rows, dim=1).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def plain() -> None:
        optimizer.zero_grad()
        network.row_loss(codes).mean().backward()
        optimizer.step()

    def private() -> None:
        with UnitClipper(network) as clipper:
            loss = network.row_loss(codes)
            sums = clipper.clipped_sum(loss, rows_per_unit=rows_per_unit, clip_norm=1.0)
            noised = noisy_sum(sums, sigma=1.0, clip_norm=1.0, noise=noise)
            for parameter, gradient in zip(clipper.parameters, noised, strict=True):
                parameter.grad = (gradient / batch).to(parameter.dtype)
        optimizer.step()

    times = _alternate([plain, private], rounds, codes)
    return {
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
    """Print one JSON line per batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--rows-per-unit", type=int, default=1)
    chosen = parser.parse_args(arguments)
    for batch in chosen.batch:
        result = measure(batch=batch, rounds=chosen.rounds, rows_per_unit=chosen.rows_per_unit)
        print(json.dumps({k: round(v, 3) for k, v in result.items()}))


if __name__ == "__main__":
    main()
