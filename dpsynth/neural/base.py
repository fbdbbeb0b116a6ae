"""What neural methods share: their settings, their plan, biases that start from what was bought."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dpsynth.archive import Arrays
from dpsynth.calibration import calibrate
from dpsynth.checkpoint import Course
from dpsynth.codec import CodecSettings, block_sizes
from dpsynth.columns import DiscreteCodes
from dpsynth.errors import UsageError
from dpsynth.neural.clipping import MOST_FEATURES
from dpsynth.neural.dpsgd import Companion, Resumption, State, TrainingSettings, UnitRows, train
from dpsynth.neural.ordinal import WIDTH, is_ordered
from dpsynth.noise import NoiseSource
from dpsynth.privacy import Budget, Gaussian, Mechanism, PlannedCharge, PoissonSampledGaussian
from dpsynth.schema import Schema, canonical_level
from dpsynth.synthesizer import Synthesizer

TRAINING = "DP-SGD"

_NOISE_OF_A_BIN = 0.04
_SHARES = (0.2, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class NeuralSettings:
    """Public hyper-parameters that every neural method has.

    Parameters
    ----------
    codec_share : float
        Share of the budget, in 1/σ², that buys the one-way counts.
    """

    codec_share: float = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class DPSGDSettings(NeuralSettings):
    """Public hyper-parameters of a method that trains with DP-SGD.

    Parameters
    ----------
    codec_share : float
        Share of the budget, in 1/σ², that buys the one-way counts.
    sampling_probability : float
        Chance of a unit to be in a step.
    steps : int
        DP-SGD steps.
    learning_rate : float
        Step size of Adam at the start.
    """

    sampling_probability: float = 0.05
    steps: int = 1500
    learning_rate: float = 0.01

    def training(self, units: int) -> TrainingSettings:
        """Return the settings of the DP-SGD loop."""
        return TrainingSettings(
            sampling_probability=self.sampling_probability,
            steps=self.steps,
            expected_units=float(units),
            learning_rate=self.learning_rate,
        )


S = TypeVar("S", bound=NeuralSettings)
D = TypeVar("D", bound=DPSGDSettings)


class NeuralSynthesizer(Synthesizer, Generic[S]):
    """A method that keeps a network, and spends what the codec leaves on one mechanism.

    Parameters
    ----------
    schema : Schema
        Public facts about the table.
    codec : CodecSettings, optional
        Public sizes of the codec.
    settings : NeuralSettings, optional
        Hyper-parameters; by default the method chooses them from the budget, the declared size and
        the schema when it makes a plan.
    """

    settings_type: ClassVar[type[NeuralSettings]]
    step: ClassVar[str] = TRAINING
    """Name of the mechanism in the plan."""

    def __init__(
        self, schema: Schema, *, codec: CodecSettings | None = None, settings: S | None = None
    ) -> None:
        super().__init__(schema, codec=codec)
        self.settings: S | None = settings
        self._network: nn.Module

    # -- what a method fills in --------------------------------------------------------------

    def _default_settings(self, budget: Budget, units: int, codec: CodecSettings) -> S:
        """Choose hyper-parameters from public quantities."""
        del budget, units, codec
        return cast(S, self.settings_type())

    @abstractmethod
    def _mechanism(self, settings: S, scale: float, units: int) -> Mechanism:
        """Return the event of training with a noise multiplier."""

    @abstractmethod
    def _make_network(self, generator: torch.Generator) -> nn.Module:
        """Return the network that samples; its parameters are stored with the model."""

    # -- plan, storage -----------------------------------------------------------------------

    def _plan_charges(
        self, budget: Budget, units: int, codec: CodecSettings
    ) -> tuple[tuple[PlannedCharge, ...], dict[str, Any]]:
        settings = self.settings or self._default_settings(budget, units, codec)
        ordered = sum(map(is_ordered, self.schema.modelled))
        width = sum(block_sizes(self.schema, codec)) + WIDTH * ordered
        if width > MOST_FEATURES:
            raise UsageError(
                f"the columns have {width} codes and functions of them; {self.method} takes "
                f"{MOST_FEATURES}.",
                fix="declare fewer categories, or group rare ones.",
            )
        bought = self._codec_charges(budget, codec, share=settings.codec_share)
        fixed = [charge.mechanism for charge in bought]
        scale = calibrate(lambda s: [*fixed, self._mechanism(settings, s, units)], budget)
        trained = PlannedCharge(step=self.step, mechanism=self._mechanism(settings, scale, units))
        return (*bought, trained), {"settings": asdict(settings)}

    @property
    def _chosen(self) -> S:
        """The settings of the plan."""
        assert self.settings is not None
        return self.settings

    def _arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        return {
            name: np.ascontiguousarray(part.detach().numpy())
            for name, part in self._network.named_parameters()
        }

    def _restore(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self._network = self._make_network(torch.Generator())
        with torch.no_grad():
            for name, part in self._network.named_parameters():
                part.copy_(torch.from_numpy(arrays[name].copy()))

    def _take_settings(self, parameters: Mapping[str, Any]) -> CodecSettings:
        self.settings = cast(S, self.settings_type(**parameters["settings"]))
        return super()._take_settings(parameters)

    # -- helpers for methods -------------------------------------------------------------------

    def _share_for_counts(self, budget: Budget, units: int, codec: CodecSettings) -> float:
        """Return the share of the budget at which a bin's noise is a small part of its rows.

        A function of the budget, the declared size and the schema (``docs/methods``).
        """
        whole = calibrate(
            lambda s: [Gaussian(relation=self.schema.unit.relation, noise_multiplier=s)], budget
        )
        rows = units * self.schema.unit.max_rows
        noise = self._histogram_sigma(whole, codec) * codec.numeric_codes / rows
        return min(max((noise / _NOISE_OF_A_BIN) ** 2, _SHARES[0]), _SHARES[1])

    def _level_code(self, name: str, value: object) -> int:
        """Return the code of a level of a discrete column, for a condition.

        Raises
        ------
        UsageError
            If the model never draws such a level.
        """
        codes, column = self._codec.codes[name], self.schema.column(name)
        assert isinstance(codes, DiscreteCodes)
        level = canonical_level(str(value), whole=column.whole_levels)
        level = level.lower() if isinstance(value, bool) else level
        if level not in codes.levels or not codes.usable[codes.levels.index(level)]:
            raise UsageError(
                "the model has no such level.", column=name, fix="name a declared category."
            )
        return codes.levels.index(level)

    def _usable(self) -> list[Tensor]:
        """Return which codes of every column may be emitted."""
        return [torch.from_numpy(codes.usable) for codes in self._codec.codes.values()]

    def _start_logits(self) -> list[Tensor]:
        """Return the logarithms of the noisy counts of every column, the largest 0."""
        logits = [torch.from_numpy(np.log(c + 1.0)).float() for c in self._codec.counts.values()]
        return [part - part.max() for part in logits]

    def _wanted_shares(self) -> list[Tensor]:
        """Return the share of every code among the noisy counts, never quite 0."""
        counts = [torch.from_numpy(part).float() for part in self._codec.counts.values()]
        return [part / part.sum().clamp(min=1e-9) + self._share_floor for part in counts]

    @property
    def _share_floor(self) -> float:
        return 1.0 / (10.0 * max(self._codec.rows, 1.0))


class DPSGDSynthesizer(NeuralSynthesizer[D]):
    """A neural method whose one mechanism is a run of DP-SGD on the codec's codes."""

    resumable = True

    def _mechanism(self, settings: D, scale: float, units: int) -> PoissonSampledGaussian:
        return settings.training(units).event(noise_multiplier=scale, unit=self.schema.unit)

    def _train(
        self,
        network: nn.Module,
        row_loss: Callable[[Tensor], Tensor],
        codes: npt.NDArray[np.int32],
        unit_index: npt.NDArray[np.int64],
        *,
        noise: NoiseSource,
        course: Course,
        copies: int = 1,
        companion: Companion | None = None,
    ) -> tuple[PlannedCharge, ...]:
        """Train a network, in place, by the mechanism of the plan; return what was run."""
        mechanism = self.plan_.mechanism(TRAINING)
        assert isinstance(mechanism, PoissonSampledGaussian)
        ran = train(
            network,
            row_loss,
            UnitRows.arrange(
                codes,
                unit_index,
                max_rows=self.schema.unit.max_rows,
                device=next(network.parameters()).device,
            ),
            settings=self._chosen.training(int(self.plan_.parameters["expected_units"])),
            mechanism=mechanism,
            noise=noise,
            progress=course.progress,
            lease=None if course.lease is None else partial(course.lease, TRAINING),
            copies=copies,
            companion=companion,
            keep=None if course.keep is None else partial(_keep, course.keep),
            resumption=_resumption(course),
        )
        return (PlannedCharge(step=TRAINING, mechanism=ran),)


def initial_generator(noise: NoiseSource) -> torch.Generator:
    """Return a generator for initial weights, which need no secrecy."""
    return torch.Generator().manual_seed(noise.public_seed())


def _keep(write: Callable[[Arrays], None], state: State) -> None:
    write({name: np.ascontiguousarray(part.detach().cpu().numpy()) for name, part in state.items()})


def _resumption(course: Course) -> Resumption | None:
    if course.kept is None:
        return None
    kept = {name: torch.from_numpy(part.copy()) for name, part in course.kept.items()}
    return Resumption(step=course.leased[TRAINING], kept=kept)
