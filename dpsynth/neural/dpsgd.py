"""The one DP-SGD loop: Poisson sampling, per-unit clipping, noise and the privacy event.

Every neural method trains through :func:`train`. The loop takes its sampling rate, number of
steps, noise and divisor from the mechanism that was booked; it never looks at the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dpsynth.checkpoint import Progress
from dpsynth.errors import IntegrityError, UsageError
from dpsynth.neural.clipping import SLACK, UnitClipper
from dpsynth.neural.optimise import AveragedAdam
from dpsynth.noise import NoiseSource, NormalsAhead
from dpsynth.privacy import PoissonSampledGaussian, PrivacyUnit

GRID = 2.0**-24
"""Noise and sums lie on multiples of ``clip_norm * GRID``."""

LEASE_STEPS = 50
"""Steps that a run asks for at a time: a killed run is charged for at most so many too many."""

ROWS_AT_A_TIME = 2**14
"""Rows that pass through a network at a time; it bounds memory and changes no result."""

_KEPT_MEMORY = 31 * 2**20
"""Bytes; above 32 MiB the allocator of glibc would learn nothing from a chunk."""

_SMALL_NETWORK = 2**20
"""Parameters below which a second thread does not pay."""

State = Mapping[str, Tensor]
"""Tensors by name; all of them functions of what noised steps released."""


class Companion(Protocol):
    """What moves with a run and sees its noised weights only, such as a generator."""

    def __call__(self, taken: int) -> None:
        """Move, after so many steps."""
        ...

    def state(self) -> State:
        """Return all that its next moves depend on."""
        ...

    def load(self, kept: State) -> None:
        """Take back what :meth:`state` returned."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resumption:
    """Where a run goes on.

    Parameters
    ----------
    step : int
        Steps that were leased before. Those that were taken after ``kept`` was written are lost:
        they count, and are not taken again.
    kept : mapping of str to Tensor
        State of the run when it was kept last.
    """

    step: int
    kept: State


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """Public numbers of a DP-SGD run.

    Parameters
    ----------
    sampling_probability : float
        Chance of every unit to be in a step, independently.
    steps : int
        Number of noised steps.
    expected_units : float
        Divisor of the sums over ``sampling_probability``: a public guess of the number of units.
        It scales the gradient and never depends on the rows.
    learning_rate : float
        Step size of Adam at the start; it falls linearly to 0.
    clip_norm : float
        Bound on one unit's contribution.
    averaged_share : float
        Share of the last steps whose weights are averaged (post-processing); 0 for none.
    """

    sampling_probability: float
    steps: int
    expected_units: float
    learning_rate: float
    clip_norm: float = 1.0
    averaged_share: float = 0.25

    def event(self, *, noise_multiplier: float, unit: PrivacyUnit) -> PoissonSampledGaussian:
        """State the event of :func:`train` with these settings.

        Privacy
        -------
        Units are the elements of the Poisson sample; one unit's rows enter or leave a step
        together and add at most ``clip_norm``.
        """
        return PoissonSampledGaussian(
            relation=unit.relation,
            noise_multiplier=noise_multiplier,
            sampling_probability=self.sampling_probability,
            steps=self.steps,
        )


@dataclass(frozen=True, slots=True, eq=False)
class UnitRows:
    """Rows arranged by privacy unit, padded, on the training device.

    Parameters
    ----------
    rows : Tensor, shape (n_units, max_rows, n_columns)
        Codes; absent rows are zeros.
    present : Tensor of float, shape (n_units, max_rows)
        1 where there is a row.
    """

    rows: Tensor
    present: Tensor

    @classmethod
    def arrange(
        cls,
        codes: npt.NDArray[np.int32],
        unit_index: npt.NDArray[np.int64],
        *,
        max_rows: int,
        device: torch.device,
    ) -> UnitRows:
        """Group rows by unit.

        Parameters
        ----------
        codes : ndarray of int32, shape (n_rows, n_columns)
        unit_index : ndarray of int64, shape (n_rows,)
            Unit of each row; no unit has more than ``max_rows`` rows.
        max_rows : int
            Declared bound.
        device : torch.device
        """
        units = int(unit_index.max()) + 1 if unit_index.size else 0
        order = np.argsort(unit_index, kind="stable")
        sorted_units = unit_index[order]
        first = np.searchsorted(sorted_units, np.arange(units))
        slot = np.arange(order.size) - first[sorted_units]
        if order.size and slot.max() >= max_rows:
            raise IntegrityError("a unit has more rows than unit.max_rows allows.", code="DPS111")
        rows = np.zeros((units, max_rows, codes.shape[1]), dtype=np.int64)
        present = np.zeros((units, max_rows), dtype=np.float32)
        rows[sorted_units, slot] = codes[order]
        present[sorted_units, slot] = 1.0
        return cls(
            rows=torch.from_numpy(rows).to(device), present=torch.from_numpy(present).to(device)
        )

    def __repr__(self) -> str:
        return "UnitRows(...)"


