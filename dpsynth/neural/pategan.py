"""``PATEGAN``: a generator trained against a student that learns from a noisy vote of teachers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from dpsynth.checkpoint import Course, Progress
from dpsynth.codec import CodecSettings
from dpsynth.errors import IntegrityError, UsageError
from dpsynth.neural.base import NeuralSettings, NeuralSynthesizer
from dpsynth.neural.blocks import Blocks
from dpsynth.neural.dpsgd import few_threads
from dpsynth.neural.generator import BlockGenerator, rake
from dpsynth.neural.ordinal import ordinal_basis
from dpsynth.neural.student import Student, agreement_of
from dpsynth.neural.views import ViewMaker
from dpsynth.neural.voting import KEY_BYTES, Questions, Teachers, release_margins, vote_event
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget, PATEVote, PlannedCharge

VOTES = "teachers' votes"

_NUMERIC_CODES = 20
_FLOOR = 1e-3
"""Added to a share where the generator's one-way error is divided by it."""

_RAKING_ROWS = 8192
_SAMPLE_ROWS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class PATEGANSettings(NeuralSettings):
    """Public hyper-parameters of :class:`PATEGAN`, besides those of :class:`NeuralSettings`.

    Parameters
    ----------
    units_per_teacher : float
        Expected privacy units per teacher; with the declared number of units it sets the number of
        teachers.
    labels : int
        Votes that are released, over all rounds.
    rounds : int
        Times that new rows are generated and labelled.
    generated_share : float
        Share of the rows to label that the generator makes from the second round on; the others
        come from the noisy one-way counts, column by column.
    target_share : float
        Share of the labels that go to views with the declared target, if there is one.
    latent, hidden : int
        Sizes of the generator.
    steps : int
        Steps of the generator, over all rounds.
    batch : int
        Rows generated in a step.
    learning_rate : float
        Step size of Adam at the start; it falls linearly to 0.
    one_way_weight : float
        Weight of the generator's one-way error against the noisy counts.
    """

    units_per_teacher: float = 1.0
    labels: int = 8000
    rounds: int = 2
    generated_share: float = 0.7
    target_share: float = 0.25
    latent: int = 16
    hidden: int = 96
    steps: int = 2500
    batch: int = 1024
    learning_rate: float = 0.01
    one_way_weight: float = 0.02

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= min(self.labels, self.steps):
            raise UsageError("rounds must be at least 1, and at most as many as labels and steps.")
        if not self.units_per_teacher > 0:
            raise UsageError("units_per_teacher must be positive.")

    def teachers(self, units: int) -> int:
        """Return the number of teachers for a declared number of units."""
        return max(2, round(units / self.units_per_teacher))

    def labels_of(self, number: int) -> int:
        """Return the labels of one round; those of all rounds add up to ``labels``."""
        return self.labels * (number + 1) // self.rounds - self.labels * number // self.rounds


