"""Neural methods that let canaries in: the white-box part of :mod:`privacy_audits.canaries.method`.

Two methods of a synthesizer are overridden, each at the place where rows are handed to the
mechanism: before :func:`dpsynth.neural.dpsgd.train`, and before units are dealt to teachers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from dpsynth.neural.base import TRAINING, DPSGDSynthesizer
from dpsynth.neural.pategan import PATEGAN, VOTES
from dpsynth.neural.voting import Teachers, sensitivity
from dpsynth.privacy import PATEVote, PlannedCharge, PoissonSampledGaussian
from dpsynth.synthesizer import Synthesizer
from privacy_audits.canaries.gradients import GradientCanaries
from privacy_audits.canaries.listening import Listener
from privacy_audits.canaries.method import AuditedRun, plan_of, rebuilt
from privacy_audits.canaries.training import GradientGame
from privacy_audits.canaries.votes import VoteGame


class _GradientCanaries(DPSGDSynthesizer[Any]):
    """Lets gradient canaries in among the rows that are trained on."""

    game: GradientGame

    def _train(
        self,
        network: nn.Module,
        row_loss: Callable[[Tensor], Tensor],
        codes: npt.NDArray[np.int32],
        unit_index: npt.NDArray[np.int64],
        **options: Any,  # noqa: ANN401
    ) -> tuple[PlannedCharge, ...]:
        units = int(self.plan_.parameters["expected_units"])
        watched = self.game.wrap(
            network,
            row_loss,
            clip_norm=self._chosen.training(units).clip_norm,
            copies=options.get("copies", 1),
        )
        marked, units_of = self.game.enter(codes, unit_index)
        return super()._train(watched, watched.row_loss, marked, units_of, **options)


class _VoteCanaries(PATEGAN):
    """Lets vote canaries in among the units that are dealt."""

    game: VoteGame
    rng: np.random.Generator

    def _ensemble(
        self, codes: npt.NDArray[np.int32], unit_index: npt.NDArray[np.int64], *, key: bytes
    ) -> Teachers:
        return self.game.seat(
            codes,
            unit_index,
            self._shares(),
            teachers=int(self.plan_.parameters["teachers"]),
            key=key,
            rng=self.rng,
        )


def trained(synthesizer: Synthesizer, canaries: int, rng: np.random.Generator) -> AuditedRun | None:
    """Prepare a method that trains with DP-SGD; None for others."""
    if not isinstance(synthesizer, DPSGDSynthesizer):
        return None
    plan = plan_of(synthesizer)
    mechanism = plan.mechanism(TRAINING)
    assert isinstance(mechanism, PoissonSampledGaussian)
    game = GradientGame(design=GradientCanaries(count=canaries), mechanism=mechanism, rng=rng)
    model = rebuilt(synthesizer, _GradientCanaries, plan=plan)
    model.game = game
    return AuditedRun(
        model=model,
        plan=plan,
        mechanism=mechanism,
        transcript=Listener(game.hear),
        bits=game.bits,
        scores=lambda: game.scores,
        reference=game.reference,
    )


def voted(synthesizer: Synthesizer, canaries: int, rng: np.random.Generator) -> AuditedRun | None:
    """Prepare a method whose teachers vote; None for others."""
    if not isinstance(synthesizer, PATEGAN):
        return None
    plan = plan_of(synthesizer)
    mechanism = plan.mechanism(VOTES)
    assert isinstance(mechanism, PATEVote)
    game = VoteGame(
        bits=rng.random(canaries) < 0.5,
        relation=mechanism.relation,
        sigma=mechanism.noise_multiplier * sensitivity(mechanism.relation),
    )
    model = rebuilt(synthesizer, _VoteCanaries, plan=plan)
    model.game, model.rng = game, rng
    return AuditedRun(
        model=model,
        plan=plan,
        mechanism=mechanism,
        transcript=Listener(game.hear),
        bits=game.bits,
        scores=game.scores,
        reference=lambda: game.reference(rng),
    )