def best_device() -> torch.device:
    """Return CUDA when there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def poisson_sample(units: int, probability: float, rng: np.random.Generator) -> IntArray:
    """Return the indices of a Poisson sample: every unit independently with ``probability``."""
    return np.flatnonzero(rng.random(units) < probability)


IntArray = npt.NDArray[np.intp]


def noisy_sum(
    sums: list[Tensor], *, sigma: float, clip_norm: float, noise: NoiseSource | NormalsAhead
) -> list[Tensor]:
    """Round sums to the grid and add Gaussian noise that lies on the same grid.

    Parameters
    ----------
    sums : list of Tensor, float64
        Clipped sums.
    sigma : float
        Standard deviation of the noise over ``clip_norm``.
    clip_norm : float
        Bound on one unit's contribution.
    noise : NoiseSource or NormalsAhead
        Draws on the CPU from a keyed cipher; a device's own generator is not cryptographic.

    Returns
    -------
    list of Tensor, float64
        On the devices of ``sums``.

    Privacy
    -------
    Rounding moves a neighbour's sum by at most one grid step per parameter, ``sqrt(D) * GRID`` in
    units of the clip norm; the slack of the clip target pays for it as long as D ≤ 2^26.
    All outputs of all tables lie on one grid, so that low-order bits tell nothing.

    References
    ----------
    Mironov, CCS 2012; Jin, McMurtry, Rubinstein, Ohrimenko, arXiv 2112.05307.
    """
    if sum(part.numel() for part in sums) > (SLACK / 2 / GRID) ** 2:
        raise UsageError("the network is too large for the noise grid (over 2^26 parameters).")
    step = clip_norm * GRID
    noised = []
    for part in sums:
        draws = noise.generator.standard_normal(part.numel())
        draws *= sigma / GRID
        grid_noise = torch.from_numpy(np.rint(draws, out=draws)).view_as(part).to(part.device)
        noised.append((part / step).round_().add_(grid_noise).mul_(step))
    if noise.transcript is not None:
        noise.transcript.write(
            "noisy_sum",
            query=_flat(sums),
            released=_flat(noised),
            sigma=sigma * clip_norm,
            sensitivity=clip_norm,
        )
    return noised


def _flat(parts: list[Tensor]) -> npt.NDArray[np.float64]:
    return torch.cat([part.flatten() for part in parts]).cpu().numpy()


def train(
    module: nn.Module,
    row_loss: Callable[[Tensor], Tensor],
    data: UnitRows,
    *,
    settings: TrainingSettings,
    mechanism: PoissonSampledGaussian,
    noise: NoiseSource,
    progress: Progress | None = None,
    lease: Callable[[int], None] | None = None,
    copies: int = 1,
    companion: Companion | None = None,
    keep: Callable[[State], None] | None = None,
    resumption: Resumption | None = None,
) -> PoissonSampledGaussian:
    """Train a network with DP-SGD and Adam.

    Parameters
    ----------
    module : nn.Module
        Network to train, in place.
    row_loss : callable
        Codes, shape (n_rows, n_columns), to the loss of each row, shape (n_rows,). Must treat rows
        one by one.
    data : UnitRows
        Sensitive rows.
    settings : TrainingSettings
        Public numbers.
    mechanism : PoissonSampledGaussian
        The event that was booked; its numbers are the ones that run.
    noise : NoiseSource
        Source of sampling and noise.
    progress : callable, optional
        Receives (steps done, steps in all) and nothing else.
    lease : callable, optional
        Called with the number of steps that will have been taken before it is called again; when
        it returns they are entered in the ledger, and if it raises none of them is taken.
    copies : int
        Rows that ``row_loss`` passes through the network for each of its rows, standing together;
        all of them are clipped with the row's unit.
    companion : Companion, optional
        Moved after each step.
    keep : callable, optional
        Called with the state of the run before it asks for steps.
    resumption : Resumption, optional
        Where an interrupted run of the same mechanism goes on.

    Returns
    -------
    PoissonSampledGaussian
        The event of the steps that were taken.

    Privacy
    -------
    Neighbouring relation and unit of ``mechanism``. Sensitivity ``clip_norm`` per step. Noise is
    added exactly once per step, also when the sample is empty. Loss values are never returned.
    """
    probability, sigma = mechanism.sampling_probability, mechanism.noise_multiplier
    clip_norm = settings.clip_norm
    divisor = probability * settings.expected_units
    one_step = replace(mechanism, steps=1)
    taken = first = 0 if resumption is None else resumption.step
    keep_memory()
    with (
        few_threads(module),
        UnitClipper(module, copies=copies) as clipper,
        NormalsAhead(noise.sibling(), sum(p.numel() for p in clipper.parameters)) as ahead,
    ):
        optimizer = AveragedAdam(
            clipper.parameters,
            learning_rate=settings.learning_rate,
            steps=mechanism.steps,
            averaged_share=settings.averaged_share,
        )
        if resumption is not None:
            _load(optimizer, companion, resumption.kept)
        for step in range(first, mechanism.steps):
            if step % LEASE_STEPS == 0 or step == first:
                if keep is not None:
                    keep(_state(optimizer, companion))
                if lease is not None:
                    lease(min(step - step % LEASE_STEPS + LEASE_STEPS, mechanism.steps))
            chosen = poisson_sample(len(data.rows), probability, noise.generator)
            ahead.begin()
            sums = _clipped_sum(clipper, row_loss, data, chosen, clip_norm)
            with noise.declaring(one_step, units=chosen):
                noised = noisy_sum(sums, sigma=sigma, clip_norm=clip_norm, noise=ahead)
            taken += 1
            optimizer.step([total / divisor for total in noised], step)
            if companion is not None:
                companion(taken)
            if progress is not None:
                progress(taken, mechanism.steps)
        if keep is not None:
            # The ledger may be told of the end before the model is saved.
            keep(_state(optimizer, companion))
        optimizer.finish()
    return PoissonSampledGaussian(
        relation=mechanism.relation,
        noise_multiplier=sigma,
        sampling_probability=probability,
        steps=taken,
    )


@contextmanager
def few_threads(module: nn.Module) -> Iterator[None]:
    """Run a small network on one thread, as its products are too small to be shared out.

    Measured on two cores: a second thread saves a tenth of the time when the machine is idle and
    triples it when another process wants a core, since waiting threads spin.
    """
    before = torch.get_num_threads()
    if sum(p.numel() for p in module.parameters()) < _SMALL_NETWORK:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_memory() -> None:
    """Let the allocator keep the memory of a step for the next one.

    A step frees all that it took, and glibc hands freed memory back to the system unless it has
    seen a large chunk freed before: then every page is fetched anew, which was a fifth of a step
    of ``dp-vae``. Elsewhere this changes nothing.
    """
    torch.empty(_KEPT_MEMORY, dtype=torch.uint8)


def _clipped_sum(
    clipper: UnitClipper,
    row_loss: Callable[[Tensor], Tensor],
    data: UnitRows,
    chosen: IntArray,
    clip_norm: float,
) -> list[Tensor]:
    total: list[Tensor] = []
    index = torch.from_numpy(chosen).to(data.rows.device)
    # A bound on memory: units are clipped one by one, so that their sum may be formed in parts.
    for part in index.split(max(1, ROWS_AT_A_TIME // data.rows.shape[1])):
        if not len(part):
            continue
        rows, present = data.rows[part], data.present[part]
        loss = row_loss(rows.flatten(0, 1)) * present.flatten()
        sums = clipper.clipped_sum(loss, rows_per_unit=rows.shape[1], clip_norm=clip_norm)
        total = [whole + more for whole, more in zip(total, sums, strict=True)] if total else sums
    return total or [torch.zeros_like(p, dtype=torch.float64) for p in clipper.parameters]


_COMPANION = "companion."


def _state(optimizer: AveragedAdam, companion: Companion | None) -> State:
    kept = optimizer.state()
    if companion is not None:
        kept |= {_COMPANION + name: part for name, part in companion.state().items()}
    return kept


def _load(optimizer: AveragedAdam, companion: Companion | None, kept: State) -> None:
    optimizer.load(kept)
    if companion is not None:
        companion.load(
            {n.removeprefix(_COMPANION): p for n, p in kept.items() if n.startswith(_COMPANION)}
        )