class PATEGAN(NeuralSynthesizer[PATEGANSettings]):
    """Generator, student and an ensemble of teachers that votes under noise.

    Parameters
    ----------
    schema : Schema
        Public facts about the table.
    codec : CodecSettings, optional
        Public sizes of the codec.
    settings : PATEGANSettings, optional
        Hyper-parameters; chosen from public quantities by default.

    Privacy
    -------
    The codec's histograms, then the noisy margins of :mod:`dpsynth.neural.voting`, all of them
    booked before the first row is read. The number of teachers follows from declared numbers.
    Student and generator see noisy counts, noisy margins and generated rows, nothing else; there is
    no data-dependent ε.

    References
    ----------
    Jordon, Yoon, van der Schaar, "PATE-GAN", ICLR 2019.
    Papernot et al., "Scalable Private Learning with PATE", arXiv 1802.08908.
    Ganev, Annamalai, De Cristofaro, "The Elusive Pursuit of Reproducing PATE-GAN",
    arXiv 2406.13985: what goes wrong in public implementations.
    """

    method: ClassVar[str] = "pate-gan"
    settings_type = PATEGANSettings
    step: ClassVar[str] = VOTES
    _network: BlockGenerator

    def _default_codec(self, budget: Budget, units: int) -> CodecSettings:
        del budget, units
        return CodecSettings(numeric_codes=_NUMERIC_CODES)

    def _plan_charges(
        self, budget: Budget, units: int, codec: CodecSettings
    ) -> tuple[tuple[PlannedCharge, ...], dict[str, Any]]:
        charges, parameters = super()._plan_charges(budget, units, codec)
        settings = PATEGANSettings(**parameters["settings"])
        return charges, {**parameters, "teachers": settings.teachers(units)}

    def _mechanism(self, settings: PATEGANSettings, scale: float, units: int) -> PATEVote:
        del units
        return vote_event(noise_multiplier=scale, votes=settings.labels, unit=self.schema.unit)

    def _fit_codes(
        self,
        codes: npt.NDArray[np.int32],
        unit_index: npt.NDArray[np.int64],
        *,
        noise: NoiseSource,
        course: Course,
    ) -> tuple[PlannedCharge, ...]:
        # Votes are not leased: from the first row on all of them are charged.
        event = self.plan_.mechanism(VOTES)
        assert isinstance(event, PATEVote)
        teachers = self._ensemble(codes, unit_index, key=noise.generator.bytes(KEY_BYTES))
        game = _Game(self, event, np.random.default_rng(noise.public_seed()))
        asked = 0
        with few_threads(game.generator):
            for number in range(self._chosen.rounds):
                questions = game.questions(number)
                asked += len(questions)
                if asked > event.votes:
                    raise IntegrityError(
                        "more votes were asked for than were booked.", code="DPS110"
                    )
                noisy = release_margins(teachers.margins(questions), event=event, noise=noise)
                game.learn(questions, noisy)
                game.train(number, course.progress)
            game.finish()
        ran = replace(event, votes=asked)
        return (PlannedCharge(step=VOTES, mechanism=ran),)

    def _ensemble(
        self, codes: npt.NDArray[np.int32], unit_index: npt.NDArray[np.int64], *, key: bytes
    ) -> Teachers:
        """Deal the units to the teachers of the plan."""
        number = int(self.plan_.parameters["teachers"])
        return Teachers(codes, unit_index, teachers=number, key=key)

    # -- sampling ------------------------------------------------------------------------------

    def _make_network(self, generator: torch.Generator) -> BlockGenerator:
        return BlockGenerator(
            Blocks(self._codec.sizes),
            torch.cat(self._usable()).numpy(),
            latent=self._chosen.latent,
            hidden=self._chosen.hidden,
            generator=generator,
        )

    def _shares(self) -> list[npt.NDArray[np.float64]]:
        """Return the noisy one-way shares of every column."""
        return [counts / max(counts.sum(), 1e-9) for counts in self._codec.counts.values()]

    def _places(self, n: int, rng: np.random.Generator) -> torch.Tensor:
        """Draw conditions: half on the target, if there is one, else a column at random."""
        shares = self._shares()
        offsets = np.cumsum([0, *(share.size for share in shares)])
        columns = rng.integers(len(shares), size=n)
        target = self._target()
        if target is not None:
            columns[rng.random(n) < 0.5] = target
        places = np.zeros(n, dtype=np.int64)
        for column in np.unique(columns).tolist():
            rows = np.flatnonzero(columns == column)
            places[rows] = offsets[column] + _draw(shares[column], rows.size, rng)
        return torch.from_numpy(places)

    def _target(self) -> int | None:
        roles = [column.role for column in self.schema.modelled]
        return roles.index("target") if "target" in roles else None

    @torch.no_grad()
    def _sample_codes(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
        parts = []
        for start in range(0, n, _SAMPLE_ROWS):
            size = min(_SAMPLE_ROWS, n - start)
            latent = rng.standard_normal((size, self._chosen.latent), dtype=np.float32)
            logits = self._network.logits(torch.from_numpy(latent), self._places(size, rng))
            uniform = torch.from_numpy(rng.random((size, len(self._codec.sizes))))
            parts.append(self._network.draw(logits, uniform).numpy())
        return np.concatenate(parts).astype(np.int32)


class _Game:
    """Generator against student: public numbers, noisy counts, noisy margins and no row."""

    def __init__(self, model: PATEGAN, event: PATEVote, rng: np.random.Generator) -> None:
        self.model, self.rng, self.settings = model, rng, model._chosen
        self._latent = torch.Generator().manual_seed(int(rng.integers(2**63)))
        self._shares = model._shares()
        self.generator = model._network = model._make_network(self._latent)
        with torch.no_grad():
            # Logits that depend on nothing are a saddle: pairs would get no gradient.
            self.generator.leave.weight.mul_(10.0)
        self.generator.start_from_counts(list(model._codec.counts.values()))
        plan = model.plan_
        self._student = Student(
            self._shares,
            agreement_of(
                rows=model._codec.rows,
                expected_units=int(plan.parameters["expected_units"]),
                max_rows=model.schema.unit.max_rows,
                teachers=int(plan.parameters["teachers"]),
            ),
            event=event,
            teachers=int(plan.parameters["teachers"]),
        )
        self._views = ViewMaker(
            self._shares,
            ordinal_basis(model.schema.modelled, list(model._codec.codes.values())),
            self._view_chances(),
        )
        self._optimizer = torch.optim.Adam(
            self.generator.parameters(), lr=self.settings.learning_rate
        )

    def _view_chances(self) -> dict[tuple[int, int], float]:
        """Return how often each pair of columns is looked at."""
        columns = len(self._shares)
        if columns == 1:
            return {(0, 0): 1.0}
        pairs = list(combinations(range(columns), 2))
        target = self.model._target()
        special = [target in pair for pair in pairs]
        share = self.settings.target_share
        if target is None or all(special):
            return dict.fromkeys(pairs, 1.0 / len(pairs))
        return {
            pair: share / sum(special) if hit else (1 - share) / (len(pairs) - sum(special))
            for pair, hit in zip(pairs, special, strict=True)
        }

    def questions(self, number: int) -> Questions:
        """Generate the rows that are labelled in one round, and their views."""
        labels = self.settings.labels_of(number)
        generated = round(labels * self.settings.generated_share) if number else 0
        rows = np.stack([_draw(share, labels, self.rng) for share in self._shares], axis=1)
        if generated:
            rows[:generated] = self.model._sample_codes(generated, self.rng)
        return self._views.make(rows, self.rng)

    def learn(self, questions: Questions, noisy: npt.NDArray[np.int64]) -> None:
        """Hand labelled rows to the student."""
        self._student.learn(questions, noisy)

    def train(self, number: int, progress: Progress | None) -> None:
        """Train the generator against the student for one round."""
        steps, rounds = self.settings.steps, self.settings.rounds
        wanted = torch.from_numpy(np.concatenate(self._shares)).float()
        for step in range(steps * number // rounds, steps * (number + 1) // rounds):
            for group in self._optimizer.param_groups:
                group["lr"] = self.settings.learning_rate * (1 - step / steps)
            with torch.no_grad():
                # The student answers another batch than the one that is scored, which would be
                # punished for its own sampling error.
                moments, shares = self._moments(2 * self.settings.batch)
                self._student.respond(moments)
            pairs, singles = self._moments(self.settings.batch)
            error = (shares - wanted) / (wanted + _FLOOR)
            loss = self.settings.one_way_weight * 2.0 * (error * singles).sum()
            loss = loss - self._student.score(pairs)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            if progress is not None:
                progress(step + 1, steps)

    def _moments(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return two- and one-way shares of ``size`` rows, in expectation over their codes.

        Blocks are independent given latent and condition, so that products of probabilities are
        exact: no relaxation of the discrete draw is needed.
        """
        latent = torch.randn(size, self.settings.latent, generator=self._latent)
        logits = self.generator.logits(latent, self.model._places(size, self.rng))
        rows = self.generator.probabilities(logits)
        return rows.T @ rows / size, rows.mean(0)

    def finish(self) -> None:
        """Shift the generator's biases until its one-way shares are those that were bought."""
        latent = torch.randn(_RAKING_ROWS, self.settings.latent, generator=self._latent)
        places = self.model._places(_RAKING_ROWS, self.rng)
        rake(self.generator, list(self.model._codec.counts.values()), latent, places)
        for parameter in self.generator.parameters():
            parameter.grad = None


def _draw(
    share: npt.NDArray[np.float64], n: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    cumulative = np.cumsum(share)
    drawn = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], side="right")
    return np.minimum(drawn, share.size - 1)
