"""A run of DP-SGD with gradient canaries, and its audit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from dpsynth.errors import UsageError
from dpsynth.neural.dpsgd import TrainingSettings, UnitRows, train
from dpsynth.noise import NoiseSource
from dpsynth.privacy import NeighbouringRelation, PoissonSampledGaussian
from privacy_audits.canaries.gradients import (
    BoolArray,
    CanaryNetwork,
    CodeArray,
    FloatArray,
    GradientCanaries,
    IntArray,
    enter,
    step_scores,
)
from privacy_audits.canaries.listening import Listener
from privacy_audits.canaries.reference import REPLICATES, sampled_gaussian, separations
from privacy_audits.canaries.result import CanaryAudit, Mode, assess


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class GradientGame:
    """Canaries of one run of DP-SGD, and the sum of what its steps said about each.

    Parameters
    ----------
    design : GradientCanaries
        Public numbers.
    mechanism : PoissonSampledGaussian
        The event that was booked.
    rng : numpy.random.Generator
        Tosses the coins and draws the directions.
    """

    design: GradientCanaries
    mechanism: PoissonSampledGaussian
    rng: np.random.Generator
    bits: BoolArray = field(init=False)
    scores: FloatArray = field(init=False)
    _network: CanaryNetwork | None = None

    def __post_init__(self) -> None:
        self.bits = self.rng.random(self.design.count) < 0.5
        self.scores = np.zeros(self.design.count)

    def wrap(
        self,
        network: nn.Module,
        row_loss: Callable[[Tensor], Tensor],
        *,
        clip_norm: float,
        copies: int = 1,
    ) -> CanaryNetwork:
        """Return the network with the canaries' table beside it, on the network's device."""
        device = next(network.parameters()).device
        watched = CanaryNetwork(
            network, row_loss, self.design, clip_norm=clip_norm, copies=copies, rng=self.rng
        )
        self._network = watched.to(device)
        return self._network

    def enter(self, codes: CodeArray, unit_index: IntArray) -> tuple[CodeArray, IntArray]:
        """Return rows and units with the canaries that the coins let in."""
        return enter(codes, unit_index, self.bits, relation=self.mechanism.relation)

    def reference(self, *, runs: int = REPLICATES) -> FloatArray:
        """Return the d′ of simulated runs of the booked mechanism, shape (runs,)."""
        event = self.mechanism
        return separations(
            lambda: sampled_gaussian(
                self.rng,
                canaries=self.bits.size,
                steps=event.steps,
                rate=event.sampling_probability,
                sigma=event.noise_multiplier,
                exchanged=event.relation == NeighbouringRelation.REPLACE_ONE,
            ),
            runs=runs,
        )

    def hear(self, primitive: str, released: npt.NDArray) -> None:
        """Take a noisy sum; every one counts, also one that nobody booked."""
        if primitive == "noisy_sum":
            if self._network is None:
                raise UsageError("there is no network yet.", fix="wrap it before the run.")
            self.scores += step_scores(self._network.projections(released), self.mechanism)


def audit_training(
    network: nn.Module,
    row_loss: Callable[[Tensor], Tensor],
    codes: CodeArray,
    unit_index: IntArray,
    *,
    settings: TrainingSettings,
    mechanism: PoissonSampledGaussian,
    delta: float,
    rng: np.random.Generator,
    canaries: GradientCanaries | None = None,
    max_rows: int = 1,
    mode: Mode = "surrogate",
    seed: int | None = None,
    reference: FloatArray | None = None,
    ran: PoissonSampledGaussian | None = None,
) -> CanaryAudit:
    """Train once with canaries among the rows and compare what they show with the claim.

    Parameters
    ----------
    network : nn.Module
        Trained in place.
    row_loss : callable
        Codes, shape (n_rows, n_columns), to the loss of each row.
    codes : ndarray of int32, shape (n_rows, n_columns)
        Ordinary rows.
    unit_index : ndarray of int64, shape (n_rows,)
        Unit of each row.
    settings : TrainingSettings
        Public numbers of the run.
    mechanism : PoissonSampledGaussian
        The event under audit.
    delta : float
        δ of the claim.
    rng : numpy.random.Generator
        Tosses coins, draws directions, breaks ties.
    canaries : GradientCanaries, optional
        Public numbers of the canaries.
    max_rows : int
        Most rows of a unit.
    mode : {"surrogate", "in-situ"}
        Whether the rows are those of a released table.
    seed : int, optional
        Makes sampling and noise reproducible.
    reference : ndarray, optional
        What :meth:`GradientGame.reference` returned for the same mechanism and as many canaries.
    ran : PoissonSampledGaussian, optional
        What is run in place of ``mechanism``, to see whether the audit notices.

    Privacy
    -------
    Scores are functions of noisy sums, canaries and coins. What was true of the run's releases
    holds for the audit: with rows of a released table nothing is spent.
    """
    game = GradientGame(design=canaries or GradientCanaries(), mechanism=mechanism, rng=rng)
    watched = game.wrap(network, row_loss, clip_norm=settings.clip_norm)
    marked, units = game.enter(codes, unit_index)
    train(
        watched,
        watched.row_loss,
        UnitRows.arrange(
            marked, units, max_rows=max_rows, device=next(watched.parameters()).device
        ),
        settings=settings,
        mechanism=mechanism if ran is None else ran,
        noise=NoiseSource.audited(Listener(game.hear), seed=seed),
    )
    return assess(
        game.scores,
        game.bits,
        mechanism=mechanism,
        delta=delta,
        mode=mode,
        reference=game.reference() if reference is None else reference,
        rng=rng,
    )
